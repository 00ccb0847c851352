#include <tenet/models/detail/reformer_input.h>
#include <tenet/models/reformer_cache.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

namespace tenet::detail {
namespace {

constexpr int64_t not_scored = -100;

/// Error at the first of `ids` (B, L) outside 0..count - 1; -100 may be there if `masked`. Ids on a
/// GPU are looked at there, by the kernels that read them: the program does not wait for them.
void check_range(const Tensor& ids, int64_t count, const char* what, const char* range,
                 bool masked = false) {
  if (!ids.device().is_cpu()) return;
  const std::vector<int64_t> all = ids.to_vector<int64_t>();
  const auto wrong = std::find_if(all.begin(), all.end(), [&](int64_t id) {
    return (id < 0 || id >= count) && !(masked && id == not_scored);
  });
  if (wrong == all.end()) return;
  const int64_t at = wrong - all.begin(), length = ids.size(1);
  fail("reformer: {} {} at ({}, {}) is outside 0..{}, {}{}", what, *wrong, at / length, at % length,
       count - 1, range, masked ? ", and not -100" : "");
}

/// Positions that the model has a vector for.
int64_t position_count(const ReformerConfig& config) {
  if (!config.axial_pos_embds) return config.max_position_embeddings;
  return std::min(config.max_position_embeddings,
                  std::reduce(config.axial_pos_shape.begin(), config.axial_pos_shape.end(),
                              int64_t{1}, std::multiplies()));
}

/// Rotations of layer i must be (H, K, R, columns) of finite numbers.
void check_rotations(const Tensor& rotations, size_t i, const ReformerCall& call,
                     const ReformerConfig& config) {
  if (!rotations.defined()) return;
  check(config.attn_layers[i] == AttentionKind::lsh,
        "reformer: there are rotations of layer {}, which is {}; only lsh layers hash", i,
        to_string(config.attn_layers[i]));
  const int64_t columns = std::reduce(config.num_buckets.begin(), config.num_buckets.end()) / 2;
  const int64_t heads = config.num_attention_heads, width = config.attention_head_size;
  const Shape& shape = rotations.shape();
  check(is_floating(rotations.dtype()) && rotations.dim() == 4 && shape[0] == heads &&
            shape[1] == width && shape[2] >= 1 && shape[3] == columns,
        "reformer: rotations of layer {} are {} {}, expected floating ({}, {}, R, {})", i,
        rotations.dtype(), shape, heads, width, columns);
  check(call.hashes == 0 || shape[2] == call.hashes,
        "reformer: rotations of layer {} have {} rounds, the call asks for {}", i, shape[2],
        call.hashes);
  for (const double x : rotations.to_vector<double>()) {
    check(std::isfinite(x), "reformer: rotations of layer {} hold {}", i, x);
  }
}

}  // namespace

void check_reformer_input(const Tensor& tokens, const ReformerCall& call,
                          const ReformerConfig& config) {
  check(tokens.dim() == 2 && tokens.size(1) >= 1,
        "reformer: tokens have shape {}, expected (B, L), L at least 1", tokens.shape());
  check(is_index(tokens.dtype()), "reformer: tokens are {}, expected i64 or i32", tokens.dtype());
  // What follows earlier tokens is not padded.
  const bool follows = call.cache && call.cache->rows() > 0;
  const int64_t length = tokens.size(1);
  const int64_t padded = follows ? length : config.padded_length(length);
  check(length <= config.max_position_embeddings,
        "reformer: length {} exceeds the model's {} positions", length,
        config.max_position_embeddings);
  check(padded <= config.max_position_embeddings,
        "reformer: length {}, padded to {}, exceeds the model's {} positions", length, padded,
        config.max_position_embeddings);
  check_range(tokens, config.vocab_size, "token", "the vocabulary");
  check(padded == length || (config.pad_token_id >= 0 && config.pad_token_id < config.vocab_size),
        "reformer: \"pad_token_id\" {} is outside 0..{}, the vocabulary", config.pad_token_id,
        config.vocab_size - 1);
  if (call.mask.defined()) {
    check(call.mask.shape() == tokens.shape() && call.mask.dtype() == DType::boolean,
          "reformer: the mask is {} {}, tokens {} need boolean {}", call.mask.dtype(),
          call.mask.shape(), tokens.shape(), tokens.shape());
  }
  if (call.positions.defined()) {
    check(call.positions.shape() == tokens.shape() && call.positions.dtype() == DType::i64,
          "reformer: positions are {} {}, tokens {} need i64 {}", call.positions.dtype(),
          call.positions.shape(), tokens.shape(), tokens.shape());
    check_range(call.positions, position_count(config), "position", "the model's positions");
  }
  check(call.hashes >= 0, "reformer: {} hash rounds; 0 or more are needed", call.hashes);
  check(call.rotations.empty() || std::ssize(call.rotations) == config.layers(),
        "reformer: rotations of {} layers, the model has {}", call.rotations.size(),
        config.layers());
  for (size_t i = 0; i < call.rotations.size(); ++i) {
    check_rotations(call.rotations[i], i, call, config);
  }
}

void check_reformer_targets(const Tensor& targets, const Tensor& tokens,
                            const ReformerConfig& config) {
  check(targets.shape() == tokens.shape(), "reformer: targets have shape {}, tokens {}",
        targets.shape(), tokens.shape());
  check(is_index(targets.dtype()), "reformer: targets are {}, expected i64 or i32",
        targets.dtype());
  check_range(targets, config.vocab_size, "target", "the vocabulary", true);
}

}  // namespace tenet::detail
