#include <tenet/models/reformer.h>
#include <tenet/nn/activation.h>
#include <tenet/nn/attention.h>
#include <tenet/nn/dropout.h>
#include <tenet/nn/feed_forward.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/concatenate.h>
#include <tenet/ops/cross_entropy.h>
#include <tenet/ops/matmul.h>
#include <tenet/ops/views.h>

namespace tenet {
namespace {

/// Attn(x) of the reversible block: layer norm, self-attention, dropout.
template <class Attention>
class AttentionBlock : public nn::Module {
 public:
  AttentionBlock(const ReformerConfig& config, Attention attention)
      : norm_(config.hidden_size, {.epsilon = config.layer_norm_eps}),
        attention_(std::move(attention)),
        dropout_(config.hidden_dropout_prob) {}

  Tensor operator()(const Tensor& x) { return dropout_(attention_(norm_(x))); }
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

void check_tokens(const Tensor& tokens, const ReformerConfig& config) {
  check(tokens.dim() == 2 && tokens.size(1) >= 1, "reformer: tokens have shape {}, expected (B, L)",
        tokens.shape());
  check(tokens.size(1) <= config.max_position_embeddings,
        "reformer: length {} exceeds the model's {} positions", tokens.size(1),
        config.max_position_embeddings);
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
  check(config.lsh_preset == "windowed" || !config.has(AttentionKind::lsh),
        "reformer: LSH preset \"{}\" is not in this version; use windowed", config.lsh_preset);
  if (config.num_buckets.empty() && config.has(AttentionKind::lsh)) {
    config.num_buckets =
        num_buckets_for(config.max_position_embeddings, config.lsh_attn_chunk_length);
  }
  return config;
}

void Reformer::add_layer(int64_t index, Generator& generator) {
  const ReformerConfig& c = config_;
  const nn::AttentionSize size{c.hidden_size, c.num_attention_heads, c.attention_head_size};
  const auto add = [&](auto attention) {
    using Block = AttentionBlock<decltype(attention)>;
    layers_->add(std::make_shared<Block>(c, std::move(attention)),
                 std::make_shared<FeedForwardBlock>(c, generator), "attention", "feed_forward");
  };
  const double std = c.initializer_range;
  switch (c.attn_layers[static_cast<size_t>(index)]) {
    case AttentionKind::local:
      add(nn::LocalSelfAttention({.size = size,
                                  .chunk = c.local_attn_chunk_length,
                                  .chunks_before = c.local_num_chunks_before,
                                  .chunks_after = c.is_decoder ? 0 : c.local_num_chunks_after,
                                  .causal = c.is_decoder,
                                  .dropout = c.local_attention_probs_dropout_prob,
                                  .std = std},
                                 generator));
      break;
    case AttentionKind::lsh:
      add(nn::LshSelfAttention({.size = size,
                                .window = c.lsh_attn_chunk_length,
                                .num_buckets = c.num_buckets,
                                .hashes = c.num_hashes,
                                .evaluation_hashes = c.evaluation_hashes,
                                .causal = c.is_decoder,
                                .dropout = c.lsh_attention_probs_dropout_prob,
                                .std = std,
                                .seed = c.hash_seed ? static_cast<uint64_t>(*c.hash_seed) : c.seed,
                                .layer = static_cast<uint64_t>(index)},
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

Tensor Reformer::streams(const Tensor& tokens) {
  check_tokens(tokens, config_);
  const int64_t length = tokens.size(1);
  const Tensor positions =
      axial_positions_ ? (*axial_positions_)(length) : (*learned_positions_)(length);
  auto [y1, y2] = (*layers_)(dropout_(tokens_(tokens)) + dropout_(positions));
  return concatenate({y1, y2}, -1);
}

Tensor Reformer::hidden(const Tensor& tokens) { return dropout_(norm_(streams(tokens))); }

Tensor Reformer::logits(const Tensor& tokens) { return head_(hidden(tokens)); }

Tensor Reformer::next_logits(const Tensor& tokens) {
  const Tensor all = streams(tokens);
  return head_(norm_(select(all, 1, all.size(1) - 1)));
}

Tensor Reformer::loss(const Tensor& tokens, const Tensor& targets) {
  check(targets.shape() == tokens.shape(), "reformer: targets have shape {}, tokens {}",
        targets.shape(), tokens.shape());
  return linear_cross_entropy(hidden(tokens), head_.weight, head_.bias, targets);
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
