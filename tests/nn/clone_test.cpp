#include "module_check.h"

#include <tenet/nn/attention.h>
#include <tenet/nn/dropout.h>
#include <tenet/nn/embedding.h>
#include <tenet/nn/feed_forward.h>
#include <tenet/nn/layer_norm.h>
#include <tenet/nn/position.h>
#include <tenet/nn/reversible_sequence.h>

using namespace tenet;
using namespace tenet::test;

namespace {

/// A copy gives the same bits, loads the original's state, and shares nothing with it.
template <class M>
void check_clone(const M& module, const std::function<Tensor(M&)>& call) {
  CAPTURE(module.describe());
  M copy = nn::clone(module), other = nn::clone(module);
  const auto run = [&](M& m) {
    set_seed(1);
    return call(m).clone();  // not a view of a weight
  };
  const Tensor want = run(copy);
  CHECK(copy.to_string() == module.to_string());
  CHECK(same_bits(run(const_cast<M&>(module)), want));
  for (const Tensor& weight : copy.parameters()) {
    weight.mutable_data<float>()[0] += 1;
    weight.mutable_data<float>()[weight.numel() - 1] += 1;
  }
  if (!copy.parameters().empty()) CHECK_FALSE(same_bits(run(copy), want));
  CHECK(same_bits(run(const_cast<M&>(module)), want));
  copy.load_state_dict(module.state_dict());
  CHECK(same_bits(run(copy), want));
  CHECK(same_bits(run(other), want));
}

const nn::AttentionSize size{6, 2, 3};

Tensor input() { return normal({2, 8, 6}, 1); }

struct Block : nn::Module {
  nn::LayerNorm norm{6};
  nn::FeedForward inner{{.d_model = 6, .d_ff = 8}};
  Tensor operator()(const Tensor& x) { return inner(norm(x)); }
  void fields(nn::Fields& f) override {
    f("norm", norm);
    f("", inner);
  }
};

}  // namespace

TEST_CASE("every module can be cloned") {
  check_clone<nn::Linear>(nn::Linear(6, 4), [](auto& m) { return m(input()); });
  check_clone<nn::LayerNorm>(nn::LayerNorm(6), [](auto& m) { return m(input()); });
  check_clone<nn::Dropout>(nn::Dropout(0.5), [](auto& m) { return m(input()); });
  check_clone<nn::Embedding>(nn::Embedding(5, 3), [](auto& m) {
    return m(from_vector<int64_t>({0, 4}, {2}));
  });
  check_clone<nn::FeedForward>(nn::FeedForward({.d_model = 6, .d_ff = 8, .dropout = 0.5}),
                               [](auto& m) { return m(input()); });
  check_clone<nn::AxialPositionalEmbedding>(nn::AxialPositionalEmbedding({2, 3}, {2, 3}),
                                            [](auto& m) { return m(6); });
  check_clone<nn::LearnedPositionalEmbedding>(nn::LearnedPositionalEmbedding(5, 3),
                                              [](auto& m) { return m(5); });
  check_clone<nn::MultiHeadAttention>(nn::MultiHeadAttention({.size = size}),
                                      [](auto& m) { return m(input()); });
  check_clone<nn::LocalSelfAttention>(nn::LocalSelfAttention({.size = size, .chunk = 3}),
                                      [](auto& m) { return m(input()); });
  check_clone<nn::LshSelfAttention>(nn::LshSelfAttention({.size = size, .num_buckets = {2}}),
                                    [](auto& m) { return m(input()); });
}

TEST_CASE("a reversible sequence is cloned with its blocks, shared ones once") {
  nn::ReversibleSequence layers;
  const auto shared = std::make_shared<Block>();
  layers.add(shared, std::make_shared<Block>(), "attention", "feed_forward");
  layers.add(shared, std::make_shared<Block>(), "attention", "feed_forward");
  CHECK(layers.parameter_count() == 3 * shared->parameter_count());
  check_clone<nn::ReversibleSequence>(layers, [](auto& m) { return m(input()).first; });
  CHECK(nn::clone(layers).parameter_count() == layers.parameter_count());
}

TEST_CASE("the tree of a model") {
  nn::ReversibleSequence layers;
  layers.add(std::make_shared<Block>(), std::make_shared<Block>(), "attention", "feed_forward");
  CHECK(layers.to_string() ==
        "ReversibleSequence, 244 parameters\n"
        "  0.attention: Block, 122 parameters\n"
        "    norm: LayerNorm(6), 12 parameters\n"
        "    FeedForward(6 -> 8 -> 6, gelu), 110 parameters\n"
        "      dense.dense: Linear(6 -> 8), 56 parameters\n"
        "      output.dense: Linear(8 -> 6), 54 parameters\n"
        "  0.feed_forward: Block, 122 parameters\n"
        "    norm: LayerNorm(6), 12 parameters\n"
        "    FeedForward(6 -> 8 -> 6, gelu), 110 parameters\n"
        "      dense.dense: Linear(6 -> 8), 56 parameters\n"
        "      output.dense: Linear(8 -> 6), 54 parameters\n");
}
