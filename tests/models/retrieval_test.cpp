/// Promise: LSH attention finds what lies hundreds of tokens back; local attention of the same
/// width cannot.
#include <tenet/core/autograd.h>
#include <tenet/nn/attention.h>
#include <tenet/nn/embedding.h>
#include <tenet/nn/feed_forward.h>
#include <tenet/nn/layer_norm.h>
#include <tenet/nn/linear.h>
#include <tenet/nn/reversible_sequence.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/concatenate.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/cross_entropy.h>
#include <tenet/optim/adam.h>

#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>
#include <random>

using namespace tenet;

namespace {

constexpr int64_t length = 512, keys = 32, key_range = 64, query_range = 128, values = 4;
constexpr int64_t width = 64, heads = 2, window = 64, batch = 8;
constexpr int64_t not_scored = -100;

/// 32 key-value tokens among the first 64 positions, the 32 keys as queries among the last 128,
/// filler elsewhere. A query's target is its key's value.
struct Toy {
  std::vector<int64_t> key, value, type, target;

  Toy(uint64_t seed, int64_t rows) : random_(seed) {
    for (int64_t row = 0; row < rows; ++row) add_row();
  }

 private:
  void add_row() {
    const auto start = key.size();
    for (auto* list : {&key, &value, &type}) list->resize(start + length, 0);
    target.resize(start + length, not_scored);
    const std::vector<int64_t> places = choose(0, key_range),
                               queries = choose(length - query_range, length);
    std::vector<int64_t> order(keys);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), random_);
    std::vector<int64_t> value_of(keys);
    for (int64_t i = 0; i < keys; ++i) {
      const auto at = start + static_cast<size_t>(places[static_cast<size_t>(i)]);
      value_of[static_cast<size_t>(i)] = static_cast<int64_t>(random_() % values);
      key[at] = 1 + i;
      value[at] = 1 + value_of[static_cast<size_t>(i)];
      type[at] = 1;
    }
    for (size_t i = 0; i < keys; ++i) {
      const auto at = start + static_cast<size_t>(queries[i]);
      key[at] = 1 + order[i];
      type[at] = 2;
      target[at] = value_of[static_cast<size_t>(order[i])];
    }
  }
  /// `keys` different positions of [begin, end) in any order.
  std::vector<int64_t> choose(int64_t begin, int64_t end) {
    std::vector<int64_t> all(static_cast<size_t>(end - begin));
    std::iota(all.begin(), all.end(), begin);
    std::shuffle(all.begin(), all.end(), random_);
    all.resize(keys);
    return all;
  }

  std::mt19937_64 random_;
};

template <class Attention>
struct Attend : nn::Module {
  nn::LayerNorm norm{width};
  Attention attention;
  explicit Attend(Attention a) : attention(std::move(a)) {}
  Tensor operator()(const Tensor& x) { return attention(norm(x)); }
  void fields(nn::Fields& f) override { f("norm", norm), f("attention", attention); }
};

struct Feed : nn::Module {
  nn::LayerNorm norm{width};
  nn::FeedForward feed{{.d_model = width, .d_ff = 2 * width}};
  Tensor operator()(const Tensor& x) { return feed(norm(x)); }
  void fields(nn::Fields& f) override { f("norm", norm), f("feed", feed); }
};

/// Embeddings that are sums of key, value and type factors; two reversible layers; a head on both
/// streams.
struct Model : nn::Module {
  nn::Embedding key{keys + 1, width}, value{values + 1, width}, type{3, width};
  nn::ReversibleSequence layers;
  nn::LayerNorm norm{2 * width};
  nn::Linear head{2 * width, values};

  explicit Model(bool lsh) {
    for (uint64_t i = 0; i < 2; ++i) {
      const nn::AttentionSize size{width, heads};
      if (lsh) {
        add(nn::LshSelfAttention({.size = size,
                                  .window = window,
                                  .num_buckets = {2 * length / window},
                                  .hashes = 2,
                                  .evaluation_hashes = 4,
                                  .layer = i}));
      } else {
        add(nn::LocalSelfAttention({.size = size, .chunk = window}));
      }
    }
  }
  Tensor operator()(const Toy& toy, int64_t rows) {
    const Shape shape{rows, length};
    const auto embed = [&](nn::Embedding& table, const std::vector<int64_t>& ids) {
      return table(from_vector(ids, shape));
    };
    auto [y1, y2] = layers(embed(key, toy.key) + embed(value, toy.value) + embed(type, toy.type));
    return head(norm(concatenate({y1, y2}, -1)));
  }
  void fields(nn::Fields& f) override {
    f("key", key), f("value", value), f("type", type), f("layers", layers), f("norm", norm),
        f("head", head);
  }

 private:
  template <class Attention>
  void add(Attention attention) {
    layers.add(std::make_shared<Attend<Attention>>(std::move(attention)), std::make_shared<Feed>());
  }
};

double accuracy(Model& model) {
  const NoGrad scope;
  model.eval();
  constexpr int64_t rows = 32;
  const Toy toy(999, rows);
  const std::vector<float> logits = model(toy, rows).to_vector<float>();
  int64_t right = 0;
  for (size_t i = 0; i < toy.target.size(); ++i) {
    if (toy.target[i] == not_scored) continue;
    const float* row = logits.data() + static_cast<int64_t>(i) * values;
    right += std::max_element(row, row + values) - row == toy.target[i] ? 1 : 0;
  }
  return static_cast<double>(right) / (rows * keys);
}

double train(bool lsh, int64_t steps, double rate) {
  set_seed(1);
  Model model(lsh);
  optim::Adam adam(model.named_parameters(), {.learning_rate = rate});
  for (int64_t step = 0; step < steps; ++step) {
    model.train();
    const Toy toy(static_cast<uint64_t>(step), batch);
    const Tensor logits = model(toy, batch);
    adam.set_learning_rate(rate * std::min(1.0, static_cast<double>(step + 1) / 20));
    backward(cross_entropy(logits, from_vector(toy.target, {batch, length})));
    adam.step();
    adam.clear_grad();
  }
  return accuracy(model);
}

}  // namespace

TEST_CASE("LSH attention learns retrieval over 320 tokens, local attention does not" *
          doctest::test_suite("slow")) {
  const double lsh = train(true, 200, 3e-3), local = train(false, 200, 3e-3);
  MESSAGE("retrieval accuracy after 200 steps: LSH " << lsh << ", local " << local
                                                     << " (chance 0.25)");
  CHECK(lsh >= 0.9);
  CHECK(local < 0.35);
}
