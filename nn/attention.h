/// Attention modules: projections around attention(), local_attention() and lsh_attention().
///
/// Each maps x (B, L, D) to (B, L, D). Projections have no bias and are named as in Hugging Face's
/// Reformer: self_attention.query, .key and .value (or .query_key and .value), output.dense.
#pragma once

#include <tenet/nn/linear.h>
#include <tenet/nn/module.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace tenet::nn {

/// The widths of an attention module.
struct AttentionSize {
  int64_t d_model = 0;    // D, of x and of the result
  int64_t heads = 1;      // H
  int64_t head_size = 0;  // 0: d_model / heads
};

/// What a MultiHeadAttention is made with.
struct MultiHeadAttentionOptions {
  AttentionSize size = {};  // d_model has to be given
  bool causal = false;      // a position sees no later one
  bool shared_qk = false;   // one projection for queries and keys; keys are normalised, a position
                            // does not see itself
  int64_t d_memory = 0;     // width of the memory; 0: d_model
  double dropout = 0;       // of the attention weights
  double std = 0;           // of the initial weights; 0: as Linear's
};

/// Full attention in O(L) memory. Vaswani et al., "Attention Is All You Need" (2017), section 3.2.
class MultiHeadAttention : public Module {
 public:
  explicit MultiHeadAttention(MultiHeadAttentionOptions options,
                              Generator& generator = default_generator());

  /// Self-attention. `mask` (B, L), boolean: which positions may be seen; undefined: all.
  Tensor operator()(const Tensor& x, const Tensor& mask = {});
  /// Attention of x (B, L, D) to `memory` (B, M, d_memory) under a mask (B, M). Error if the module
  /// is causal or shared_qk.
  Tensor operator()(const Tensor& x, const Tensor& memory, const Tensor& mask);
  void fields(Fields& f) override;
  std::string describe() const override;

 private:
  Tensor attend(const Tensor& x, const Tensor& memory, const Tensor& mask);

  MultiHeadAttentionOptions options_;
  Linear query_;  // also the keys if shared
  std::optional<Linear> key_;
  Linear value_, output_;
};

/// What a LocalSelfAttention is made with.
struct LocalSelfAttentionOptions {
  AttentionSize size = {};                      // d_model has to be given
  int64_t chunk = 64;                           // positions
  int64_t chunks_before = 1, chunks_after = 0;  // that are seen beside the own one
  bool causal = true;                           // a position sees no later one
  double dropout = 0;                           // of the attention weights
  double std = 0;                               // of the initial weights; 0: as Linear's
};

/// Attention within a chunk and its neighbours.
class LocalSelfAttention : public Module {
 public:
  explicit LocalSelfAttention(LocalSelfAttentionOptions options,
                              Generator& generator = default_generator());

  /// Self-attention. `mask` (B, L), boolean: which positions may be seen; undefined: all.
  Tensor operator()(const Tensor& x, const Tensor& mask = {});
  void fields(Fields& f) override;
  std::string describe() const override;

 private:
  LocalSelfAttentionOptions options_;
  Linear query_, key_, value_, output_;
};

/// What an LshSelfAttention is made with.
struct LshSelfAttentionOptions {
  AttentionSize size = {};  // d_model has to be given
  int64_t window = 64;      // positions of the own bucket that are seen
  std::vector<int64_t> num_buckets =
      {};                         // even factors; a property of the model, never of a call's length
  int64_t hashes = 2;             // rounds in training
  int64_t evaluation_hashes = 0;  // rounds in evaluation; 0: as in training
  bool causal = true;             // a position sees no later one
  double dropout = 0;             // of the attention weights
  double std = 0;                 // of the initial weights; 0: as Linear's
  /// Rotations in evaluation are a function of seed and layer; in training they are drawn anew in
  /// every call, from the default generator.
  uint64_t seed = 0;
  uint64_t layer = 0;
};

/// What one call of LshSelfAttention may choose.
struct LshCall {
  Tensor mask = {};       // (B, L), boolean: positions in use
  int64_t hashes = 0;     // rounds; 0: the module's
  Tensor rotations = {};  // (H, K, R, sum(num_buckets) / 2) instead of drawn ones
};

/// Attention among positions that hash alike, preset `windowed`; queries and keys are shared.
/// Kitaev et al., "Reformer" (2020), section 2. The number of buckets never depends on the length
/// of a call: later tokens change nothing before them.
class LshSelfAttention : public Module {
 public:
  explicit LshSelfAttention(LshSelfAttentionOptions options,
                            Generator& generator = default_generator());

  Tensor operator()(const Tensor& x, const LshCall& call = {});
  /// Used by every call until it is undefined again. For tests and for scoring with given hashes.
  void set_rotations(Tensor rotations) { rotations_ = std::move(rotations); }
  void fields(Fields& f) override;
  std::string describe() const override;

 private:
  Tensor draw_rotations(int64_t rounds, Device device) const;

  LshSelfAttentionOptions options_;
  Linear query_key_, value_, output_;
  Tensor rotations_;
};

}  // namespace tenet::nn
