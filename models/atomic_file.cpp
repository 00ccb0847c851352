#include <sys/stat.h>
#include <tenet/core/error.h>
#include <tenet/models/atomic_file.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

namespace tenet {
namespace {

namespace fs = std::filesystem;
using detail::check_file_call;
using detail::flush_to_disk;
using detail::remove_quietly;
using detail::RemoveAtEnd;
using detail::rename_file;
using detail::run_file_call;

/// Whether the file exists. Error: `folder`, which it is in, cannot be searched.
bool exists_in(const std::string& folder, const fs::path& file) {
  std::error_code error;
  const bool found = fs::exists(file, error);
  check(!error, "load: cannot read \"{}\": {}", folder, error.message());
  return found;
}

}  // namespace

AtomicFolder::AtomicFolder(std::string folder, std::vector<std::string> names, FileFault fault)
    : folder_(std::move(folder)),
      staging_((fs::path(folder_) / ".saving").string()),
      committed_((fs::path(folder_) / ".saved").string()),
      names_(std::move(names)),
      fault_(std::move(fault)) {}

std::string AtomicFolder::path(const std::string& name) const {
  const fs::path waiting = fs::path(committed_) / name;
  return (exists_in(folder_, waiting) ? waiting : fs::path(folder_) / name).string();
}

std::vector<std::string> AtomicFolder::missing() const {
  std::vector<std::string> names;
  for (const std::string& name : names_)
    if (!exists_in(folder_, path(name))) names.push_back(name);
  return names;
}

void AtomicFolder::prepare() {
  std::error_code unknown;
  check(!fs::exists(folder_, unknown) || fs::is_directory(folder_, unknown),
        "save: \"{}\" is not a folder; give a folder", folder_);
  const int made = run_file_call(fault_, "create", folder_, [&] {
    std::error_code error;
    fs::create_directories(folder_, error);
    errno = error.value();
    return error ? -1 : 0;
  });
  check_file_call(made, "create", folder_);
  recover();
  remove_quietly(staging_, fault_);
  const RemoveAtEnd guard{staging_, fault_};
  make_staging();
}

void AtomicFolder::recover() {
  if (exists_in(folder_, committed_)) move_into_place();
}

void AtomicFolder::make_staging() {
  const int made =
      run_file_call(fault_, "create", staging_, [&] { return ::mkdir(staging_.c_str(), 0777); });
  check_file_call(made, "write to", folder_);
}

void AtomicFolder::stage(const std::function<void(const std::string&)>& write) {
  make_staging();
  write(staging_);
  for (const std::string& name : names_)
    flush_to_disk((fs::path(staging_) / name).string(), fault_);
  flush_to_disk(staging_, fault_);
  rename_file(staging_, committed_, fault_);
}

void AtomicFolder::move_into_place() {
  flush_to_disk(folder_, fault_);
  std::vector<fs::path> waiting;
  for (const auto& entry : fs::directory_iterator(committed_)) waiting.push_back(entry.path());
  for (const fs::path& file : waiting)
    rename_file(file.string(), (fs::path(folder_) / file.filename()).string(), fault_);
  flush_to_disk(folder_, fault_);
  const int removed =
      run_file_call(fault_, "remove", committed_, [&] { return ::rmdir(committed_.c_str()); });
  check_file_call(removed, "remove", committed_);
}

void AtomicFolder::save(const std::function<void(const std::string&)>& write) {
  try {
    prepare();
    const RemoveAtEnd guard{staging_, fault_};
    stage(write);
  } catch (const OutOfMemory&) {
    throw;
  } catch (const Error& error) {
    fail("{}; {}", error.what(), older_set());
  }
  try {
    move_into_place();
  } catch (const Error& error) {
    fail("{}; the new checkpoint is complete, and the next run puts it in place", error.what());
  }
}

std::string AtomicFolder::older_set() const {
  return complete() ? fmt::format("the older checkpoint in \"{}\" stays valid", folder_)
                    : fmt::format("\"{}\" has no checkpoint yet", folder_);
}

}  // namespace tenet
