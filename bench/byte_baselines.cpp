/// Bits per byte of the Witten-Bell byte models of order 1, 2 and 3 on the held-out part of a text:
/// what a language model trained on the same bytes is compared with.
#include <tenet/core/error.h>
#include <tenet/models/atomic_file.h>
#include <tenet/models/progress.h>
#include <tenet/models/source_tree.h>
#include <tenet/models/witten_bell.h>

#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace {

constexpr const char* help =
    "usage: byte_baselines [--text FILE] [--dump DIR]\n"
    "\n"
    "Fits interpolated Witten-Bell byte models of order 1, 2 and 3 to the training part of a text "
    "and prints their\n"
    "bits per byte on its held-out part.\n"
    "\n"
    "  --text FILE  the text (default: the framework's own source tree)\n"
    "  --dump DIR   also write the two parts as DIR/train.bin and DIR/valid.bin, for other "
    "programs\n";

struct Options {
  std::string text, dump;
  bool help = false;
};

Options parse(int count, char** words) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string_view word = words[i];
    if (word == "--help" || word == "-h") {
      options.help = true;
      continue;
    }
    tenet::check(word == "--text" || word == "--dump",
                 "byte_baselines: unknown option \"{}\"; see --help", word);
    tenet::check(i + 1 < count, "byte_baselines: {} needs a value", word);
    (word == "--text" ? options.text : options.dump) = words[++i];
  }
  return options;
}

std::string_view as_chars(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void dump(const tenet::ByteText& text, const std::string& folder) {
  std::filesystem::create_directories(folder);
  tenet::atomic_write(folder + "/train.bin", as_chars(text.train));
  tenet::atomic_write(folder + "/valid.bin", as_chars(text.valid));
}

void describe_part(const char* name, std::span<const uint8_t> bytes,
                   const std::vector<std::string>& files) {
  fmt::print("{:<12}{:>13} bytes", name, tenet::with_commas(std::ssize(bytes)));
  if (!files.empty()) fmt::print("  in {} files", files.size());
  fmt::print("\n");
}

void run(const Options& options) {
  const tenet::ByteText text = options.text.empty()
                                   ? tenet::read_source_tree(tenet::source_tree_root())
                                   : tenet::read_byte_text(options.text);
  fmt::print("text        {}\n", text.name);
  describe_part("training", text.train, text.train_files);
  describe_part("held out", text.valid, text.valid_files);
  if (!options.dump.empty()) dump(text, options.dump);
  const tenet::WittenBell model(text.train);
  fmt::print("\nmodel                   bits/byte, held out\n");
  for (int order = 1; order <= tenet::WittenBell::max_order; ++order)
    fmt::print("Witten-Bell, order {}  {:>21.4f}\n", order, model.bits_per_byte(text.valid, order));
}

}  // namespace

int main(int count, char** words) {
  try {
    const Options options = parse(count, words);
    if (options.help) {
      fmt::print("{}", help);
    } else {
      run(options);
    }
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
