#include <tenet/models/byte_score.h>
#include <tenet/models/detail/evaluation.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/cross_entropy.h>
#include <tenet/ops/views.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace tenet {
namespace {

/// The longest text that, padded, fits the positions.
int64_t longest(const ReformerConfig& config) {
  int64_t length = config.max_position_embeddings;
  while (length > 1 && config.padded_length(length) > config.max_position_embeddings) --length;
  return length;
}

/// Bits of each byte of `window` but the first under the model that sees those before it.
std::vector<double> window_bits(Reformer& model, std::span<const uint8_t> window) {
  std::vector<int64_t> tokens;
  for (const uint8_t byte : window) tokens.push_back(byte + model.config().byte_offset);
  const int64_t length = std::ssize(tokens) - 1;
  const Tensor all = from_vector(tokens, {1, length + 1}, {DType::i64, model.device()});
  const Tensor nats = cross_entropy(model.logits(slice(all, 1, 0, length)),
                                    slice(all, 1, 1, length + 1), {.reduction = Reduction::none});
  std::vector<double> bits = nats.to_vector<double>();
  for (double& b : bits) b /= std::numbers::ln2;
  return bits;
}

}  // namespace

TextScore byte_scores(Reformer& model, std::span<const uint8_t> text,
                      const ByteScoreOptions& options,
                      const std::function<void(const ByteScore&)>& emit) {
  const ReformerConfig& config = model.config();
  check_byte_model(config, "score");
  check(!text.empty(), "score: the text is empty");
  const int64_t positions = config.max_position_embeddings;
  const int64_t length = options.length != 0 ? options.length : longest(config);
  check(length >= 1 && length <= positions, "score: length {} is not in 1..{}, the positions",
        length, positions);
  const int64_t overlap = options.overlap != -1 ? options.overlap : length / 2;
  check(overlap >= 0 && overlap < length, "score: overlap {} is not in 0..{}, below the length",
        overlap, length - 1);
  const detail::Evaluation scope(model);
  const int64_t last = std::ssize(text) - 1;
  TextScore score;
  for (int64_t first = 0; score.bytes < last; first += length - overlap) {
    const int64_t end = std::min(first + length, last);
    const auto bits = window_bits(
        model, text.subspan(static_cast<size_t>(first), static_cast<size_t>(end - first + 1)));
    for (int64_t at = score.bytes + 1; at <= end; ++at) {
      const ByteScore one{at, text[static_cast<size_t>(at)],
                          bits[static_cast<size_t>(at - first - 1)]};
      check(std::isfinite(one.bits), "score: the byte at {} has {} bits; the model is damaged", at,
            one.bits);
      score.bits_per_byte += one.bits;
      ++score.bytes;
      if (emit) emit(one);
    }
  }
  score.bits_per_byte /= static_cast<double>(std::max<int64_t>(score.bytes, 1));
  return score;
}

}  // namespace tenet
