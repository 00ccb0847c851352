/// Small models and batches that the tests of the Reformer's promises share.
#pragma once

#include <compare.h>
#include <device.h>
#include <doctest/doctest.h>
#include <tenet/core/autograd.h>
#include <tenet/core/generator.h>
#include <tenet/models/reformer.h>
#include <tenet/ops/creation.h>

#include <string>
#include <vector>

namespace tenet::test {

struct SmallOptions {
  std::string attention = "lsh";
  int64_t layers = 2, d_model = 16, heads = 2, d_ff = 32, length = 64, chunk = 8, hashes = 2;
  double dropout = 0;
  std::string residual = "exact";
};

inline ReformerConfig small_config(const SmallOptions& o) {
  ReformerConfig config = new_reformer_config(o.layers, o.d_model, o.heads, o.d_ff, o.length);
  config.attn_layers = parse_attention(o.attention, o.layers);
  config.local_attn_chunk_length = config.lsh_attn_chunk_length = o.chunk;
  config.num_buckets = num_buckets_for(o.length, o.chunk);
  config.num_hashes = o.hashes;
  config.evaluation_hashes = 2 * o.hashes;
  config.hidden_dropout_prob = o.dropout;
  config.local_attention_probs_dropout_prob = config.lsh_attention_probs_dropout_prob = o.dropout;
  config.residual = o.residual;
  config.vocab_size = 32;
  config.initializer_range = 0.3;
  config.axial_norm_std = 0.5;
  config.seed = 7;
  return config;
}

/// first, first + 1, ..., last.
inline std::vector<int64_t> range(int64_t first, int64_t last) {
  std::vector<int64_t> values;
  for (int64_t i = first; i <= last; ++i) values.push_back(i);
  return values;
}

inline Tensor random_tokens(Shape shape, uint64_t seed) {
  Generator generator(seed);
  return randint(shape, 0, 32, generator, {DType::i64, test_device()});
}

/// Loss and every parameter's gradient of one training step whose random numbers begin at (seed 3,
/// 0).
struct StepResult {
  Tensor loss;
  std::vector<std::pair<std::string, Tensor>> gradients;
};

inline StepResult training_step(Reformer& model, const Tensor& tokens, const Tensor& targets) {
  default_generator() = Generator(3);
  model.clear_grad();
  StepResult result;
  result.loss = model.loss(tokens, targets);
  backward(result.loss);
  for (auto& [name, parameter] : model.named_parameters()) {
    result.gradients.emplace_back(name, parameter.grad().detach().clone());
  }
  model.clear_grad();
  return result;
}

inline void check_same_bits(const StepResult& a, const StepResult& b) {
  CHECK(same_bits(a.loss, b.loss));
  REQUIRE(a.gradients.size() == b.gradients.size());
  for (size_t i = 0; i < a.gradients.size(); ++i) {
    CHECK_MESSAGE(same_bits(a.gradients[i].second, b.gradients[i].second), a.gradients[i].first);
  }
}

/// ||a - b|| / ||b|| over all gradients.
inline double relative_difference(const StepResult& a, const StepResult& b) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < a.gradients.size(); ++i) {
    const auto x = a.gradients[i].second.to_vector<double>();
    const auto y = b.gradients[i].second.to_vector<double>();
    for (size_t k = 0; k < x.size(); ++k) {
      difference += (x[k] - y[k]) * (x[k] - y[k]);
      norm += y[k] * y[k];
    }
  }
  return std::sqrt(difference / norm);
}

}  // namespace tenet::test
