#include <fcntl.h>
#include <tenet/core/atomic_file.h>
#include <tenet/core/error.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

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

/// An open file that is closed whatever happens.
class OpenFile {
 public:
  OpenFile(const std::string& path, const FileFault& fault) : path_(path), fault_(fault) {
    const int error = detail::run_file_call(fault, "create", path, [&] {
      file_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
      return file_ < 0 ? -1 : 0;
    });
    detail::check_file_call(error, "create", path);
  }
  ~OpenFile() {
    if (file_ >= 0) ::close(file_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  void write(std::string_view bytes) {
    const int error =
        detail::run_file_call(fault_, "write", path_, [&] { return write_all(file_, bytes); });
    detail::check_file_call(error, "write", path_);
  }
  void close() {
    detail::check_file_call(::close(std::exchange(file_, -1)) == 0 ? 0 : errno, "write", path_);
  }

 private:
  const std::string& path_;
  const FileFault& fault_;
  int file_ = -1;
};

}  // namespace

namespace detail {

void check_file_call(int error, std::string_view call, const std::string& path) {
  if (error != 0) {
    fail("save: cannot {} \"{}\": {}{}", call, path, std::generic_category().message(error),
         remedy(error));
  }
}

int run_file_call(const FileFault& fault, std::string_view call, const std::string& path,
                  const std::function<int()>& action) {
  if (const int error = fault ? fault(call, path) : 0) return error;
  return action() == 0 ? 0 : errno;
}

void rename_file(const std::string& from, const std::string& to, const FileFault& fault) {
  const int error =
      run_file_call(fault, "rename", from, [&] { return std::rename(from.c_str(), to.c_str()); });
  check_file_call(error, "rename", from);
}

void flush_to_disk(const std::string& path, const FileFault& fault) {
  const int error = run_file_call(fault, "flush", path, [&] {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return -1;
    const int result = ::fsync(file);
    const int reason = errno;
    ::close(file);
    errno = reason;
    return result != 0 && reason != EINVAL ? -1 : 0;  // some file systems cannot flush a folder
  });
  check_file_call(error, "flush", path);
}

void remove_quietly(const std::string& path, const FileFault& fault) {
  std::error_code ignored;
  if (!fault || fault("remove", path) == 0) fs::remove_all(path, ignored);
}

}  // namespace detail

void write_file(const std::string& path, std::string_view bytes, const FileFault& fault) {
  OpenFile file(path, fault);
  file.write(bytes);
  file.close();
}

void atomic_write(const std::string& path, std::string_view bytes, const FileFault& fault) {
  atomic_write(
      path, [&](const ByteSink& sink) { sink(bytes); }, fault);
}

void atomic_write(const std::string& path, const std::function<void(const ByteSink&)>& produce,
                  const FileFault& fault) {
  const std::string temporary = path + ".tmp-" + std::to_string(::getpid());
  const detail::RemoveAtEnd guard{temporary, fault};
  OpenFile file(temporary, fault);
  produce([&](std::string_view piece) { file.write(piece); });
  file.close();
  detail::flush_to_disk(temporary, fault);
  detail::rename_file(temporary, path, fault);
  detail::flush_to_disk(parent_of(path), fault);
}

}  // namespace tenet
