/// Attention modules: projections around attention(), local_attention() and lsh_attention().
///
/// Each maps x (B, L, D) to (B, L, D). Projections have no bias and are named as in Hugging Face's
/// Reformer: self_attention.query, .key and .value (or .query_key and .value), output.dense.
#pragma once

#include <tenet/nn/layer_call.h>
#include <tenet/nn/linear.h>
#include <tenet/nn/module.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace tenet::nn {

/// Whose Reformer a local or LSH attention module computes: Tenet's own, for any length and causal
/// to the bit, or one of the published ones, whose length must be a multiple of the chunk or at
/// most one chunk (ops/attention/chunked_attention.h).
enum class AttentionPreset {
  windowed,     // Tenet's: lsh_attention() and local_attention()
  paper,        // the paper's formulas: keys of the own bucket, each counted once over the rounds
  trax,         // the authors' later code: keys of all buckets in the window
  hugging_face  // transformers': as trax, with masks that replace scores and rounded weights
};
/// "windowed", "paper", "trax" or "hugging_face".
const char* to_string(AttentionPreset preset);
/// The preset of that name. Error: another name.
AttentionPreset parse_attention_preset(std::string_view name);

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
  Tensor operator()(const Tensor& x, const LayerCall& call);
  /// Attention of x (B, L, D) to `memory` (B, M, d_memory) under a mask (B, M). Error if the module
  /// is causal or shared_qk.
  Tensor operator()(const Tensor& x, const Tensor& memory, const Tensor& mask);
  void fields(Fields& f) override;
  std::string describe() const override;

 private:
  Tensor attend(const Tensor& x, const Tensor& memory, const LayerCall& call);

  MultiHeadAttentionOptions options_;
  Linear query_;  // also the keys if shared
  std::optional<Linear> key_;
  Linear value_, output_;
};

/// What a LocalSelfAttention is made with.
struct LocalSelfAttentionOptions {
  AttentionSize size = {};                             // d_model has to be given
  int64_t chunk = 64;                                  // positions
  int64_t chunks_before = 1, chunks_after = 0;         // that are seen beside the own one
  bool causal = true;                                  // a position sees no later one
  double dropout = 0;                                  // of the attention weights
  double std = 0;                                      // of the initial weights; 0: as Linear's
  AttentionPreset preset = AttentionPreset::windowed;  // of the others, the ends are neighbours
};

/// Attention within a chunk and its neighbours.
class LocalSelfAttention : public Module {
 public:
  explicit LocalSelfAttention(LocalSelfAttentionOptions options,
                              Generator& generator = default_generator());

  /// Self-attention. `mask` (B, L), boolean: which positions may be seen; undefined: all.
  Tensor operator()(const Tensor& x, const Tensor& mask = {});
  Tensor operator()(const Tensor& x, const LayerCall& call);
  void fields(Fields& f) override;
  std::string describe() const override;

 private:
  Tensor attend(const Tensor& q, const Tensor& k, const Tensor& v, const LayerCall& call) const;

  LocalSelfAttentionOptions options_;
  Linear query_, key_, value_, output_;
};

/// What an LshSelfAttention is made with.
struct LshSelfAttentionOptions {
  AttentionSize size = {};  // d_model has to be given
  int64_t window = 64;      // positions of the own bucket that are seen; a chunk of other presets
  int64_t chunks_before = 1, chunks_after = 0;  // seen beside the own one; not of preset windowed
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
  AttentionPreset preset = AttentionPreset::windowed;  // how positions that hash alike are seen
};

/// Attention among positions that hash alike; queries and keys are shared. Kitaev et al.,
/// "Reformer" (2020), section 2. The number of buckets never depends on the length of a call: in
/// preset windowed, later tokens change nothing before them. Observed: "buckets" and "order"
/// (lsh_order()), of the other presets.
class LshSelfAttention : public Module {
 public:
  explicit LshSelfAttention(LshSelfAttentionOptions options,
                            Generator& generator = default_generator());

  Tensor operator()(const Tensor& x, const LayerCall& call = {});
  /// Used by every call until it is undefined again. For tests and for scoring with given hashes.
  void set_rotations(Tensor rotations) { rotations_ = std::move(rotations); }
  void fields(Fields& f) override;
  std::string describe() const override;

 private:
  Tensor draw_rotations(int64_t rounds, Device device) const;
  Tensor attend(const Tensor& qk, const Tensor& v, const Tensor& rotations,
                const LayerCall& call) const;

  LshSelfAttentionOptions options_;
  Linear query_key_, value_, output_;
  Tensor rotations_;
};

}  // namespace tenet::nn
