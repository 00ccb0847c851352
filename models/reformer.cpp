#include <fmt/format.h>

#include <tenet/core/grad_mode.h>
#include <tenet/core/replay.h>
#include <tenet/models/detail/reformer_input.h>
#include <tenet/models/reformer.h>
#include <tenet/nn/activation.h>
#include <tenet/nn/attention.h>
#include <tenet/nn/dropout.h>
#include <tenet/nn/feed_forward.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/concatenate.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/cross_entropy.h>
#include <tenet/ops/index.h>
#include <tenet/ops/matmul.h>
#include <tenet/ops/reduce.h>
#include <tenet/ops/views.h>

namespace tenet {
namespace {

/// Attn(x) of the reversible block: layer norm, self-attention, dropout.
template <class Attention>
class AttentionBlock : public nn::Module {
 public:
  static constexpr bool takes_fixed32 = true;  // the norm does

  AttentionBlock(const ReformerConfig& config, Attention attention)
      : norm_(config.hidden_size, {.epsilon = config.layer_norm_eps}),
        attention_(std::move(attention)),
        dropout_(config.hidden_dropout_prob) {}

  Tensor operator()(const Tensor& x, const nn::LayerCall& call) {
    Tensor y = dropout_(attention_(norm_(x), call));
    if (call.observe && !replaying()) call.observe("attn", y);
    return y;
  }
  void fields(nn::Fields& f) override {
    f("layer_norm", norm_);
    f("", attention_);
    f("", dropout_);
  }

 private:
  nn::LayerNorm norm_;
  Attention attention_;
  nn::Dropout dropout_;
};

/// FF(x) of the reversible block: layer norm, dense, dropout, activation, dense, dropout, a chunk
/// of positions at a time.
class FeedForwardBlock : public nn::Module {
 public:
  static constexpr bool takes_fixed32 = true;  // the norm does

  FeedForwardBlock(const ReformerConfig& config, Generator& generator)
      : norm_(config.hidden_size, {.epsilon = config.layer_norm_eps}),
        feed_forward_({.d_model = config.hidden_size,
                       .d_ff = config.feed_forward_size,
                       .activation = nn::parse_activation(config.hidden_act),
                       .dropout = config.hidden_dropout_prob,
                       .chunk = config.chunk_size_feed_forward,
                       .std = config.initializer_range},
                      generator),
        dropout_(config.hidden_dropout_prob) {}

  Tensor operator()(const Tensor& x) { return dropout_(feed_forward_(norm_(x))); }
  void fields(nn::Fields& f) override {
    f("layer_norm", norm_);
    f("", feed_forward_);
    f("", dropout_);
  }

 private:
  nn::LayerNorm norm_;
  nn::FeedForward feed_forward_;
  nn::Dropout dropout_;
};

/// Where the weights' random numbers come from: far from the streams of training steps.
constexpr uint64_t weight_stream = 0x7765696768747300u;

nn::ReversibleSequenceOptions stack_options(const ReformerConfig& config) {
  return {.residual = config.residual == "exact" ? nn::Residual::exact : nn::Residual::floating,
          .fraction_bits = static_cast<int>(config.fraction_bits),
          .path = "reformer.encoder.layers"};
}

/// One more than the last token in use, of each row.
std::vector<int64_t> used_counts(const Tensor& tokens, const Tensor& mask) {
  const int64_t rows = tokens.size(0), length = tokens.size(1);
  std::vector<int64_t> counts(static_cast<size_t>(rows), length);
  if (!mask.defined()) return counts;
  const std::vector<int64_t> used = mask.to_vector<int64_t>();
  for (int64_t b = 0; b < rows; ++b) {
    int64_t& count = counts[static_cast<size_t>(b)];
    while (count > 0 && used[static_cast<size_t>(b * length + count - 1)] == 0) --count;
  }
  return counts;
}

}  // namespace

Reformer::Reformer(const ReformerConfig& config)
    : Reformer(config, Generator(config.seed, weight_stream)) {}

Reformer::Reformer(const ReformerConfig& config, Generator generator)
    : config_(checked(config)),
      tokens_(config.vocab_size, config.hidden_size,
              {.std = config.initializer_range, .generator = &generator}),
      layers_(std::make_unique<nn::ReversibleSequence>(stack_options(config))),
      norm_(2 * config.hidden_size, {.epsilon = config.layer_norm_eps}),
      head_(2 * config.hidden_size, config.vocab_size,
            {.std = config.initializer_range, .generator = &generator}),
      dropout_(config.hidden_dropout_prob) {
  if (config.axial_pos_embds) {
    axial_positions_ = std::make_unique<nn::AxialPositionalEmbedding>(
        config.axial_pos_shape, config.axial_pos_embds_dim, config.axial_norm_std, generator,
        config.position_init == "harmonic" ? nn::PositionInit::harmonic : nn::PositionInit::normal);
  } else {
    learned_positions_ = std::make_unique<nn::LearnedPositionalEmbedding>(
        config.max_position_embeddings, config.hidden_size, config.initializer_range, generator);
  }
  for (int64_t i = 0; i < config.layers(); ++i) add_layer(i, generator);
}

ReformerConfig Reformer::checked(ReformerConfig config) {
  config.validate();
  if (config.has(AttentionKind::lsh)) config.resolve_buckets(config.max_position_embeddings);
  return config;
}

void Reformer::add_layer(int64_t index, Generator& generator) {
  const ReformerConfig& c = config_;
  const nn::AttentionSize size{c.hidden_size, c.num_attention_heads, c.attention_head_size};
  const auto add = [&](auto attention) {
    using Block = AttentionBlock<decltype(attention)>;
    layers_->add(std::make_shared<Block>(c, std::move(attention)),
                 std::make_shared<FeedForwardBlock>(c, generator), "attention", "feed_forward",
                 feed_forward_rows);
  };
  const double std = c.initializer_range;
  const nn::AttentionPreset preset = nn::parse_attention_preset(c.lsh_preset);
  switch (c.attn_layers[static_cast<size_t>(index)]) {
    case AttentionKind::local:
      add(nn::LocalSelfAttention({.size = size,
                                  .chunk = c.local_attn_chunk_length,
                                  .chunks_before = c.local_num_chunks_before,
                                  .chunks_after = c.is_decoder ? 0 : c.local_num_chunks_after,
                                  .causal = c.is_decoder,
                                  .dropout = c.local_attention_probs_dropout_prob,
                                  .std = std,
                                  .preset = preset},
                                 generator));
      break;
    case AttentionKind::lsh:
      add(nn::LshSelfAttention({.size = size,
                                .window = c.lsh_attn_chunk_length,
                                .chunks_before = c.lsh_num_chunks_before,
                                .chunks_after = c.lsh_num_chunks_after,
                                .num_buckets = c.num_buckets,
                                .hashes = c.num_hashes,
                                .evaluation_hashes = c.evaluation_hashes,
                                .causal = c.is_decoder,
                                .dropout = c.lsh_attention_probs_dropout_prob,
                                .std = std,
                                .seed = c.hash_seed ? static_cast<uint64_t>(*c.hash_seed) : c.seed,
                                .layer = static_cast<uint64_t>(index),
                                .preset = preset},
                               generator));
      break;
    case AttentionKind::full:
      add(nn::MultiHeadAttention({.size = size,
                                  .causal = c.is_decoder,
                                  .dropout = c.local_attention_probs_dropout_prob,
                                  .std = std},
                                 generator));
      break;
  }
}

Tensor Reformer::position_vectors(int64_t length) const {
  return axial_positions_ ? (*axial_positions_)(length) : (*learned_positions_)(length);
}

Tensor Reformer::embedded(const Tensor& tokens, const Tensor& positions) const {
  const Tensor words = dropout_(tokens_(tokens));
  if (!positions.defined()) return words + dropout_(position_vectors(tokens.size(1)));
  const Tensor places =
      axial_positions_ ? (*axial_positions_)(positions) : (*learned_positions_)(positions);
  return words + dropout_(places);
}

std::vector<nn::LayerCall> Reformer::layer_calls(const ReformerCall& call,
                                                 const Tensor& mask) const {
  std::vector<nn::LayerCall> calls;
  for (int64_t i = 0; i < config_.layers(); ++i) {
    nn::LayerCall& layer = calls.emplace_back();
    layer.mask = mask;
    layer.hashes = call.hashes;
    if (call.cache) layer.cache = &call.cache->layers_[static_cast<size_t>(i)];
    if (!call.rotations.empty()) layer.rotations = call.rotations[static_cast<size_t>(i)];
    if (call.observe) {
      layer.observe = [i, observe = call.observe](std::string_view name, const Tensor& value) {
        observe(fmt::format("{}.{}", name, i), value);
      };
    }
  }
  return calls;
}

/// Checks that the tokens can follow those that the cache has seen; how many each row has in use.
std::vector<int64_t> Reformer::begin_cached(const Tensor& tokens, const ReformerCall& call) const {
  ReformerCache& cache = *call.cache;
  check(!training() && !grad_enabled(),
        "reformer: a cache is for evaluation; call eval() and use NoGrad");
  check(cache.serves(config_),
        "reformer: nothing can be kept of earlier tokens by {}; evaluate the whole sequence",
        config_.is_decoder ? fmt::format("preset {}", config_.lsh_preset) : "an encoder");
  check(!call.positions.defined(), "reformer: positions are given, but the cache counts them");
  check(cache.rows() == 0 ||
            (cache.rows() == tokens.size(0) && std::ssize(cache.layers_) == config_.layers()),
        "reformer: the cache holds {} sequences of {} layers, tokens are {}, the model has {}",
        cache.rows(), cache.layers_.size(), tokens.shape(), config_.layers());
  std::vector<int64_t> counts = used_counts(tokens, call.mask);
  for (size_t b = 0; b < counts.size() && cache.rows() > 0; ++b) {
    check(cache.lengths_[b] + counts[b] <= config_.max_position_embeddings,
          "reformer: row {} gets {} tokens after {}, the model has {} positions", b, counts[b],
          cache.lengths_[b], config_.max_position_embeddings);
  }
  if (cache.rows() == 0) cache.layers_.resize(static_cast<size_t>(config_.layers()));
  return counts;
}

/// The streams of tokens that follow others; those not in use stand at position 0.
Tensor Reformer::continued(const Tensor& tokens, const ReformerCall& call) {
  ReformerCache& cache = *call.cache;
  const std::vector<int64_t> counts = begin_cached(tokens, call);
  std::vector<int64_t> positions;
  for (size_t b = 0; b < counts.size(); ++b) {
    for (int64_t i = 0; i < tokens.size(1); ++i) {
      positions.push_back(i < counts[b] ? cache.lengths_[b] + i : 0);
    }
  }
  const Tensor places = from_vector(positions, tokens.shape(), {DType::i64, tokens.device()});
  auto [y1, y2] = (*layers_)(embedded(tokens, places), layer_calls(call, call.mask));
  for (size_t b = 0; b < counts.size(); ++b) cache.lengths_[b] += counts[b];
  return concatenate({y1, y2}, -1);
}

Tensor Reformer::streams(const Tensor& tokens, const ReformerCall& call) {
  detail::check_reformer_input(tokens, call, config_);
  if (call.cache && call.cache->rows() > 0) return continued(tokens, call);
  const std::vector<int64_t> counts =
      call.cache ? begin_cached(tokens, call) : std::vector<int64_t>();
  const int64_t length = tokens.size(1), padded = config_.padded_length(length);
  Tensor ids = tokens, mask = call.mask, positions = call.positions;
  if (padded > length) {
    const int64_t more = padded - length;
    ids = pad(tokens, 1, 0, more, config_.pad_token_id);
    mask = pad(mask.defined() ? mask : ones(tokens.shape(), {DType::boolean, tokens.device()}), 1,
               0, more, 0);
    if (positions.defined()) positions = pad(positions, 1, 0, more, 0);
  }
  Tensor x = embedded(ids, positions);
  if (call.observe) call.observe("emb", x);
  auto [y1, y2] = (*layers_)(std::move(x), layer_calls(call, mask));
  if (call.cache) call.cache->lengths_ = counts;
  const Tensor both = concatenate({y1, y2}, -1);
  return padded > length ? slice(both, 1, 0, length) : both;
}

Tensor Reformer::hidden(const Tensor& tokens, const ReformerCall& call) {
  return dropout_(norm_(streams(tokens, call)));
}

Tensor Reformer::logits(const Tensor& tokens, const ReformerCall& call) {
  return head_(hidden(tokens, call));
}

Tensor Reformer::next_logits(const Tensor& tokens, const ReformerCall& call) {
  const Tensor all = streams(tokens, call);
  std::vector<int64_t> last;
  for (const int64_t count : used_counts(tokens, call.mask)) {
    check(count > 0, "reformer: row {} has no token in use, so nothing follows", last.size());
    last.push_back(std::ssize(last) * tokens.size(1) + count - 1);
  }
  const Tensor rows = reshape(all, {-1, all.size(2)});
  const Tensor index = from_vector(last, {tokens.size(0)}, {DType::i64, tokens.device()});
  return head_(norm_(index_select(rows, 0, index)));
}

Tensor Reformer::loss(const Tensor& tokens, const Tensor& targets, const ReformerCall& call) {
  detail::check_reformer_targets(targets, tokens, config_);
  return linear_cross_entropy(hidden(tokens, call), head_.weight, head_.bias, targets);
}

void Reformer::fields(nn::Fields& f) {
  f("reformer.embeddings.word_embeddings", tokens_);
  f("reformer.embeddings.position_embeddings", learned_positions_);
  f("reformer.embeddings.position_embeddings", axial_positions_);
  f("reformer.encoder.layers", layers_);
  f("reformer.encoder.layer_norm", norm_);
  f.parameter("lm_head.decoder.weight", head_.weight);
  f.parameter("lm_head.bias", head_.bias);
  f("", dropout_);
}

}  // namespace tenet
