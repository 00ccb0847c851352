/// What one does with a language model over bytes: score a text, continue a prompt.
#pragma once

#include <tenet/core/generator.h>
#include <tenet/models/byte_text.h>
#include <tenet/models/reformer.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>

namespace tenet {

/// tokens [rows, length] and targets of a batch as tensors.
struct TokenTensors {
  Tensor input, target;
};
TokenTensors to_tensors(const TokenBatch& batch);

struct TextScore {
  double bits_per_byte = 0;
  int64_t bytes = 0;  // scored: all but the first
};

/// Bits per byte of `text` under the model in evaluation mode, in windows of `length` that overlap
/// by one byte. `progress` is told the share done. The model's training flag is as before
/// afterwards.
TextScore evaluate(Reformer& model, std::span<const uint8_t> text, int64_t length, int64_t rows = 1,
                   const std::function<void(double)>& progress = {});

struct SamplingOptions {
  int64_t tokens = 256;      // how many to add
  double temperature = 1.0;  // 0 takes the most probable token
  int64_t top_k = 0;         // keep the k most probable; 0 keeps all
  double top_p = 1.0;        // keep the fewest tokens whose probabilities add up to p
};

/// One token drawn from `logits` [V]. Tokens below `first_allowed` are never drawn.
int64_t sample(const Tensor& logits, const SamplingOptions& options, int64_t first_allowed,
               Generator& generator);

/// Continues `prompt`, handing each new byte to `emit`. Error: the prompt is empty, or prompt and
/// new tokens together are longer than the model's positions.
void generate(Reformer& model, const std::string& prompt, const SamplingOptions& options,
              Generator& generator, const std::function<void(char)>& emit);

}  // namespace tenet
