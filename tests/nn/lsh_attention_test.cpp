#include "attention_reference.h"

#include <tenet/core/parallel.h>
#include <tenet/core/replay.h>
#include <tenet/ops/views.h>

using namespace tenet;
using namespace tenet::test;

namespace {

constexpr int64_t B = 2, L = 20, D = 6, H = 2, K = 3, window = 3;
const std::vector<int64_t> factors{4, 2};

nn::LshSelfAttention make(nn::LshSelfAttentionOptions options = {}) {
  Generator generator(13);
  options.size = {D, H, K};
  options.window = window;
  options.num_buckets = factors;
  options.std = 0.7;
  return nn::LshSelfAttention(options, generator);
}

/// The bucket of vector q in one round: a_0 + 4 a_1, a_j = argmax(concat(z, -z)) over factor j's
/// columns.
int64_t bucket_of(const double* q, const Numbers& rotations, int64_t h, int64_t r, int64_t R) {
  int64_t bucket = 0, stride = 1, column = 0;
  for (const int64_t factor : factors) {
    Numbers z;
    for (int64_t c = 0; c < factor / 2; ++c) {
      double sum = 0;
      for (int64_t k = 0; k < K; ++k) {
        sum += q[k] * rotations[static_cast<size_t>(((h * K + k) * R + r) * 3 + column + c)];
      }
      z.push_back(sum);
    }
    for (int64_t c = 0; c < factor / 2; ++c) z.push_back(-z[static_cast<size_t>(c)]);
    bucket += stride * (std::max_element(z.begin(), z.end()) - z.begin());
    stride *= factor;
    column += factor / 2;
  }
  return bucket;
}

/// The layer's output by the definition of the preset `windowed`.
Numbers reference(const nn::Module& module, const Tensor& x, const Tensor& rotations, bool causal,
                  const std::vector<bool>& used) {
  const Numbers rows = x.to_vector<double>(), turns = rotations.to_vector<double>();
  const Numbers qk = project(module, "self_attention.query_key", rows);
  const Numbers v = project(module, "self_attention.value", rows);
  const int64_t R = rotations.size(2);
  const auto in_use = [&](int64_t b, int64_t i) { return used[static_cast<size_t>(b * L + i)]; };
  const auto sees = [&](int64_t b, int64_t h, int64_t i) {
    if (!in_use(b, i)) return Sight{};
    Sight sight{{}, i};
    const auto bucket = [&](int64_t j, int64_t r) {
      return bucket_of(qk.data() + (b * L + j) * H * K + h * K, turns, h, r, R);
    };
    for (int64_t r = 0; r < R; ++r) {
      int64_t count = 0;
      for (int64_t j = i - 1; j >= 0 && count < window; --j) {
        if (in_use(b, j) && bucket(j, r) == bucket(i, r)) sight.keys.push_back(j), ++count;
      }
      count = 0;
      for (int64_t j = i + 1; !causal && j < L && count < window; ++j) {
        if (in_use(b, j) && bucket(j, r) == bucket(i, r)) sight.keys.push_back(j), ++count;
      }
    }
    return sight;
  };
  return project(module, "output.dense", attend(qk, qk, v, {B, H, L, L, K}, true, sees));
}

}  // namespace

TEST_CASE("lsh_self_attention by its definition") {
  const Tensor x = normal({B, L, D}, 1, DType::f64),
               rotations = normal({H, K, 3, 3}, 2, DType::f64);
  std::vector<bool> all(B * L, true), some = all;
  for (const size_t i : {0, 7, 8, 25, 39}) some[i] = false;
  for (const bool causal : {true, false}) {
    nn::LshSelfAttention module = make({.causal = causal});
    module.to(DType::f64);
    CHECK(error_of(module(x, {.rotations = rotations}),
                   reference(module, x, rotations, causal, all)) < 1e-12);
    CHECK(error_of(module(x, {.mask = key_mask(some, {B, L}), .rotations = rotations}),
                   reference(module, x, rotations, causal, some)) < 1e-12);
    module.set_rotations(rotations);
    CHECK(error_of(module(x), reference(module, x, rotations, causal, all)) < 1e-12);
    check_module_gradients("lsh", module, x, [&](const Tensor& t) { return module(t); });
  }
}

TEST_CASE("rotations: new ones in every training call, those of (seed, layer) in evaluation") {
  const Tensor x = normal({B, L, D}, 3);
  nn::LshSelfAttention module = make({.hashes = 1});
  set_seed(4);
  const Tensor first = module(x), second = module(x);
  CHECK_FALSE(same_bits(first, second));
  set_seed(4);
  CHECK(same_bits(module(x), first));

  module.eval();
  const Tensor still = module(x);
  set_seed(5);
  CHECK(same_bits(module(x), still));
  nn::LshSelfAttention other_layer = make({.hashes = 1, .layer = 1}),
                       other_seed = make({.hashes = 1, .seed = 1});
  for (nn::LshSelfAttention* other : {&other_layer, &other_seed}) {
    other->eval();
    CHECK_FALSE(same_bits((*other)(x), still));
  }
}

TEST_CASE("a replay repeats rotations and training flag") {
  const Tensor x = normal({B, L, D}, 3);
  nn::LshSelfAttention module = make({.hashes = 2, .evaluation_hashes = 3, .dropout = 0.3});
  detail::ReplayRecord record;
  Tensor first;
  {
    const detail::ReplayScope scope(record, detail::ReplayScope::Mode::record);
    first = module(x);
  }
  CHECK_FALSE(same_bits(module(x), first));
  module.eval();
  const detail::ReplayScope scope(record, detail::ReplayScope::Mode::replay);
  CHECK(same_bits(module(x), first));
}

TEST_CASE("rounds: training's, evaluation's and a call's") {
  const Tensor x = normal({B, L, D}, 4);
  nn::LshSelfAttention module = make({.hashes = 1, .evaluation_hashes = 4});
  nn::LshSelfAttention four = make({.hashes = 4});
  set_seed(1);
  const Tensor trained = module(x, {.hashes = 4});
  set_seed(1);
  CHECK(same_bits(four(x), trained));
  module.eval();
  four.eval();
  CHECK(same_bits(module(x), four(x)));
  CHECK(same_bits(module(x, {.hashes = 1}), four(x, {.hashes = 1})));
  CHECK_FALSE(same_bits(module(x, {.hashes = 1}), four(x)));
}

TEST_CASE("later positions change nothing before them, to the bit") {
  nn::LshSelfAttention module = make();
  module.eval();
  const Tensor x = normal({B, L, D}, 5), y = module(x);
  for (int64_t t = 1; t < L; ++t) {
    CHECK(same_bits(module(slice(x, 1, 0, t).contiguous()), slice(y, 1, 0, t)));
  }
}

TEST_CASE("lsh_self_attention's names, words and errors") {
  nn::LshSelfAttention module = make();
  CHECK(parameter_names(module) == Names{"self_attention.query_key.weight",
                                         "self_attention.value.weight", "output.dense.weight"});
  CHECK(module.describe() ==
        "LshSelfAttention(6, 2 heads of 3, 4 x 2 buckets, window 3, 2 rounds, causal)");
  CHECK_THROWS_WITH_AS(nn::LshSelfAttention({.size = {6, 2}}),
                       "lsh_self_attention: num_buckets is empty; give even factors", Error);
  CHECK_THROWS_WITH_AS(nn::LshSelfAttention({.size = {6, 2}, .num_buckets = {4, 3}}),
                       "lsh_self_attention: bucket factor 3 is not even and positive", Error);
  CHECK_THROWS_WITH_AS(nn::LshSelfAttention({.size = {6, 2}, .num_buckets = {4}, .hashes = 0}),
                       "lsh_self_attention: 0 rounds, 0 in evaluation; at least 1 is needed",
                       Error);
  CHECK_THROWS_WITH_AS(module(normal({2, 6}, 1)),
                       "lsh_self_attention: input has shape (2, 6), expected (B, L, 6)", Error);
}
