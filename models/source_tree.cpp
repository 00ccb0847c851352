#include <tenet/core/error.h>
#include <tenet/core/philox.h>
#include <tenet/models/source_tree.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string_view>

namespace tenet {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 10> suffixes = {".h",   ".cpp", ".cu",   ".cuh",   ".md",
                                                       ".txt", ".sh",  ".json", ".cmake", ".py"};
constexpr std::array<std::string_view, 4> marks_of_no_source = {"CMakeCache.txt", "metrics.jsonl",
                                                                "state.json", "pyvenv.cfg"};

bool is_source_folder(const fs::path& folder) {
  const std::string name = folder.filename().string();
  if (name.starts_with('.') || name.starts_with("build")) return false;
  return std::none_of(marks_of_no_source.begin(), marks_of_no_source.end(),
                      [&](std::string_view mark) { return fs::exists(folder / mark); });
}

bool is_source_name(const fs::path& file) {
  const std::string name = file.filename().string(), suffix = file.extension().string();
  if (name == "CMakeCache.txt" || name.starts_with('.')) return false;
  return name == "LICENSE" || std::find(suffixes.begin(), suffixes.end(), suffix) != suffixes.end();
}

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string bytes(std::istreambuf_iterator<char>(file), {});
  check(file.good() || file.eof(), "text: cannot read \"{}\"", path.string());
  return bytes;
}

/// Whether the bytes are UTF-8 without zero bytes: each lead byte is followed by as many
/// continuation bytes as it says.
bool is_text(std::string_view bytes) {
  for (size_t i = 0; i < bytes.size();) {
    const auto lead = static_cast<uint8_t>(bytes[i]);
    const size_t n = lead < 0x80   ? 1
                     : lead < 0xc2 ? 0
                     : lead < 0xe0 ? 2
                     : lead < 0xf0 ? 3
                     : lead < 0xf5 ? 4
                                   : 0;
    if (lead == 0 || n == 0 || n > bytes.size() - i) return false;
    for (size_t k = 1; k < n; ++k)
      if ((static_cast<uint8_t>(bytes[i + k]) & 0xc0) != 0x80) return false;
    i += n;
  }
  return true;
}

}  // namespace

std::string source_tree_root() {
#ifdef TENET_SOURCE_DIR
  std::string root = TENET_SOURCE_DIR;
  check(fs::is_directory(root),
        "text: the source tree \"{}\" is no longer there; give a file with --text", root);
  return root;
#else
  fail("text: this build does not know its source tree; give a file with --text");
#endif
}

std::vector<std::string> list_source_files(const std::string& root) {
  check(fs::is_directory(root), "text: \"{}\" is not a directory", root);
  std::vector<std::string> files;
  fs::recursive_directory_iterator entry(root, fs::directory_options::skip_permission_denied);
  for (; entry != fs::end(entry); ++entry) {
    if (entry->is_symlink()) {
      entry.disable_recursion_pending();
    } else if (entry->is_directory()) {
      if (!is_source_folder(entry->path())) entry.disable_recursion_pending();
    } else if (entry->is_regular_file() && is_source_name(entry->path()) &&
               is_text(read_file(entry->path()))) {
      files.push_back(entry->path().lexically_relative(root).generic_string());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

void shuffle_files(std::vector<std::string>& files, uint64_t seed) {
  for (size_t left = files.size(); left > 1; --left)
    std::swap(files[left - 1], files[philox_block({.seed = seed}, left).word[0] % left]);
}

ByteText read_source_tree(const std::string& root, uint64_t seed) {
  std::vector<std::string> files = list_source_files(root);
  check(files.size() >= 2,
        "text: \"{}\" holds {} source files, at least 2 are needed; give a file with --text", root,
        files.size());
  shuffle_files(files, seed);
  const auto first_held_out = files.end() - static_cast<int64_t>((files.size() + 19) / 20);

  auto bytes = std::make_shared<std::string>();
  size_t train = 0;
  for (auto file = files.begin(); file != files.end(); ++file) {
    if (file == first_held_out) train = bytes->size();
    *bytes += read_file(fs::path(root) / *file);
  }
  const std::span all(reinterpret_cast<const uint8_t*>(bytes->data()), bytes->size());
  return {.name = root,
          .all = all,
          .train = all.first(train),
          .valid = all.subspan(train),
          .train_files = {files.begin(), first_held_out},
          .valid_files = {first_held_out, files.end()},
          .owner = std::move(bytes)};
}

}  // namespace tenet
