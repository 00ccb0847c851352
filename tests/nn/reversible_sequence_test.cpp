/// Promise: in exact mode a deep stack gives the same bits as its blocks with every activation
/// kept, and the gradients of ordinary ops that know nothing of reversibility. The test would see
/// one wrong word: the last case rebuilds one.
#include "stack.h"

#include <tenet/nn/feed_forward.h>
#include <tenet/nn/layer_norm.h>
#include <tenet/nn/reversible_sequence.h>

#include <doctest/doctest.h>

using namespace tenet;
using namespace tenet::test;

namespace {

constexpr int64_t length = 32, d_model = 8;

/// dropout(inner(layer_norm(x))), what a Reformer adds to a stream.
template <class Inner>
struct Branch : nn::Module {
  nn::LayerNorm norm{d_model};
  Inner inner;
  nn::Dropout dropout{0.1};
  explicit Branch(Inner module) : inner(std::move(module)) {}
  Tensor operator()(const Tensor& x) { return dropout(inner(norm(x))); }
  void fields(nn::Fields& f) override { f("norm", norm), f("inner", inner), f("d", dropout); }
};

using Function = nn::AdditiveCoupling::Function;

/// The same functions as a ReversibleSequence and one by one.
struct Blocks {
  Blocks(const std::string& attention, int depth, nn::Residual residual = nn::Residual::exact)
      : sequence({.residual = residual}) {
    set_seed(5);
    for (int i = 0; i < depth; ++i) {
      if (attention == "lsh") {
        add(nn::LshSelfAttention({.size = {d_model, 2},
                                  .window = 8,
                                  .num_buckets = {4},
                                  .dropout = 0.1,
                                  .layer = static_cast<uint64_t>(i)}));
      } else {
        add(nn::MultiHeadAttention({.size = {d_model, 2}, .causal = true, .dropout = 0.1}));
      }
    }
  }

  template <class Attention>
  void add(Attention attention) {
    const auto f = std::make_shared<Branch<Attention>>(std::move(attention));
    const auto g = std::make_shared<Branch<nn::FeedForward>>(
        nn::FeedForward({.d_model = d_model, .d_ff = 16, .dropout = 0.1}));
    sequence.add(f, g);
    functions.push_back([f](const Tensor& x) { return (*f)(x); });
    functions.push_back([g](const Tensor& x) { return (*g)(x); });
  }

  nn::ReversibleSequence sequence;
  std::vector<Function> functions;
};

struct Run {
  Tensors results;  // loss, gradient of the input, gradients of the parameters
  detail::ReversibleCounters counters;
  int64_t activation_peak = 0;
};

/// Forward and backward of a loss over the two streams that `forward` gives.
Run run(Blocks& blocks, const std::function<std::pair<Tensor, Tensor>(Tensor)>& forward) {
  Run result;
  const Tensor x = normal({2, length, d_model}, 1).set_requires_grad(true);
  const Tensor a = normal(x.shape(), 2), b = normal(x.shape(), 3);
  set_seed(6);
  detail::reversible_counters() = {};
  const int64_t before = memory::stats(Device::cpu(), memory::Category::working).live;
  memory::reset_peak();
  {
    auto [y1, y2] = forward(x);
    const Tensor loss = sum(y1 * a) + sum(y2 * b);
    y1 = y2 = Tensor();
    backward(loss);
    result.results.push_back(loss.detach());
  }
  result.activation_peak = memory::stats(Device::cpu(), memory::Category::working).peak - before;
  result.counters = detail::reversible_counters();
  result.results.push_back(x.grad());
  for (const Tensor& p : blocks.sequence.parameters()) result.results.push_back(p.grad());
  blocks.sequence.clear_grad();
  return result;
}

Run run_sequence(Blocks& blocks, bool reversible) {
  blocks.sequence.set_reversible(reversible);
  return run(blocks, [&](Tensor x) { return blocks.sequence(std::move(x)); });
}

/// The fixed-point recurrence in four ops per block; neither couplings nor sequences take part.
Run run_plain(Blocks& blocks) {
  return run(blocks, [&](const Tensor& x) {
    Tensor x1 = encode(x), x2 = encode(x);
    for (size_t i = 0; i < blocks.functions.size(); i += 2) {
      x1 = coupling_add(x1, blocks.functions[i](decode(x2)));
      x2 = coupling_add(x2, blocks.functions[i + 1](decode(x1)));
    }
    return std::pair(decode(x1), decode(x2));
  });
}

/// max |a - b| / max |b| over each result.
double difference(const Run& a, const Run& b) {
  double worst = 0;
  REQUIRE(a.results.size() == b.results.size());
  for (size_t i = 0; i < a.results.size(); ++i) {
    double largest = 1e-30, off = 0;
    const Numbers x = a.results[i].to_vector<double>(), y = b.results[i].to_vector<double>();
    for (size_t k = 0; k < x.size(); ++k) {
      largest = std::max(largest, std::abs(y[k]));
      off = std::max(off, std::abs(x[k] - y[k]));
    }
    worst = std::max(worst, off / largest);
  }
  return worst;
}

bool same(const Run& a, const Run& b) { return same_bits(a.results, b.results); }

/// A coupling that flips the lowest bit of one word of what it rebuilds.
struct OneWrongBit : ReversibleFunction {
  explicit OneWrongBit(std::shared_ptr<nn::AdditiveCoupling> c) : inner(std::move(c)) {}
  Tensors forward(const Tensors& x) override { return inner->forward(x); }
  Tensors inverse(const Tensors& y) override { return inner->inverse(y); }
  InverseAndGrad inverse_and_grad(const Tensors& y, const Tensors& dy) override {
    InverseAndGrad result = inner->inverse_and_grad(y, dy);
    result.x[1].mutable_data<int32_t>()[100] ^= 1;
    return result;
  }
  bool exact() const override { return true; }
  std::shared_ptr<nn::AdditiveCoupling> inner;
};

}  // namespace

TEST_CASE("gradients of a deep stack: rebuilt, kept and plain") {
  for (const std::string attention : {"lsh", "full"}) {
    for (const int depth : {2, 12, 48}) {
      CAPTURE(attention);
      CAPTURE(depth);
      Blocks blocks(attention, depth);
      const Run rebuilt = run_sequence(blocks, true), kept = run_sequence(blocks, false);
      const Run plain = run_plain(blocks);
      CHECK(same(rebuilt, kept));
      CHECK(difference(rebuilt, plain) < 1e-6);
      CHECK(rebuilt.counters.releases == 2 * depth);
      CHECK(rebuilt.counters.rebuilds == 2 * (depth - 1));
      CHECK(rebuilt.counters.inverse_calls == depth);
      CHECK(kept.counters.releases + plain.counters.releases == 0);

      Blocks floating(attention, depth, nn::Residual::floating);
      const Run inverted = run_sequence(floating, true), stored = run_sequence(floating, false);
      MESSAGE(attention << ", depth " << depth << ": " << rebuilt.counters.releases << " releases, "
                        << rebuilt.counters.rebuilds << " rebuilds, "
                        << rebuilt.counters.inverse_calls << " inverse calls, activation peak "
                        << rebuilt.activation_peak << " B (kept " << kept.activation_peak
                        << " B); equal to the bit to kept activations, off by "
                        << difference(rebuilt, plain) << " from plain ops; float residual off by "
                        << difference(inverted, stored));
    }
  }
}

TEST_CASE("one wrong bit in one rebuilt word is seen") {
  Blocks blocks("lsh", 4);
  const Run kept = run_sequence(blocks, false);
  const auto corrupt = [&](const Tensor& x) {
    Tensors streams{encode(x), encode(x)};
    for (size_t i = 0; i < blocks.functions.size(); i += 2) {
      std::shared_ptr<ReversibleFunction> f = std::make_shared<nn::AdditiveCoupling>(
          blocks.functions[i], blocks.functions[i + 1], fmt::format("layers.{}", i / 2));
      if (i == 4)
        f = std::make_shared<OneWrongBit>(std::static_pointer_cast<nn::AdditiveCoupling>(f));
      streams = reversible(std::move(f), std::move(streams));
    }
    return std::pair(decode(streams[0]), decode(streams[1]));
  };
#ifdef NDEBUG  // else the check below is always on
  const Run corrupted = run(blocks, corrupt);
  CHECK_FALSE(same(corrupted, kept));
  MESSAGE("one wrong bit: gradients off by " << difference(corrupted, kept));
#endif
  const Anomaly anomaly;
  CHECK(error_text([&] { run(blocks, corrupt); }) ==
        "reversible: input 1 of shape (2, 32, 8) was not rebuilt to the bit; forward and inverse "
        "must compute the same values from the same tensors");
}
