#include <fcntl.h>
#include <sys/stat.h>
#include <tenet/core/error.h>
#include <tenet/models/atomic_file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

namespace tenet {
namespace {

namespace fs = std::filesystem;

std::string_view remedy(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return "; free some space there";
    case EACCES:
    case EPERM:
    case EROFS:
    case ENOTDIR:
      return "; choose a folder that you may write to";
    default:
      return "";
  }
}

/// Error with the reason `error`, unless it is 0. `call` is the verb of the sentence.
void check_call(int error, std::string_view call, const std::string& path) {
  if (error != 0)
    fail("save: cannot {} \"{}\": {}{}", call, path, std::generic_category().message(error),
         remedy(error));
}

/// Runs `action` (which returns 0 or -1 and errno) unless the test's fault forestalls it; the
/// errno, or 0.
template <class Action>
int run(const FileFault& fault, std::string_view call, const std::string& path, Action action) {
  if (const int error = fault ? fault(call, path) : 0) return error;
  return action() == 0 ? 0 : errno;
}

void rename_file(const std::string& from, const std::string& to, const FileFault& fault) {
  check_call(run(fault, "rename", from, [&] { return std::rename(from.c_str(), to.c_str()); }),
             "rename", from);
}

/// Flushes a file or a folder's list of names to the disk. File systems that cannot flush a folder
/// say EINVAL.
void flush(const std::string& path, const FileFault& fault) {
  const int error = run(fault, "flush", path, [&] {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return -1;
    const int result = ::fsync(file);
    const int reason = errno;
    ::close(file);
    errno = reason;
    return result != 0 && reason != EINVAL ? -1 : 0;
  });
  check_call(error, "flush", path);
}

/// Removes a file or a folder with all in it, as well as it can.
void remove_quietly(const std::string& path, const FileFault& fault) {
  std::error_code ignored;
  if (!fault || fault("remove", path) == 0) fs::remove_all(path, ignored);
}

int write_all(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(file, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return 0;
}

std::string parent_of(const std::string& path) {
  const fs::path parent = fs::path(path).parent_path();
  return parent.empty() ? "." : parent.string();
}

struct RemoveAtEnd {
  const std::string& path;
  const FileFault& fault;
  ~RemoveAtEnd() { remove_quietly(path, fault); }
};

}  // namespace

void write_file(const std::string& path, std::string_view bytes, const FileFault& fault) {
  int file = -1;
  const int create = run(fault, "create", path, [&] {
    file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    return file < 0 ? -1 : 0;
  });
  check_call(create, "create", path);
  const int written = run(fault, "write", path, [&] { return write_all(file, bytes); });
  const int closed = ::close(file) == 0 ? 0 : errno;
  check_call(written != 0 ? written : closed, "write", path);
}

void atomic_write(const std::string& path, std::string_view bytes, const FileFault& fault) {
  const std::string temporary = path + ".tmp-" + std::to_string(::getpid());
  const RemoveAtEnd guard{temporary, fault};
  write_file(temporary, bytes, fault);
  flush(temporary, fault);
  rename_file(temporary, path, fault);
  flush(parent_of(path), fault);
}

AtomicFolder::AtomicFolder(std::string folder, std::vector<std::string> names, FileFault fault)
    : folder_(std::move(folder)),
      staging_((fs::path(folder_) / ".saving").string()),
      committed_((fs::path(folder_) / ".saved").string()),
      names_(std::move(names)),
      fault_(std::move(fault)) {}

std::string AtomicFolder::path(const std::string& name) const {
  const fs::path waiting = fs::path(committed_) / name;
  return (fs::exists(waiting) ? waiting : fs::path(folder_) / name).string();
}

bool AtomicFolder::complete() const {
  for (const std::string& name : names_)
    if (!fs::exists(path(name))) return false;
  return true;
}

void AtomicFolder::prepare() {
  const int made = run(fault_, "create", folder_, [&] {
    std::error_code error;
    fs::create_directories(folder_, error);
    errno = error.value();
    return error ? -1 : 0;
  });
  check_call(made, "create", folder_);
  recover();
  remove_quietly(staging_, fault_);
  const RemoveAtEnd guard{staging_, fault_};
  make_staging();
}

void AtomicFolder::recover() {
  if (fs::is_directory(committed_)) move_into_place();
}

void AtomicFolder::make_staging() {
  const int made = run(fault_, "create", staging_, [&] { return ::mkdir(staging_.c_str(), 0777); });
  check_call(made, "write to", folder_);
}

void AtomicFolder::stage(const std::function<void(const std::string&)>& write) {
  make_staging();
  write(staging_);
  for (const std::string& name : names_) flush((fs::path(staging_) / name).string(), fault_);
  flush(staging_, fault_);
  rename_file(staging_, committed_, fault_);
}

void AtomicFolder::move_into_place() {
  flush(folder_, fault_);
  std::vector<fs::path> waiting;
  for (const auto& entry : fs::directory_iterator(committed_)) waiting.push_back(entry.path());
  for (const fs::path& file : waiting)
    rename_file(file.string(), (fs::path(folder_) / file.filename()).string(), fault_);
  flush(folder_, fault_);
  const int removed =
      run(fault_, "remove", committed_, [&] { return ::rmdir(committed_.c_str()); });
  check_call(removed, "remove", committed_);
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
