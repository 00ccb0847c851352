#include <tenet/nn/attention.h>
#include <tenet/ops/attention/attention.h>
#include <tenet/ops/attention/local_attention.h>
#include <tenet/ops/attention/lsh_attention.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/views.h>

#include <numeric>

namespace tenet::nn {
namespace {

template <class Options>
Linear projection(const Options& options, Generator& generator) {
  const AttentionSize& size = options.size;
  return Linear(size.d_model, size.heads * size.head_size,
                {.bias = false, .std = options.std, .generator = &generator});
}

template <class Options>
Linear output_projection(const Options& options, Generator& generator) {
  const AttentionSize& size = options.size;
  return Linear(size.heads * size.head_size, size.d_model,
                {.bias = false, .std = options.std, .generator = &generator});
}

/// The options with the head size filled in.
template <class Options>
Options checked(Options options, const char* module) {
  AttentionSize& size = options.size;
  check(size.d_model >= 1 && size.heads >= 1, "{}: d_model {} and heads {} must be at least 1", module,
        size.d_model, size.heads);
  if (size.head_size == 0) {
    check(size.d_model % size.heads == 0, "{}: {} heads do not divide d_model {}; give head_size",
          module, size.heads, size.d_model);
    size.head_size = size.d_model / size.heads;
  }
  return options;
}

/// (B, L, H K) as (B, H, L, K), a view.
Tensor split_heads(const Tensor& x, const AttentionSize& size) {
  return permute(reshape(x, {x.size(0), x.size(1), size.heads, size.head_size}), {0, 2, 1, 3});
}

/// (B, H, L, K) as (B, L, H K), a view of what the attention ops give.
Tensor merge_heads(const Tensor& y) {
  return reshape(permute(y, {0, 2, 1, 3}), {y.size(0), y.size(2), y.size(1) * y.size(3)});
}

void check_input(const Tensor& x, const AttentionSize& size, const char* module) {
  check(x.dim() == 3 && x.size(2) == size.d_model, "{}: input has shape {}, expected (B, L, {})", module,
        x.shape(), size.d_model);
}

}  // namespace

MultiHeadAttention::MultiHeadAttention(MultiHeadAttentionOptions options, Generator& generator)
    : options_(checked(std::move(options), "multi_head_attention")),
      query_(projection(options_, generator)),
      value_(projection(options_, generator)),
      output_(output_projection(options_, generator)) {
  if (!options_.shared_qk) key_.emplace(projection(options_, generator));
}

Tensor MultiHeadAttention::operator()(const Tensor& x, const Tensor& memory, const Tensor& mask) {
  check_input(x, options_.size, "multi_head_attention");
  check_input(memory, options_.size, "multi_head_attention");
  const Tensor q = split_heads(query_(x), options_.size);
  const bool self = &x.body() == &memory.body();
  const Tensor k = options_.shared_qk && self
                       ? q
                       : split_heads((key_ ? *key_ : query_)(memory), options_.size);
  const Tensor v = split_heads(value_(memory), options_.size);
  return output_(merge_heads(attention(q, k, v,
                                       {.causal = options_.causal,
                                        .normalize_keys = options_.shared_qk,
                                        .exclude_self = options_.shared_qk,
                                        .mask = mask,
                                        .dropout = training() ? options_.dropout : 0})));
}

void MultiHeadAttention::fields(Fields& f) {
  f(options_.shared_qk ? "self_attention.query_key" : "self_attention.query", query_);
  f("self_attention.key", key_);
  f("self_attention.value", value_);
  f("output.dense", output_);
}

LocalSelfAttention::LocalSelfAttention(LocalSelfAttentionOptions options, Generator& generator)
    : options_(checked(std::move(options), "local_self_attention")),
      query_(projection(options_, generator)),
      key_(projection(options_, generator)),
      value_(projection(options_, generator)),
      output_(output_projection(options_, generator)) {}

Tensor LocalSelfAttention::operator()(const Tensor& x, const Tensor& mask) {
  check_input(x, options_.size, "local_self_attention");
  const Tensor q = split_heads(query_(x), options_.size);
  const Tensor k = split_heads(key_(x), options_.size);
  const Tensor v = split_heads(value_(x), options_.size);
  return output_(merge_heads(local_attention(q, k, v,
                                             {.chunk = options_.chunk,
                                              .before = options_.chunks_before,
                                              .after = options_.chunks_after,
                                              .causal = options_.causal,
                                              .mask = mask,
                                              .dropout = training() ? options_.dropout : 0})));
}

void LocalSelfAttention::fields(Fields& f) {
  f("self_attention.query", query_);
  f("self_attention.key", key_);
  f("self_attention.value", value_);
  f("output.dense", output_);
}

LshSelfAttention::LshSelfAttention(LshSelfAttentionOptions options, Generator& generator)
    : options_(checked(std::move(options), "lsh_self_attention")),
      query_key_(projection(options_, generator)),
      value_(projection(options_, generator)),
      output_(output_projection(options_, generator)) {
  check(!options_.num_buckets.empty(), "lsh_self_attention: num_buckets is empty; give even factors");
  check(options_.hashes >= 1 && options_.evaluation_hashes >= 0,
        "lsh_self_attention: {} rounds, {} in evaluation; at least 1 is needed", options_.hashes,
        options_.evaluation_hashes);
}

Tensor LshSelfAttention::draw_rotations(int64_t rounds) const {
  const int64_t columns =
      std::reduce(options_.num_buckets.begin(), options_.num_buckets.end()) / 2;
  const Shape shape{options_.size.heads, options_.size.head_size, rounds, columns};
  if (training()) return randn(shape, default_generator());
  // Evaluation streams are far from those of training steps, which count from 1.
  Generator fixed(options_.seed, ~uint64_t{0} << 32 | options_.layer);
  return randn(shape, fixed);
}

Tensor LshSelfAttention::operator()(const Tensor& x, const LshCall& call) {
  check_input(x, options_.size, "lsh_self_attention");
  const bool evaluates = !training() && options_.evaluation_hashes > 0;
  const int64_t rounds = call.hashes > 0 ? call.hashes
                         : evaluates     ? options_.evaluation_hashes
                                         : options_.hashes;
  Tensor rotations = call.rotations.defined() ? call.rotations : rotations_;
  if (!rotations.defined()) rotations = draw_rotations(rounds);
  const Tensor qk = split_heads(query_key_(x), options_.size);
  const Tensor v = split_heads(value_(x), options_.size);
  return output_(merge_heads(lsh_attention(qk, v, rotations,
                                           {.factors = options_.num_buckets,
                                            .window = options_.window,
                                            .causal = options_.causal,
                                            .mask = call.mask,
                                            .dropout = training() ? options_.dropout : 0})));
}

void LshSelfAttention::fields(Fields& f) {
  f("self_attention.query_key", query_key_);
  f("self_attention.value", value_);
  f("output.dense", output_);
}

}  // namespace tenet::nn
