/// Files that are replaced as one set, whole or not at all; for a single file see
/// core/atomic_file.h.
///
/// Note [Replacing a set of files]. rename() replaces one file atomically, a checkpoint is several.
/// So the new set is written into FOLDER/.saving and flushed to the disk; one rename to
/// FOLDER/.saved commits it; then its files are renamed to their places and the empty .saved is
/// removed. Whatever moment a crash, a full disk or a failing call picks, there are two cases.
/// Before the commit, FOLDER holds the old set untouched and .saving is rubbish. After it, each
/// file of the new set is either still in .saved or already in its place, so a reader that looks in
/// .saved first finds the new set complete: that is what `path` does, and the next
/// `prepare` or `save` finishes the moves. The files of FOLDER are plain files: any program can
/// read, copy or upload them.
#pragma once

#include <tenet/core/atomic_file.h>

#include <functional>
#include <string>
#include <vector>

namespace tenet {

/// A folder in which the named files are replaced as one set; other files may live beside them. One
/// writer at a time; a reader that comes in the middle of another process's save may have to try
/// twice.
class AtomicFolder {
 public:
  /// Touches nothing yet. `fault` is for tests.
  AtomicFolder(std::string folder, std::vector<std::string> names, FileFault fault = {});

  /// Makes the folder and leaves it as it was if it exists; finishes a save that was interrupted.
  /// Error: not writable.
  void prepare();

  /// Calls write(staging folder), which must make every named file there, then replaces the set.
  /// Error: anything failed; the text says whether the older set is still the valid one.
  void save(const std::function<void(const std::string& staging)>& write);

  /// Where to read a file of the newest complete set; the file need not exist. Error: the folder
  /// cannot be searched.
  std::string path(const std::string& name) const;

  /// The named files that cannot be found, and whether there are none of them.
  std::vector<std::string> missing() const;
  /// Whether no named file is missing.
  bool complete() const { return missing().empty(); }

 private:
  void recover();
  void make_staging();
  void stage(const std::function<void(const std::string&)>& write);
  void move_into_place();
  std::string older_set() const;

  std::string folder_, staging_, committed_;
  std::vector<std::string> names_;
  FileFault fault_;
};

}  // namespace tenet
