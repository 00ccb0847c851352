#include "attention_reference.h"

using namespace tenet;
using namespace tenet::test;

namespace {

constexpr int64_t B = 2, L = 9, D = 6, H = 2, K = 3;

nn::MultiHeadAttention make(nn::MultiHeadAttentionOptions options) {
  Generator generator(11);
  options.size = {D, H, K};
  options.std = 0.7;
  return nn::MultiHeadAttention(options, generator);
}

/// The layer's output for x by the definition.
Numbers reference(const nn::Module& module, const Tensor& x, const Tensor& memory, bool shared,
                  const Sees& sees) {
  const Numbers rows = x.to_vector<double>(), source = memory.to_vector<double>();
  const HeadShape shape{x.size(0), H, x.size(1), memory.size(1), K};
  const Numbers q =
      project(module, shared ? "self_attention.query_key" : "self_attention.query", rows);
  const Numbers k = shared ? q : project(module, "self_attention.key", source);
  const Numbers v = project(module, "self_attention.value", source);
  return project(module, "output.dense", attend(q, k, v, shape, shared, sees));
}

}  // namespace

TEST_CASE("multi_head_attention by its definition, causal or not") {
  const Tensor x = normal({B, L, D}, 1);
  for (const bool causal : {false, true}) {
    nn::MultiHeadAttention module = make({.causal = causal});
    const Numbers want = reference(module, x, x, false, [&](int64_t, int64_t, int64_t i) {
      Sight sight;
      for (int64_t j = 0; j < (causal ? i + 1 : L); ++j) sight.keys.push_back(j);
      return sight;
    });
    CHECK(error_of(module(x), want) < 1e-5);
    check_module_gradients("attention", module, x, [&](const Tensor& t) { return module(t); });
  }
}

TEST_CASE("multi_head_attention with shared queries and keys does not see itself") {
  const Tensor x = normal({B, L, D}, 2);
  nn::MultiHeadAttention module = make({.causal = true, .shared_qk = true});
  CHECK(parameter_names(module) == Names{"self_attention.query_key.weight",
                                         "self_attention.value.weight", "output.dense.weight"});
  const Numbers want = reference(module, x, x, true, [&](int64_t, int64_t, int64_t i) {
    Sight sight{{}, i};
    for (int64_t j = 0; j < i; ++j) sight.keys.push_back(j);
    return sight;
  });
  CHECK(error_of(module(x), want) < 1e-5);
  check_module_gradients("shared", module, x, [&](const Tensor& t) { return module(t); });
}

TEST_CASE("multi_head_attention attends to a memory of another width and length, under a mask") {
  const Tensor x = normal({B, 4, D}, 3), memory = normal({B, 5, 8}, 4);
  const std::vector<bool> seen{true, false, true, true, true, false, false, true, false, true};
  nn::MultiHeadAttention module = make({.d_memory = 8});
  const Numbers want = reference(module, x, memory, false, [&](int64_t b, int64_t, int64_t) {
    Sight sight;
    for (int64_t j = 0; j < 5; ++j) {
      if (seen[static_cast<size_t>(b * 5 + j)]) sight.keys.push_back(j);
    }
    return sight;
  });
  const Tensor mask = key_mask(seen, {B, 5});
  CHECK(error_of(module(x, memory, mask), want) < 1e-5);
  const Tensor wide = memory.to(DType::f64);
  check_module_gradients("cross", module, x,
                         [&](const Tensor& t) { return module(t, wide, mask); });
}

TEST_CASE("multi_head_attention drops weights in training only") {
  const Tensor x = normal({1, 20, D}, 5);
  nn::MultiHeadAttention module = make({.dropout = 0.5}), plain = make({});
  set_seed(1);
  const Tensor first = module(x);
  CHECK_FALSE(same_bits(first, module(x)));
  set_seed(1);
  CHECK(same_bits(first, module(x)));
  module.eval();
  CHECK(same_bits(module(x), plain(x)));
}

TEST_CASE("multi_head_attention's names, words and errors") {
  nn::MultiHeadAttention module = make({.causal = true});
  CHECK(parameter_names(module) == Names{"self_attention.query.weight", "self_attention.key.weight",
                                         "self_attention.value.weight", "output.dense.weight"});
  CHECK(module.describe() == "MultiHeadAttention(6, 2 heads of 3, causal)");
  CHECK_THROWS_WITH_AS(module(normal({2, 6}, 1)),
                       "multi_head_attention: input has shape (2, 6), expected (B, L, 6)", Error);
  CHECK_THROWS_WITH_AS(module(normal({1, 2, 6}, 1), normal({1, 2, 6}, 1), {}),
                       "multi_head_attention: memory cannot be attended to with causal", Error);
  CHECK_THROWS_WITH_AS(make({.shared_qk = true})(normal({1, 2, 6}, 1), normal({1, 2, 6}, 1), {}),
                       "multi_head_attention: memory cannot be attended to with shared_qk", Error);
  CHECK_THROWS_WITH_AS(make({})(normal({1, 2, 6}, 1), normal({1, 2, 7}, 1), {}),
                       "multi_head_attention: memory has shape (1, 2, 7), expected (B, L, 6)",
                       Error);
  CHECK_THROWS_WITH_AS(nn::MultiHeadAttention({.size = {10, 4}}),
                       "multi_head_attention: 4 heads do not divide d_model 10; give head_size",
                       Error);
  CHECK_THROWS_WITH_AS(nn::MultiHeadAttention({.size = {0, 1}}),
                       "multi_head_attention: d_model 0 and heads 1 must be at least 1", Error);
}

TEST_CASE("local_self_attention by its definition") {
  const Tensor x = normal({B, L, D}, 6);
  const std::vector<bool> seen{true, true, false, true, true, true, true, false, true,
                               true, true, true,  true, true, true, true, true,  true};
  struct Case {
    bool causal;
    int64_t before, after;
  };
  for (const Case& c : {Case{true, 1, 0}, Case{true, 0, 0}, Case{false, 1, 1}}) {
    Generator generator(12);
    nn::LocalSelfAttention module({.size = {D, H, K},
                                   .chunk = 4,
                                   .chunks_before = c.before,
                                   .chunks_after = c.after,
                                   .causal = c.causal,
                                   .std = 0.7},
                                  generator);
    const Numbers want = reference(module, x, x, false, [&](int64_t b, int64_t, int64_t i) {
      Sight sight;
      for (int64_t j = 0; j < L; ++j) {
        const bool near = j / 4 >= i / 4 - c.before && j / 4 <= i / 4 + c.after;
        if (near && !(c.causal && j > i) && seen[static_cast<size_t>(b * L + j)]) {
          sight.keys.push_back(j);
        }
      }
      return sight;
    });
    const Tensor mask = key_mask(seen, {B, L});
    CHECK(error_of(module(x, mask), want) < 1e-5);
    check_module_gradients("local", module, x, [&](const Tensor& t) { return module(t, mask); });
  }
}

TEST_CASE("local_self_attention's names, words and errors") {
  nn::LocalSelfAttention module({.size = {D, H}, .chunk = 16});
  CHECK(parameter_names(module) == Names{"self_attention.query.weight", "self_attention.key.weight",
                                         "self_attention.value.weight", "output.dense.weight"});
  CHECK(module.describe() == "LocalSelfAttention(6, 2 heads of 3, chunks of 16, causal)");
  CHECK_THROWS_WITH_AS(module(normal({1, 2, 5}, 1)),
                       "local_self_attention: input has shape (1, 2, 5), expected (B, L, 6)",
                       Error);
}
