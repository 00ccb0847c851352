/// Couplings whose g takes some rows at a time.
#include "stack.h"

#include <tenet/nn/reversible_sequence.h>

using namespace tenet;
using namespace tenet::test;

namespace {

/// b(dropout(tanh(a(x)))), each row alone; keeps how many rows it was given at most.
struct Rows : nn::Module {
  explicit Rows(double p) : dropout(p) {}
  Tensor operator()(const Tensor& x) {
    most = std::max(most, x.numel() / x.size(-1));
    ++calls;
    return b(dropout(tanh(a(x))));
  }
  void fields(nn::Fields& f) override { f("a", a), f("b", b), f("dropout", dropout); }

  nn::Linear a{4, 24}, b{24, 4};
  nn::Dropout dropout;
  int64_t most = 0, calls = 0;
};

std::shared_ptr<nn::LshSelfAttention> attention(uint64_t layer) {
  return std::make_shared<nn::LshSelfAttention>(nn::LshSelfAttentionOptions{
      .size = {4, 2}, .window = 4, .num_buckets = {4}, .dropout = 0.1, .layer = layer});
}

struct Setting {
  int64_t rows = 0;
  bool reversible = true;
  nn::Residual residual = nn::Residual::exact;
  double dropout = 0.2;
  Shape shape = {3, 6, 4};
  int batches = 1;
};

struct Results {
  Tensors y, gradients;  // of the parameters and then of x
};

Results results_of(const Setting& s) {
  set_seed(11);
  nn::ReversibleSequence layers({.residual = s.residual, .reversible = s.reversible});
  for (uint64_t i = 0; i < 3; ++i) {
    layers.add(attention(i), std::make_shared<Rows>(s.dropout), "f", "g", s.rows);
  }
  set_seed(12);
  Tensor x = normal(s.shape, 1);
  x.set_requires_grad(true);
  Results all;
  for (int i = 0; i < s.batches; ++i) {
    const auto [y1, y2] = layers(x);
    all.y.insert(all.y.end(), {y1.detach().clone(), y2.detach().clone()});
    backward(sum(y1 * normal(s.shape, 5)) + sum(y2 * normal(s.shape, 6)));
  }
  for (const Tensor& p : layers.parameters()) all.gradients.push_back(p.grad().clone());
  all.gradients.push_back(x.grad().clone());
  return all;
}

bool all_same(const Tensors& a, const Tensors& b) {
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    if (!same_bits(a[i], b[i])) return false;
  }
  return true;
}

double worst_error(const Tensors& a, const Tensors& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    worst = std::max(worst, error_of(a[i], b[i].to_vector<double>()));
  }
  return worst;
}

// Of 18 rows: divisors, others, as many, more.
const int64_t row_counts[] = {1, 2, 4, 5, 6, 9, 17, 18, 19, 1000};

}  // namespace

TEST_CASE("a coupling in pieces has the values of the whole one") {
  const auto f = attention(0);
  const auto g = std::make_shared<Rows>(0.0);
  const auto coupling = [&](int64_t rows) {
    return nn::AdditiveCoupling([f](const Tensor& x) { return (*f)(x); },
                                [g](const Tensor& x) { return (*g)(x); }, "c", "f", "g", rows);
  };
  f->eval();
  const NoGrad scope;
  for (const bool exact : {true, false}) {
    const Tensor a = normal({3, 6, 4}, 1), b = normal({3, 6, 4}, 2);
    const Tensors x = exact ? Tensors{encode(a), encode(b)} : Tensors{a, b};
    const Tensors whole = coupling(0).forward(x);
    for (const int64_t rows : row_counts) {
      CAPTURE(rows);
      g->most = g->calls = 0;
      auto pieces = coupling(rows);
      const Tensors y = pieces.forward(x);
      CHECK(all_same(y, whole));
      CHECK(g->most == std::min<int64_t>(rows, 18));
      CHECK(g->calls == (18 + rows - 1) / rows);
      if (exact) CHECK(all_same(pieces.inverse(y), x));
    }
  }
}

TEST_CASE("gradients in pieces are those of kept activations") {
  for (const int64_t rows : row_counts) {
    CAPTURE(rows);
    for (const double dropout : {0.0, 0.2}) {
      const Setting on{.rows = rows, .dropout = dropout, .batches = 2};
      Setting off = on;
      off.reversible = false;
      const Results a = results_of(on), b = results_of(off);
      CHECK(all_same(a.y, b.y));
      CHECK(all_same(a.gradients, b.gradients));
      Setting floats = on, kept = off;
      floats.residual = kept.residual = nn::Residual::floating;
      const Results c = results_of(floats), d = results_of(kept);
      CHECK(all_same(c.y, d.y));
      CHECK(worst_error(c.gradients, d.gradients) < 1e-5);
    }
  }
}

TEST_CASE("gradients in pieces are those of the whole up to the order of sums") {
  for (const Shape& shape : {Shape{3, 6, 4}, Shape{1, 18, 4}, Shape{2, 1, 4}}) {
    const Results whole = results_of({.dropout = 0, .shape = shape});
    for (const int64_t rows : {1, 4, 9}) {
      const Results pieces = results_of({.rows = rows, .dropout = 0, .shape = shape});
      CHECK(all_same(pieces.y, whole.y));
      CHECK(worst_error(pieces.gradients, whole.gradients) < 1e-6);
      CHECK(same_bits(pieces.gradients.back(), whole.gradients.back()));
    }
  }
}

TEST_CASE("a coupling in pieces walked twice") {
  set_seed(3);
  const auto f = attention(0);
  const auto g = std::make_shared<Rows>(0.2);
  const auto coupling = std::make_shared<nn::AdditiveCoupling>(
      [f](const Tensor& x) { return (*f)(x); }, [g](const Tensor& x) { return (*g)(x); }, "c", "f",
      "g", 5);
  Tensor x = normal({3, 6, 4}, 1);
  x.set_requires_grad(true);
  const Tensors y = reversible(coupling, reversible(coupling, Tensors{encode(x), encode(x)}));
  const Tensor loss = Stack::loss(y);
  const auto walk = [&](bool retain) {
    x.clear_grad();
    for (const Tensor& p : g->parameters()) p.clear_grad();
    backward(loss, {.retain_graph = retain});
    Tensors all{x.grad().clone()};
    for (const Tensor& p : g->parameters()) all.push_back(p.grad().clone());
    return all;
  };
  const Tensors first = walk(true), values{y[0].clone(), y[1].clone()};
  CHECK(all_same(walk(true), first));
  CHECK(all_same(walk(false), first));
  CHECK(all_same(y, values));
}

TEST_CASE("pieces lower the peak of the backward pass") {
  const auto peak = [](int64_t rows) {
    set_seed(1);
    nn::ReversibleSequence layers;
    for (uint64_t i = 0; i < 2; ++i) {
      layers.add(std::make_shared<nn::Linear>(4, 4), std::make_shared<Rows>(0.1), "f", "g", rows);
    }
    const auto live = [] { return memory::stats(Device::cpu(), memory::Category::working); };
    const int64_t before = live().live;
    memory::reset_peak();
    const auto [y1, y2] = layers(normal({2, 8192, 4}, 1));
    backward(sum(y1) + sum(y2));
    return live().peak - before;
  };
  const int64_t whole = peak(0), pieces = peak(128);
  MESSAGE("peak: " << whole << " B, in pieces " << pieces << " B");
  CHECK(pieces < whole / 2);
}

TEST_CASE("outputs of a chain of couplings go as soon as they are used") {
  // Inside another function the coupling's own word does not count.
  struct Other : ReversibleFunction {
    explicit Other(std::shared_ptr<nn::AdditiveCoupling> c) : coupling(std::move(c)) {}
    Tensors forward(const Tensors& x) override { return coupling->forward(x); }
    Tensors inverse(const Tensors& y) override { return coupling->inverse(y); }
    InverseAndGrad inverse_and_grad(const Tensors& y, const Tensors& dy) override {
      return coupling->inverse_and_grad(y, dy);
    }
    bool exact() const override { return true; }
    std::shared_ptr<nn::AdditiveCoupling> coupling;
  };
  const auto run = [](bool early) {
    set_seed(1);
    const auto f = std::make_shared<nn::Linear>(64, 64), g = std::make_shared<nn::Linear>(64, 64);
    const auto coupling = nn::additive_coupling(f, g);
    Tensor x = normal({512, 64}, 1);
    x.set_requires_grad(true);
    Tensors y{encode(x), encode(x)};
    for (int i = 0; i < 4; ++i) {
      y = early ? reversible(coupling, std::move(y))
                : reversible(std::make_shared<Other>(coupling), std::move(y));
    }
    const Tensor loss = Stack::loss(y);
    y.clear();
    const auto live = [] { return memory::stats(Device::cpu(), memory::Category::working); };
    const int64_t before = live().live;
    memory::reset_peak();
    backward(loss);
    return std::pair{live().peak - before,
                     Tensors{x.grad(), f->weight.grad(), f->bias.grad(), g->weight.grad()}};
  };
  const auto [late, expected] = run(false);
  const auto [early, gradients] = run(true);
  MESSAGE("peak of a backward pass: " << early << " B, and " << late << " B with outputs held");
  CHECK(early + 512 * 64 * 4 <= late);
  CHECK(all_same(gradients, expected));
}

TEST_CASE("errors of couplings in pieces") {
  const auto same = [](const Tensor& x) { return x; };
  const auto widen = [](const Tensor& x) { return concatenate({x, x}, 1); };
  CHECK(error_text([&] { nn::AdditiveCoupling(same, same, "layers.2", "f", "g", -1); }) ==
        "layers.2.g: -1 rows at a time; give 0 for all");
  nn::AdditiveCoupling wide(same, widen, "c", "f", "g", 3);
  const Tensor x = encode(normal({2, 4, 4}, 1));
  CHECK(error_text([&] {
          wide.forward({x, x});
        }) == "c.g: the function gives shape (3, 8) for a stream of shape (3, 4)");
  nn::ReversibleSequence layers;
  layers.add(std::make_shared<nn::Linear>(4, 4), std::make_shared<nn::Linear>(4, 4), "f", "g", -5);
  CHECK(error_text([&] {
          layers(normal({2, 4}, 1));
        }) == "layers.0.g: -5 rows at a time; give 0 for all");
}

TEST_CASE("streams without rows are not cut") {
  const auto same = [](const Tensor& x) { return x; };
  nn::AdditiveCoupling coupling(same, same, "c", "f", "g", 2);
  const NoGrad scope;
  for (const Shape& shape : {Shape{5}, Shape{0, 4}, Shape{3, 0}, Shape{2, 4}}) {
    const Tensor x = encode(normal(shape, 1));
    const Tensors y = coupling.forward({x, x});
    CHECK(y[1].shape() == shape);
    CHECK(all_same(coupling.inverse(y), {x, x}));
  }
}
