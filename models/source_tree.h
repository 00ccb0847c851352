/// The default corpus: the framework's own source tree, real text that is always there.
#pragma once

#include <tenet/models/byte_text.h>

#include <cstdint>
#include <string>
#include <vector>

namespace tenet {

/// The source folder this build was made from. Error: it is no longer there.
std::string source_tree_root();

/// Paths, relative to `root` and in byte order, of its source files: C++, CUDA, CMake, Markdown,
/// text, shell, JSON and Python by suffix, and LICENSE. Left out: links, files that are not UTF-8
/// text, hidden folders and files, and folders that hold a build (named build..., or with a
/// CMakeCache.txt), the output of a training run or a Python environment.
std::vector<std::string> list_source_files(const std::string& root);

/// Fisher-Yates from the last element down: with n elements left, the last of them changes places
/// with element (first word of Philox block n of the seed) mod n.
void shuffle_files(std::vector<std::string>& files, uint64_t seed);

/// All source files under `root` in shuffled order, the last 5 % of the files (rounded up) held out
/// whole. Error: `root` is no folder, or holds fewer than two source files.
ByteText read_source_tree(const std::string& root, uint64_t seed = 0);

}  // namespace tenet
