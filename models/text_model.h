/// What one does with a language model over bytes: score a text, continue a prompt.
#pragma once

#include <tenet/core/generator.h>
#include <tenet/models/byte_text.h>
#include <tenet/models/generation.h>
#include <tenet/models/reformer.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tenet {

/// tokens [rows, length] and targets of a batch as tensors.
struct TokenTensors {
  Tensor input, target;  // (rows, length), i64
};
/// Copies of the batch's numbers on `device`.
TokenTensors to_tensors(const TokenBatch& batch, Device device = Device::cpu());

/// Error unless the model predicts each byte from those before it: it is causal, and its
/// vocabulary is known to hold every byte. `op` begins the message.
void check_byte_model(const ReformerConfig& config, std::string_view op);

/// How well a model predicts a text.
struct TextScore {
  double bits_per_byte = 0;  // the mean
  int64_t bytes = 0;         // scored: all but the first
};

/// Bits per byte of `text` under the model in evaluation mode, in windows of `length` that overlap
/// by one byte. `progress` is told the share done. The model's training flag is as before
/// afterwards. Error: check_byte_model's, or a loss that is not finite.
TextScore evaluate(Reformer& model, std::span<const uint8_t> text, int64_t length, int64_t rows = 1,
                   const std::function<void(double)>& progress = {});

/// Error: check_byte_model's, the prompt is empty, an option is out of range, or prompt and new
/// tokens together are longer than the model's positions.
void check_generation(const ReformerConfig& config, const std::string& prompt,
                      const GenerationOptions& options);

/// Continues `prompt`, handing each new byte to `emit`. options.range is set to the bytes, and
/// options.stop are bytes. Error: check_generation's and sample()'s.
void generate(Reformer& model, const std::string& prompt, const GenerationOptions& options,
              Generator& generator, const std::function<void(char)>& emit);

/// What follows each of the prompts: generate() in models/generation.h for texts.
std::vector<std::string> generate(Reformer& model, const std::vector<std::string>& prompts,
                                  const GenerationOptions& options, Generator& generator);

}  // namespace tenet
