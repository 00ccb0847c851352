#include <doctest/doctest.h>
#include <ops/array.h>
#include <ops/op_case.h>
#include <tenet/core/autograd.h>
#include <tenet/core/memory.h>
#include <tenet/core/parallel.h>
#include <tenet/core/reversible.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/layer_norm.h>
#include <tenet/ops/reduce.h>
#include <tenet/ops/stream.h>
#include <tenet/ops/views.h>

#include <cmath>

using namespace tenet;
using namespace tenet::test;

namespace {

OpReference reference(bool has_weight, bool has_bias) {
  return [=](const Arrays& x) {
    Array y = along(x[0], -1, [](const std::vector<double>& line) {
      double mean = 0, variance = 0;
      const double n = static_cast<double>(line.size());
      for (const double value : line) mean += value / n;
      for (const double value : line) variance += (value - mean) * (value - mean) / n;
      std::vector<double> result;
      for (const double value : line) result.push_back((value - mean) / std::sqrt(variance + 1e-5));
      return result;
    });
    const auto n = static_cast<size_t>(y.shape.back());
    for (size_t i = 0; i < y.values.size(); ++i) {
      if (has_weight) y.values[i] *= x[1].values[i % n];
      if (has_bias) y.values[i] += x.back().values[i % n];
    }
    return y;
  };
}

}  // namespace

TEST_CASE("op table: layer_norm") {
  const Tensor x = zeros({2, 4});
  OpCase row{.op = "layer_norm"};
  row.types = real_types;
  row.tolerance = 3e-6;
  row.tolerance_f16 = 4e-3;
  row.tolerance_bf16 = 3e-2;
  SUBCASE("with weight and bias") {
    row.inputs = {{.shape = {2, 3, 7}}, {.shape = {7}}, {.shape = {7}}};
    row.function = [](const Tensors& t) { return layer_norm(t[0], t[1], t[2]); };
    row.reference = reference(true, true);
    row.shapes = {{{0, 7}, {7}, {7}}, {{7}, {7}, {7}}, {{2, 33}, {33}, {33}}};
    row.errors = {{[=] { layer_norm(x, ones({3})); },
                   "layer_norm: weight has shape (3,), the last axis of x (2, 4) has size 4"},
                  {[=] {
                     layer_norm(x, ones({4}), ones({1, 4}));
                   },
                   "layer_norm: bias has shape (1, 4), the last axis of x (2, 4) has size 4"},
                  {[] { layer_norm(scalar(1.0)); }, "layer_norm: x has no axis"},
                  {[] { layer_norm(arange(4)); }, "layer_norm: dtype i64 is not supported"}};
  }
  SUBCASE("bare") {
    row.inputs = {{.shape = {3, 5}}};
    row.function = [](const Tensors& t) { return layer_norm(t[0]); };
    row.reference = reference(false, false);
  }
  SUBCASE("weight only") {
    row.inputs = {{.shape = {3, 5}}, {.shape = {5}}};
    row.function = [](const Tensors& t) { return layer_norm(t[0], t[1]); };
    row.reference = reference(true, false);
  }
  SUBCASE("bias only") {
    row.inputs = {{.shape = {3, 5}}, {.shape = {5}}};
    row.function = [](const Tensors& t) { return layer_norm(t[0], {}, t[1]); };
    row.reference = reference(false, true);
  }
  run(row);
}

TEST_CASE("many rows: gradients of the parameters in blocks, equal for any number of threads") {
  Generator generator(11);
  Tensor x = randn({2500, 19}, generator).to(DType::f64).set_requires_grad(true);
  Tensor w = randn({19}, generator).to(DType::f64).set_requires_grad(true);
  Tensor b = randn({19}, generator).to(DType::f64).set_requires_grad(true);
  const Tensor dy = randn({2500, 19}, generator).to(DType::f64);
  const auto gradients = [&](DType dtype, bool create_graph) {
    const Tensor y = layer_norm(x.to(dtype), w.to(dtype), b.to(dtype));
    return grad({y}, {x, w, b}, {.dy = {dy.to(dtype)}, .create_graph = create_graph});
  };
  const Tensors exact = gradients(DType::f64, true);
  const int threads = num_threads();
  set_num_threads(1);
  const Tensors one = gradients(DType::f32, false);
  set_num_threads(4);
  const Tensors four = gradients(DType::f32, false);
  set_num_threads(threads);
  for (size_t k = 0; k < 3; ++k) {
    const std::vector<double> a = one[k].to_vector<double>(), e = exact[k].to_vector<double>();
    CHECK(a == four[k].to_vector<double>());
    double worst = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      worst = std::max(worst, std::abs(a[i] - e[i]) / std::max(1.0, std::abs(e[i])));
    }
    CHECK(worst <= 5e-6);
  }
}

TEST_CASE("a row's result does not depend on its neighbours or threads") {
  Generator generator(13);
  const Tensor x = randn({400, 257}, generator), w = randn({257}, generator),
               b = randn({257}, generator);
  const std::vector<float> all = layer_norm(x, w, b).to_vector<float>();
  const int threads = num_threads();
  for (const int count : {1, 3}) {
    set_num_threads(count);
    CHECK(layer_norm(x, w, b).to_vector<float>() == all);
    for (const int64_t row : {0, 1, 399}) {
      const std::vector<float> one =
          layer_norm(slice(x, 0, row, row + 1).clone(), w, b).to_vector<float>();
      CHECK(std::equal(one.begin(), one.end(), all.begin() + row * 257));
    }
  }
  set_num_threads(threads);
}

TEST_CASE("statistics survive a large mean; half inputs have f32 statistics") {
  const Tensor x = from_vector<float>({10000, 10001, 10002, 10003}, {1, 4});
  const std::vector<float> y = layer_norm(x, {}, {}, 0).to_vector<float>();
  CHECK(y[0] == doctest::Approx(-1.3416408));
  CHECK(y[3] == doctest::Approx(1.3416408));
  Generator generator(17);
  const Tensor half = randn({3, 300}, generator).to(DType::bf16);
  CHECK(layer_norm(half).to_vector<float>() ==
        layer_norm(half.to(DType::f32)).to(DType::bf16).to_vector<float>());
  CHECK(layer_norm(half, ones({300})).dtype() == DType::f32);
}

TEST_CASE("layer_norm of a fixed32 stream is that of the decoded one, to the bit") {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const Shape& shape : {Shape{3, 5, 33}, Shape{2000, 8}, Shape{0, 4}}) {
      Generator generator(3);
      const Tensor x = encode(randn(shape, generator)), dy = randn(shape, generator).to(dtype);
      const Tensor weight = randn({shape.back()}, generator).to(dtype);
      const auto gradients = [&](bool decoded) {
        const Tensor stream = replay_leaf(x), w = weight.clone().set_requires_grad(true);
        const Tensor y = layer_norm(decoded ? decode(stream) : stream, w, w);
        Tensors result = grad({y}, {stream, w}, {.dy = {dy}});
        result.push_back(y.detach());
        return result;
      };
      const Tensors want = gradients(true), have = gradients(false);
      for (size_t i = 0; i < want.size(); ++i) {
        CHECK(have[i].dtype() == want[i].dtype());
        CHECK(have[i].to_vector<double>() == want[i].to_vector<double>());
      }
    }
  }
}

TEST_CASE("layer_norm of a fixed32 stream makes no decoded copy, and has second derivatives") {
  Generator generator(4);
  const Tensor x = replay_leaf(encode(randn({64, 512}, generator)));
  const int64_t bytes = x.numel() * 4;
  memory::reset_peak();
  const int64_t before = memory::stats(Device::cpu()).live;
  const Tensor y = layer_norm(x);
  CHECK(memory::stats(Device::cpu()).peak - before < bytes + bytes / 8);
  const Tensor decoded = decode(x);
  const auto second = [&](const Tensor& of) {
    const Tensor dy = of * of;
    const Tensor dx = grad({of}, {x}, {.dy = {dy.detach()}, .create_graph = true})[0];
    return grad({sum(dx * dx)}, {x})[0].to_vector<double>();
  };
  CHECK(second(y) == second(layer_norm(decoded)));
}
