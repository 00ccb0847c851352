/// The Reformer language model. Kitaev, Kaiser and Levskaya, "Reformer: The Efficient Transformer"
/// (2020), arXiv 2001.04451.
///
/// Parameter names and shapes are Hugging Face's
/// (`reformer.encoder.layers.0.attention.self_attention.query_key.weight`).
#pragma once

#include <tenet/models/reformer_cache.h>
#include <tenet/models/reformer_config.h>
#include <tenet/nn/dropout.h>
#include <tenet/nn/embedding.h>
#include <tenet/nn/layer_call.h>
#include <tenet/nn/layer_norm.h>
#include <tenet/nn/linear.h>
#include <tenet/nn/module.h>
#include <tenet/nn/position.h>
#include <tenet/nn/reversible_sequence.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace tenet {

/// What one call of a Reformer may say beside its tokens.
struct ReformerCall {
  Tensor mask = {};       // (B, L), boolean: tokens in use; undefined: all
  Tensor positions = {};  // (B, L), i64: of each token; undefined: 0, 1, ...
  int64_t hashes = 0;     // rounds of LSH attention; 0: the configuration's
  /// Hash rotations to use instead of drawn ones, one for each layer, undefined where drawn; empty:
  /// all drawn.
  std::vector<Tensor> rotations = {};
  /// The tokens follow those of the calls before with this cache, if any; the mask's used tokens
  /// then come first in each row, and positions are counted by the cache.
  ReformerCache* cache = nullptr;
  /// Is shown "emb" and of each layer "attn.0", "x1.0", "x2.0", "buckets.0", "order.0" (of LSH
  /// presets that have chunks).
  std::function<void(const std::string& name, const Tensor& value)> observe = {};
};

/// Embeddings and positions, the reversible layers, a norm over both streams and a head to logits.
/// It predicts each token from those before it (is_decoder), or from all.
class Reformer : public nn::Module {
 public:
  /// How many positions pass through a feed-forward part at a time: what they keep there fits the
  /// cache, and gradients of weights are added up in blocks of as many (Note [Order of products]).
  static constexpr int64_t feed_forward_rows = 1024;

  /// Random weights drawn from `config.seed`. Error: config.validate()'s.
  explicit Reformer(const ReformerConfig& config);

  /// tokens [B, L] i64 or i32 -> [B, L, 2 D], after the final layer norm over both streams. If the
  /// preset has chunks, a length above the shortest chunk is padded inside to a multiple of all,
  /// with tokens that are not in use. A row of which no token is in use has finite results, B may
  /// be 0. Errors: a part of the input that is of another shape or type or out of range, with the
  /// value and its place.
  Tensor hidden(const Tensor& tokens, const ReformerCall& call = {});
  /// tokens [B, L] -> [B, L, V]
  Tensor logits(const Tensor& tokens, const ReformerCall& call = {});
  /// tokens [B, L] -> [B, V]: the logits of what follows each row's last token in use.
  Tensor next_logits(const Tensor& tokens, const ReformerCall& call = {});
  /// Mean cross-entropy in nats of targets [B, L] (-100 is not scored); never holds [B, L, V].
  Tensor loss(const Tensor& tokens, const Tensor& targets, const ReformerCall& call = {});

  /// What it was made from, with num_buckets filled in.
  const ReformerConfig& config() const { return config_; }
  /// false keeps every activation instead of rebuilding it; results are the same.
  void set_reversible(bool reversible) { layers_->set_reversible(reversible); }
  void fields(nn::Fields& f) override;

 private:
  Reformer(const ReformerConfig& config, Generator generator);
  static ReformerConfig checked(ReformerConfig config);
  /// Both streams after the last layer, [B, L, 2 D].
  Tensor streams(const Tensor& tokens, const ReformerCall& call);
  Tensor continued(const Tensor& tokens, const ReformerCall& call);
  std::vector<int64_t> begin_cached(const Tensor& tokens, const ReformerCall& call) const;
  Tensor position_vectors(int64_t length) const;
  Tensor embedded(const Tensor& tokens, const Tensor& positions) const;
  std::vector<nn::LayerCall> layer_calls(const ReformerCall& call, const Tensor& mask) const;
  void add_layer(int64_t index, Generator& generator);

  ReformerConfig config_;
  nn::Embedding tokens_;
  std::unique_ptr<nn::LearnedPositionalEmbedding> learned_positions_;
  std::unique_ptr<nn::AxialPositionalEmbedding> axial_positions_;
  std::unique_ptr<nn::ReversibleSequence> layers_;
  nn::LayerNorm norm_;
  nn::Linear head_;
  nn::Dropout dropout_;
};

}  // namespace tenet
