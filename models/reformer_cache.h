/// What a Reformer keeps of sequences that it continues.
#pragma once

#include <tenet/models/reformer_config.h>
#include <tenet/ops/attention/attention_cache.h>

#include <cstdint>
#include <vector>

namespace tenet {

/// To be handed to calls one after the other, each with the tokens that follow those of the last:
///
///     ReformerCache cache;
///     Tensor logits = model.next_logits(prompts, {.cache = &cache});  // (B, L) -> (B, V)
///     logits = model.next_logits(next, {.cache = &cache});            // (B, 1) -> (B, V)
///
/// Logits are those of the whole sequences in one call, to the bit in f32. The model has to be a
/// decoder of preset windowed in evaluation mode, under NoGrad. An approximate cache also serves
/// preset hugging_face, whose chunks later tokens move: it gives what transformers gives with its
/// cache, which differs from the logits of the whole sequences by tenths. After an exception a
/// cache is good to be destroyed only.
class ReformerCache {
 public:
  explicit ReformerCache(bool approximate = false) : approximate_(approximate) {}

  /// Whether it serves a model of this configuration.
  bool serves(const ReformerConfig& config) const {
    return config.is_decoder &&
           (!config.has_chunks() || (approximate_ && config.lsh_preset == "hugging_face"));
  }
  /// Sequences; 0 before the first call.
  int64_t rows() const { return static_cast<int64_t>(lengths_.size()); }
  /// Tokens of a sequence so far.
  int64_t length(int64_t row) const { return lengths_.at(static_cast<size_t>(row)); }
  /// Sequence i becomes a copy of what sequence rows[i] is.
  void select(const std::vector<int64_t>& rows) {
    std::vector<int64_t> lengths;
    lengths.reserve(rows.size());
    for (const int64_t row : rows) lengths.push_back(length(row));
    for (AttentionCache& layer : layers_) layer.select(rows);
    lengths_ = std::move(lengths);
  }

 private:
  friend class Reformer;
  std::vector<AttentionCache> layers_;
  std::vector<int64_t> lengths_;
  bool approximate_;
};

}  // namespace tenet
