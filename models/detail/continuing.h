/// Sequences that grow by a token at a time.
#pragma once

#include <tenet/models/generation.h>

#include <cstdint>
#include <span>
#include <vector>

namespace tenet::detail {

/// The logits that may be chosen. Error: a range outside them, or one that is not finite.
std::span<const float> within(const std::vector<float>& logits, TokenRange range);

/// Sequences that go on by a token at a time: with what the model keeps of them, or from their
/// beginnings.
class Continuing {
 public:
  Continuing(Reformer& model, const std::vector<std::vector<int64_t>>& prompts,
             const GenerationOptions& options);

  /// Of what follows each sequence, (sequences, V).
  Tensor next_logits();
  /// Sequence i becomes sequence rows[i] with tokens[i] behind it.
  void go_on(const std::vector<int64_t>& rows, const std::vector<int64_t>& tokens);

 private:
  Tensor next_logits_anew();

  Reformer& model_;
  ReformerCache cache_;
  bool cached_;
  std::vector<std::vector<int64_t>> sequences_;  // whole
};

}  // namespace tenet::detail
