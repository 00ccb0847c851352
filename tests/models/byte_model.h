/// A tiny byte model and a text to train it on.
#pragma once

#include <tenet/models/trainer.h>

#include <string>

#include "models/scratch_folder.h"
#include "small_reformer.h"

namespace tenet::test {

/// Two layers of width 16 over bytes, with an LSH layer and dropout.
inline ReformerConfig byte_config(int64_t length = 32) {
  ReformerConfig config =
      small_config({.attention = "local,lsh", .length = length, .dropout = 0.1});
  config.vocab_size = 258;
  config.initializer_range = 0.1;
  return config;
}

/// About 4 kB with something to learn.
inline std::string some_text() {
  std::string text;
  for (int i = 0; text.size() < 4000; ++i) {
    text += "line " + std::to_string(i * i % 97) + ": the quick brown fox; ";
  }
  return text;
}

/// A file to print progress to that nobody reads.
class NullLog {
 public:
  NullLog() : file_(std::fopen("/dev/null", "w")) {}
  ~NullLog() { std::fclose(file_); }
  NullLog(const NullLog&) = delete;
  NullLog& operator=(const NullLog&) = delete;
  std::FILE* get() const { return file_; }

 private:
  std::FILE* file_;
};

/// Options of a short run on folder/text.txt into folder/out.
inline TrainOptions short_run(const ScratchFolder& folder, int64_t steps) {
  return {.config = byte_config(),
          .text = folder / "text.txt",
          .out = folder / "out",
          .steps = steps,
          .batch = 2,
          .length = 32,
          .device = test_device(),
          .warmup = 2,
          .seed = 5};
}

inline TrainResult run(const TrainOptions& options) {
  const NullLog log;
  const std::atomic<bool> stop{false};
  return train(options, stop, log.get());
}

}  // namespace tenet::test
