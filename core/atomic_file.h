/// Files that are replaced whole or not at all.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace tenet {

/// For tests: called before each system call with its name and path; a number other than 0 is the
/// errno it fails with.
using FileFault = std::function<int(std::string_view call, const std::string& path)>;

/// Takes a file's bytes, piece by piece.
using ByteSink = std::function<void(std::string_view piece)>;

/// Replaces one file: writes it under another name in the same folder, flushes, renames, flushes
/// the folder. Error: anything failed, with the path and the system's reason; the older file, if
/// any, is untouched and the other one removed.
void atomic_write(const std::string& path, std::string_view bytes, const FileFault& fault = {});
void atomic_write(const std::string& path, const std::function<void(const ByteSink&)>& produce,
                  const FileFault& fault = {});

/// Writes a new file and nothing more: neither flushed nor atomic.
void write_file(const std::string& path, std::string_view bytes, const FileFault& fault = {});

namespace detail {

/// Error `save: cannot {call} "{path}": {reason}; {remedy}` unless `error`, an errno, is 0.
void check_file_call(int error, std::string_view call, const std::string& path);
/// Runs `action`, which gives 0 or -1 and errno, unless `fault` forestalls it; the errno, or 0.
int run_file_call(const FileFault& fault, std::string_view call, const std::string& path,
                  const std::function<int()>& action);
void rename_file(const std::string& from, const std::string& to, const FileFault& fault);
/// Flushes a file or a folder's list of names to the disk.
void flush_to_disk(const std::string& path, const FileFault& fault);
/// Removes a file or a folder with all in it, as well as it can.
void remove_quietly(const std::string& path, const FileFault& fault);

struct RemoveAtEnd {
  const std::string& path;
  const FileFault& fault;
  ~RemoveAtEnd() { remove_quietly(path, fault); }
};

}  // namespace detail
}  // namespace tenet
