#include <fmt/format.h>

#include <tenet/core/replay.h>
#include <tenet/nn/attention.h>
#include <tenet/ops/attention/attention.h>
#include <tenet/ops/attention/attention_cache.h>
#include <tenet/ops/attention/chunked_attention.h>
#include <tenet/ops/attention/local_attention.h>
#include <tenet/ops/attention/lsh_attention.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/views.h>

#include <numeric>

namespace tenet::nn {
namespace {

template <class Options>
Linear projection(const Options& options, Generator& generator, int64_t width = 0) {
  const AttentionSize& size = options.size;
  return Linear(width > 0 ? width : size.d_model, size.heads * size.head_size,
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
  check(size.d_model >= 1 && size.heads >= 1, "{}: d_model {} and heads {} must be at least 1",
        module, size.d_model, size.heads);
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

void check_input(const Tensor& x, int64_t width, const char* what, const char* module) {
  check(x.dim() == 3 && x.size(2) == width, "{}: {} has shape {}, expected (B, L, {})", module,
        what, x.shape(), width);
}

std::string describe_heads(const char* module, const AttentionSize& size, const std::string& rest) {
  return fmt::format("{}({}, {} heads of {}{})", module, size.d_model, size.heads, size.head_size,
                     rest);
}

constexpr const char* preset_names[] = {"windowed", "paper", "trax", "hugging_face"};

/// How a local or LSH module with these options attends over chunks of `chunk` positions.
template <class Options>
ChunkedLshOptions chunked_options(const Options& options, int64_t chunk, double dropout,
                                  const LayerCall& call, const char* module) {
  const AttentionPreset preset = options.preset;
  check(call.cache == nullptr || preset == AttentionPreset::hugging_face,
        "{}: later tokens move the chunks of preset {}, so nothing can be kept of earlier ones; "
        "evaluate the whole sequence",
        module, to_string(preset));
  ChunkedLshOptions o;
  o.chunk = chunk;
  o.before = options.chunks_before, o.after = options.chunks_after;
  o.causal = options.causal;
  o.mask = call.mask;
  o.dropout = dropout;
  if (preset == AttentionPreset::hugging_face) {
    o.weighing = Weighing::rounded;
  } else {
    o.hiding = Hiding::add;
  }
  o.same_bucket = o.count_duplicates = preset == AttentionPreset::paper;
  return o;
}

}  // namespace

const char* to_string(AttentionPreset preset) { return preset_names[static_cast<size_t>(preset)]; }

AttentionPreset parse_attention_preset(std::string_view name) {
  for (size_t i = 0; i < std::size(preset_names); ++i) {
    if (name == preset_names[i]) return static_cast<AttentionPreset>(i);
  }
  fail("attention preset: \"{}\"; use {}", name, fmt::join(preset_names, ", "));
}

MultiHeadAttention::MultiHeadAttention(MultiHeadAttentionOptions options, Generator& generator)
    : options_(checked(std::move(options), "multi_head_attention")),
      query_(projection(options_, generator)),
      value_(projection(options_, generator, options_.d_memory)),
      output_(output_projection(options_, generator)) {
  if (!options_.shared_qk) key_.emplace(projection(options_, generator, options_.d_memory));
}

Tensor MultiHeadAttention::operator()(const Tensor& x, const Tensor& mask) {
  return (*this)(x, LayerCall{.mask = mask});
}

Tensor MultiHeadAttention::operator()(const Tensor& x, const LayerCall& call) {
  check_input(x, options_.size.d_model, "input", "multi_head_attention");
  return attend(x, x, call);
}

Tensor MultiHeadAttention::operator()(const Tensor& x, const Tensor& memory, const Tensor& mask) {
  check(!options_.shared_qk && !options_.causal,
        "multi_head_attention: memory cannot be attended to with {}",
        options_.shared_qk ? "shared_qk" : "causal");
  check_input(x, options_.size.d_model, "input", "multi_head_attention");
  return attend(x, memory, LayerCall{.mask = mask});
}

Tensor MultiHeadAttention::attend(const Tensor& x, const Tensor& memory, const LayerCall& call) {
  check_input(memory, options_.d_memory > 0 ? options_.d_memory : options_.size.d_model, "memory",
              "multi_head_attention");
  const Tensor q = split_heads(query_(x), options_.size);
  const Tensor k = options_.shared_qk ? q : split_heads((*key_)(memory), options_.size);
  const Tensor v = split_heads(value_(memory), options_.size);
  const AttentionOptions o{.causal = options_.causal,
                           .normalize_keys = options_.shared_qk,
                           .exclude_self = options_.shared_qk,
                           .mask = call.mask,
                           .dropout = training() ? options_.dropout : 0};
  return output_(
      merge_heads(call.cache ? call.cache->attention(q, k, v, o) : attention(q, k, v, o)));
}

void MultiHeadAttention::fields(Fields& f) {
  f(options_.shared_qk ? "self_attention.query_key" : "self_attention.query", query_);
  f("self_attention.key", key_);
  f("self_attention.value", value_);
  f("output.dense", output_);
}

std::string MultiHeadAttention::describe() const {
  return describe_heads("MultiHeadAttention", options_.size,
                        fmt::format("{}{}", options_.shared_qk ? ", shared QK" : "",
                                    options_.causal ? ", causal" : ""));
}

LocalSelfAttention::LocalSelfAttention(LocalSelfAttentionOptions options, Generator& generator)
    : options_(checked(std::move(options), "local_self_attention")),
      query_(projection(options_, generator)),
      key_(projection(options_, generator)),
      value_(projection(options_, generator)),
      output_(output_projection(options_, generator)) {}

Tensor LocalSelfAttention::operator()(const Tensor& x, const Tensor& mask) {
  return (*this)(x, LayerCall{.mask = mask});
}

Tensor LocalSelfAttention::operator()(const Tensor& x, const LayerCall& call) {
  check_input(x, options_.size.d_model, "input", "local_self_attention");
  const Tensor q = split_heads(query_(x), options_.size);
  const Tensor k = split_heads(key_(x), options_.size);
  const Tensor v = split_heads(value_(x), options_.size);
  return output_(merge_heads(attend(q, k, v, call)));
}

Tensor LocalSelfAttention::attend(const Tensor& q, const Tensor& k, const Tensor& v,
                                  const LayerCall& call) const {
  const double dropout = training() ? options_.dropout : 0;
  if (options_.preset == AttentionPreset::windowed) {
    const LocalAttentionOptions o{.chunk = options_.chunk,
                                  .before = options_.chunks_before,
                                  .after = options_.chunks_after,
                                  .causal = options_.causal,
                                  .mask = call.mask,
                                  .dropout = dropout};
    return call.cache ? call.cache->local_attention(q, k, v, o) : local_attention(q, k, v, o);
  }
  const ChunkOptions o =
      chunked_options(options_, options_.chunk, dropout, call, "local_self_attention");
  return call.cache ? call.cache->chunked_local_attention(q, k, v, o)
                    : chunked_local_attention(q, k, v, o);
}

void LocalSelfAttention::fields(Fields& f) {
  f("self_attention.query", query_);
  f("self_attention.key", key_);
  f("self_attention.value", value_);
  f("output.dense", output_);
}

std::string LocalSelfAttention::describe() const {
  return describe_heads(
      "LocalSelfAttention", options_.size,
      fmt::format(", chunks of {}{}", options_.chunk, options_.causal ? ", causal" : ""));
}

LshSelfAttention::LshSelfAttention(LshSelfAttentionOptions options, Generator& generator)
    : options_(checked(std::move(options), "lsh_self_attention")),
      query_key_(projection(options_, generator)),
      value_(projection(options_, generator)),
      output_(output_projection(options_, generator)) {
  check(!options_.num_buckets.empty(),
        "lsh_self_attention: num_buckets is empty; give even factors");
  for (const int64_t factor : options_.num_buckets) {
    check(factor >= 2 && factor % 2 == 0,
          "lsh_self_attention: bucket factor {} is not even and positive", factor);
  }
  check(options_.hashes >= 1 && options_.evaluation_hashes >= 0,
        "lsh_self_attention: {} rounds, {} in evaluation; at least 1 is needed", options_.hashes,
        options_.evaluation_hashes);
}

Tensor LshSelfAttention::draw_rotations(int64_t rounds, Device device) const {
  const int64_t columns = std::reduce(options_.num_buckets.begin(), options_.num_buckets.end()) / 2;
  const Shape shape{options_.size.heads, options_.size.head_size, rounds, columns};
  if (training()) return randn(shape, default_generator(), {.device = device});
  // Evaluation streams are far from those of training steps, which count from 1.
  Generator fixed(options_.seed, ~uint64_t{0} << 32 | options_.layer);
  return randn(shape, fixed, {.device = device});
}

Tensor LshSelfAttention::operator()(const Tensor& x, const LayerCall& call) {
  check_input(x, options_.size.d_model, "input", "lsh_self_attention");
  check(call.hashes >= 0, "lsh_self_attention: {} rounds in this call; at least 1 is needed",
        call.hashes);
  const bool evaluates = !training() && options_.evaluation_hashes > 0;
  const int64_t rounds = call.hashes > 0 ? call.hashes
                         : evaluates     ? options_.evaluation_hashes
                                         : options_.hashes;
  Tensor rotations = call.rotations.defined() ? call.rotations : rotations_;
  const bool kept = call.cache != nullptr && call.cache->rows() > 0;
  if (!rotations.defined() && !kept) rotations = draw_rotations(rounds, x.device());
  const Tensor qk = split_heads(query_key_(x), options_.size);
  const Tensor v = split_heads(value_(x), options_.size);
  return output_(merge_heads(attend(qk, v, rotations, call)));
}

Tensor LshSelfAttention::attend(const Tensor& qk, const Tensor& v, const Tensor& rotations,
                                const LayerCall& call) const {
  const double dropout = training() ? options_.dropout : 0;
  if (options_.preset == AttentionPreset::windowed) {
    const LshAttentionOptions o{.factors = options_.num_buckets,
                                .window = options_.window,
                                .causal = options_.causal,
                                .mask = call.mask,
                                .dropout = dropout};
    return call.cache ? call.cache->lsh_attention(qk, v, rotations, o)
                      : lsh_attention(qk, v, rotations, o);
  }
  ChunkedLshOptions o =
      chunked_options(options_, options_.window, dropout, call, "lsh_self_attention");
  o.factors = options_.num_buckets;
  if (call.observe && !replaying() && qk.size(2) > o.chunk) {
    const LshOrder sorted = lsh_order(qk, rotations, o.factors, o.mask);
    call.observe("buckets", sorted.buckets);
    call.observe("order", sorted.order);
  }
  return call.cache ? call.cache->chunked_lsh_attention(qk, v, rotations, o)
                    : chunked_lsh_attention(qk, v, rotations, o);
}

void LshSelfAttention::fields(Fields& f) {
  f("self_attention.query_key", query_key_);
  f("self_attention.value", value_);
  f("output.dense", output_);
}

std::string LshSelfAttention::describe() const {
  const std::string buckets = fmt::format("{}", fmt::join(options_.num_buckets, " x "));
  return describe_heads(
      "LshSelfAttention", options_.size,
      fmt::format(", {} buckets, window {}, {} rounds{}", buckets, options_.window, options_.hashes,
                  options_.causal ? ", causal" : ""));
}

}  // namespace tenet::nn
