#include <doctest/doctest.h>
#include <tenet/models/source_tree.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "models/scratch_folder.h"

using namespace tenet;

namespace {

std::string numbered(int i) { return "src/f" + std::to_string(100 + i) + ".cpp"; }

}  // namespace

TEST_CASE("source files are found by name, in order, and nothing else") {
  const ScratchFolder folder;
  for (const char* name : {"b.cpp", "a/z.h", "a.md", "CMakeLists.txt", "x/y/k.cu", "run.sh", "p.py",
                           "c.json", "LICENSE"})
    folder.write(name, "text\n");
  for (const char* name :
       {".git/HEAD.txt", ".hidden.h", "build/a.cpp", "build-debug/a.cpp", "picture.png",
        "CMakeCache.txt", "out/config.json", "out/metrics.jsonl", "mine/CMakeCache.txt",
        "mine/a.cpp", "env/pyvenv.cfg", "env/lib/m.py", "run1/state.json", "Makefile.in"})
    folder.write(name, "text\n");
  folder.write("binary.txt", std::string("a\0b", 3));
  folder.write("latin.txt", "caf\xe9 ol\xe9");
  folder.write("cut.txt", "caf\xc3");
  folder.write("utf.txt", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80");
  std::filesystem::create_symlink(folder / "b.cpp", folder / "link.cpp");
  std::filesystem::create_directory_symlink(folder / "a", folder / "linked");
  const std::vector<std::string> expected = {"CMakeLists.txt", "LICENSE", "a.md", "a/z.h",
                                             "b.cpp",          "c.json",  "p.py", "run.sh",
                                             "utf.txt",        "x/y/k.cu"};
  CHECK(list_source_files(folder.path()) == expected);
}

TEST_CASE("the order of the files depends on the seed alone") {
  std::vector<std::string> files;
  for (int i = 0; i < 9; ++i) files.push_back(std::to_string(i));
  auto a = files, b = files, c = files;
  shuffle_files(a, 0);
  shuffle_files(b, 0);
  shuffle_files(c, 1);
  CHECK(a == b);
  CHECK(a != c);
  CHECK(a != files);
  CHECK(a == std::vector<std::string>{"3", "6", "1", "7", "0", "8", "5", "4", "2"});
  std::sort(c.begin(), c.end());
  CHECK(c == files);
}

TEST_CASE("the last 5 % of the files are held out whole") {
  const ScratchFolder folder;
  for (int i = 0; i < 41; ++i) folder.write(numbered(i), "file " + std::to_string(i) + "\n");
  const ByteText text = read_source_tree(folder.path());
  CHECK(text.name == folder.path());
  CHECK(text.train_files.size() == 38);
  CHECK(text.valid_files.size() == 3);

  std::vector<std::string> files = list_source_files(folder.path());
  shuffle_files(files, 0);
  std::string train, valid;
  for (size_t i = 0; i < files.size(); ++i) (i < 38 ? train : valid) += contents(folder / files[i]);
  CHECK(std::string(text.train.begin(), text.train.end()) == train);
  CHECK(std::string(text.valid.begin(), text.valid.end()) == valid);
  CHECK(std::string(text.all.begin(), text.all.end()) == train + valid);
  CHECK(text.test.empty());
}

TEST_CASE("two files are enough, one is an error") {
  const ScratchFolder folder;
  folder.write("a.cpp", "one");
  CHECK(error_of([&] { read_source_tree(folder.path()); }) ==
        "text: \"" + folder.path() +
            "\" holds 1 source files, at least 2 are needed; give a file with --text");
  folder.write("b.cpp", "two");
  const ByteText text = read_source_tree(folder.path());
  CHECK(text.train.size() == 3);
  CHECK(text.valid.size() == 3);
  CHECK(error_of([&] { read_source_tree(folder / "a.cpp"); }) ==
        "text: \"" + (folder / "a.cpp") + "\" is not a directory");
}

TEST_CASE("this source tree is there and holds this file") {
  const auto files = list_source_files(source_tree_root());
  CHECK(std::count(files.begin(), files.end(), "tests/models/source_tree_test.cpp") == 1);
  CHECK(std::count(files.begin(), files.end(), "CMakeLists.txt") == 1);
}
