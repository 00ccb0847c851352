#include <doctest/doctest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <tenet/models/atomic_file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "models/scratch_folder.h"

using namespace tenet;

namespace {

namespace fs = std::filesystem;

const std::vector<std::string> names = {"config.json", "model.safetensors", "optimizer.safetensors",
                                        "state.json"};

void write_set(const std::string& staging, const std::string& version,
               const FileFault& fault = {}) {
  for (const std::string& name : names)
    write_file(staging + "/" + name, name + " " + version, fault);
}

void save_set(const std::string& folder, const std::string& version, const FileFault& fault = {}) {
  AtomicFolder(folder, names, fault).save([&](const std::string& staging) {
    write_set(staging, version, fault);
  });
}

/// The version that every file has, as a reader that comes now finds them; "mixed" or "incomplete"
/// else.
std::string version_in(const std::string& folder) {
  const AtomicFolder set(folder, names);
  std::string version;
  for (const std::string& name : names) {
    const std::string text = contents(set.path(name));
    if (!text.starts_with(name + " ")) return "incomplete";
    const std::string found = text.substr(name.size() + 1);
    if (!version.empty() && found != version) return "mixed";
    version = found;
  }
  return version;
}

/// The names in a folder, in order.
std::vector<std::string> list(const std::string& folder) {
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator(folder))
    found.push_back(entry.path().filename().string());
  std::sort(found.begin(), found.end());
  return found;
}

/// Lets n calls pass; then one fails, or that one and all after it, as if the process had died
/// there.
struct FailAt {
  int n;
  bool dead;
  int error = EIO;
  int* calls;
  int operator()(std::string_view, const std::string&) const {
    const int call = (*calls)++;
    return call == n || (dead && call > n) ? error : 0;
  }
};

}  // namespace

TEST_CASE("a set is written, and written again") {
  const ScratchFolder folder;
  const std::string out = folder / "deep/out";
  CHECK_FALSE(AtomicFolder(out, names).complete());
  save_set(out, "1");
  CHECK(version_in(out) == "1");
  CHECK(list(out) == names);
  save_set(out, "2");
  CHECK(version_in(out) == "2");
  CHECK(list(out) == names);
  CHECK(AtomicFolder(out, names).complete());
  for (const std::string& name : names) CHECK(contents(out + "/" + name) == name + " 2");
}

TEST_CASE("a folder that cannot be searched is an error") {
  const std::string long_name = "/tmp/" + std::string(300, 'x');
  CHECK(error_of([&] { AtomicFolder(long_name, names).complete(); }) ==
        "load: cannot read \"" + long_name + "\": File name too long");
}

TEST_CASE("the files that are missing") {
  const ScratchFolder folder;
  save_set(folder.path(), "1");
  CHECK(AtomicFolder(folder.path(), names).missing().empty());
  fs::remove(folder / "optimizer.safetensors");
  CHECK(AtomicFolder(folder.path(), names).missing() ==
        std::vector<std::string>{"optimizer.safetensors"});
}

TEST_CASE("other files in the folder stay") {
  const ScratchFolder folder;
  folder.write("out/metrics.jsonl", "{}\n");
  save_set(folder / "out", "1");
  save_set(folder / "out", "2");
  CHECK(contents(folder / "out/metrics.jsonl") == "{}\n");
}

TEST_CASE("whichever call fails, a reader finds the whole old set or the whole new one") {
  for (const bool dead : {false, true}) {
    int first_new = -1;
    for (int n = 0, calls = 0; calls >= n; ++n) {
      CAPTURE(dead);
      CAPTURE(n);
      const ScratchFolder folder;
      save_set(folder / "out", "old");
      calls = 0;
      const std::string error = error_of(
          [&] { save_set(folder / "out", "new", FailAt{.n = n, .dead = dead, .calls = &calls}); });
      const std::string found = version_in(folder / "out");
      CHECK((found == "old" || found == "new"));
      if (error.empty()) CHECK(found == "new");
      if (!error.empty() && found == "new" && first_new < 0) first_new = n;
      if (first_new >= 0) CHECK(found == "new");
      if (found == "old")
        CHECK(error.ends_with("the older checkpoint in \"" + (folder / "out") + "\" stays valid"));

      save_set(folder / "out", "next");  // and the run after it goes on
      CHECK(version_in(folder / "out") == "next");
      CHECK(list(folder / "out") == names);
    }
    CHECK(first_new >
          8);  // at least the four files were written and flushed before the new set counted
  }
}

TEST_CASE("whichever call fails in a first save, there is no set or the whole one") {
  for (const bool dead : {false, true})
    for (int n = 0, calls = 0; calls >= n; ++n) {
      CAPTURE(dead);
      CAPTURE(n);
      const ScratchFolder folder;
      calls = 0;
      error_of(
          [&] { save_set(folder / "out", "new", FailAt{.n = n, .dead = dead, .calls = &calls}); });
      const AtomicFolder set(folder / "out", names);
      if (set.complete())
        CHECK(version_in(folder / "out") == "new");
      else
        for (const std::string& name : names) CHECK(contents(set.path(name)) == "(none)");
    }
}

TEST_CASE("whichever call fails while an interrupted save is finished, the set stays whole") {
  for (const bool dead : {false, true})
    for (int n = 0, calls = 0; calls >= n; ++n) {
      CAPTURE(dead);
      CAPTURE(n);
      const ScratchFolder folder;
      save_set(folder / "out", "old");
      write_set(folder / "out", "old");
      fs::create_directory(folder / "out/.saved");
      write_set(folder / "out/.saved", "new");
      fs::rename(folder / "out/.saved/state.json",
                 folder / "out/state.json");  // one was moved, then the crash
      REQUIRE(version_in(folder / "out") == "new");
      calls = 0;
      error_of([&] {
        AtomicFolder(folder / "out", names, FailAt{.n = n, .dead = dead, .calls = &calls})
            .prepare();
      });
      CHECK(version_in(folder / "out") == "new");
    }
}

TEST_CASE("a killed process leaves a whole set") {
  const ScratchFolder folder;
  const std::string out = folder / "out";
  save_set(out, "0");
  for (int round = 0; round < 20; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      for (int i = 1;; ++i) save_set(out, std::to_string(round) + "." + std::to_string(i));
    }
    ::usleep(1500 + 731 * round);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    const std::string found = version_in(out);
    CHECK(found != "mixed");
    CHECK(found != "incomplete");
  }
}

TEST_CASE("a full disk is told with the remedy, and the older checkpoint stays") {
  const ScratchFolder folder;
  const std::string out = folder / "out";
  const FileFault full = [](std::string_view call, const std::string& path) {
    return call == "write" && path.ends_with("model.safetensors") ? ENOSPC : 0;
  };
  const std::string reason = "save: cannot write \"" + out +
                             "/.saving/model.safetensors\": No space left on device; " +
                             "free some space there; ";
  CHECK(error_of([&] { save_set(out, "1", full); }) ==
        reason + "\"" + out + "\" has no checkpoint yet");
  save_set(out, "1");
  CHECK(error_of([&] { save_set(out, "2", full); }) ==
        reason + "the older checkpoint in \"" + out + "\" stays valid");
  CHECK(version_in(out) == "1");
  CHECK(list(out) == names);
}

TEST_CASE("a write that the system cuts short is an error and leaves nothing behind") {
  const ScratchFolder folder;
  atomic_write(folder / "a.txt", "old");
  rlimit before;
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  rlimit small = before;
  small.rlim_cur = 5000;
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  const std::string error =
      error_of([&] { atomic_write(folder / "a.txt", std::string(10000, 'x')); });
  ::setrlimit(RLIMIT_FSIZE, &before);
  ::signal(SIGXFSZ, handler);
  CHECK(error.ends_with(": File too large"));
  CHECK(contents(folder / "a.txt") == "old");
  CHECK(list(folder.path()) == std::vector<std::string>{"a.txt"});
}

TEST_CASE("a folder that cannot be written to is told at once") {
  const ScratchFolder folder;
  folder.write("file", "x");
  const std::string out = folder / "file/out";
  CHECK(error_of([&] { AtomicFolder(out, names).prepare(); }) ==
        "save: cannot create \"" + out +
            "\": Not a directory; choose a folder that you may write to");
  const FileFault locked = [](std::string_view call, const std::string& path) {
    return call == "create" && path.ends_with(".saving") ? EACCES : 0;
  };
  CHECK(error_of([&] { AtomicFolder(folder.path(), names, locked).prepare(); }) ==
        "save: cannot write to \"" + folder.path() +
            "\": Permission denied; choose a folder that you may write to");
  CHECK(list(folder.path()) == std::vector<std::string>{"file"});
}

TEST_CASE("an exception while the set is written leaves the older one") {
  const ScratchFolder folder;
  const std::string out = folder / "out";
  save_set(out, "1");
  AtomicFolder set(out, names);
  const auto broken = [](const std::string& staging) {
    write_file(staging + "/config.json", "half");
    throw Error("model: it went wrong");
  };
  CHECK(error_of([&] { set.save(broken); }) ==
        "model: it went wrong; the older checkpoint in \"" + out + "\" stays valid");
  const auto forgetful = [](const std::string& staging) {
    write_file(staging + "/config.json", "alone");
  };
  CHECK(error_of([&] { set.save(forgetful); }) ==
        "save: cannot flush \"" + out +
            "/.saving/model.safetensors\": No such file or directory; the older checkpoint in \"" +
            out + "\" stays valid");
  CHECK_THROWS_AS(set.save([](const std::string&) { throw OutOfMemory("full"); }), OutOfMemory);
  CHECK(version_in(out) == "1");
  CHECK(list(out) == names);
}

TEST_CASE("whichever call of atomic_write fails, the file is the old or the new one") {
  for (int n = 0, calls = 0; calls >= n; ++n) {
    const ScratchFolder folder;
    atomic_write(folder / "a.txt", "old");
    calls = 0;
    error_of([&] {
      atomic_write(folder / "a.txt", "new", FailAt{.n = n, .dead = false, .calls = &calls});
    });
    const std::string found = contents(folder / "a.txt");
    CHECK((found == "old" || found == "new"));
    if (n < 4) CHECK(found == "old");
    CHECK(list(folder.path()) == std::vector<std::string>{"a.txt"});
  }
}
