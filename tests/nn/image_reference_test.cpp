/// Convolutions, pooling and batch normalisation against PyTorch's recorded results.
#include "module_check.h"

#include <reference/conv_fixtures.h>
#include <tenet/core/autograd.h>
#include <tenet/nn/batch_norm.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/batch_norm.h>
#include <tenet/ops/conv2d.h>
#include <tenet/ops/pool2d.h>
#include <tenet/ops/views.h>

using namespace tenet;
using namespace tenet::test;

namespace {

/// numbers() and digest() are those of conv_fixtures.py.
Tensor numbers(const Shape& shape, int64_t seed, DType dtype) {
  Numbers values;
  for (int64_t i = 0; i < shape.numel(); ++i) {
    values.push_back(static_cast<double>((i * 7919 + seed * 104729) % 2003 - 1001) / 1024);
  }
  return from_vector(values, shape, {dtype});
}

Numbers digest(const Tensor& x) {
  const Numbers all = x.to_vector<double>();
  const Numbers factors = numbers({x.numel()}, 99, DType::f64).to_vector<double>();
  Numbers result;
  for (size_t k = 0; k < 12; ++k) result.push_back(all[k * all.size() / 12]);
  double product = 0;
  for (size_t i = 0; i < all.size(); ++i) product += all[i] * factors[i];
  result.push_back(product);
  return result;
}

/// Compares with what is recorded and keeps the worst differences by op.
struct Comparison {
  std::string op;
  double f64 = 0, f32 = 0;

  void add(const std::string& name, const Tensor& got) {
    CAPTURE(name);
    const std::vector<double> want = conv_fixtures.at(name), have = digest(got);
    double error = 0;
    for (size_t i = 0; i < want.size(); ++i) {
      error = std::max(error, std::abs(have[i] - want[i]) / std::max(1.0, std::abs(want[i])));
    }
    const bool wide = got.dtype() == DType::f64;
    CHECK(error <= (wide ? 1e-12 : 1e-5));
    double& worst = wide ? f64 : f32;
    worst = std::max(worst, error);
  }
  /// y = f(inputs) and the gradient by each of them.
  void run(const std::string& name, const std::function<Tensor(const Tensors&)>& f,
           const std::vector<Shape>& shapes) {
    for (const DType dtype : {DType::f64, DType::f32}) {
      Tensors inputs;
      for (size_t i = 0; i < shapes.size(); ++i) {
        inputs.push_back(numbers(shapes[i], static_cast<int64_t>(i), dtype));
        inputs.back().set_requires_grad(true);
      }
      const Tensor y = f(inputs);
      add(name + ": y", y);
      const Tensors d = grad({y}, inputs, {.dy = {numbers(y.shape(), 50, dtype)}});
      for (size_t i = 0; i < d.size(); ++i) add(fmt::format("{}: d{}", name, i), d[i]);
    }
  }
  ~Comparison() {
    MESSAGE(op << " beside PyTorch: off by " << f64 << " in f64, " << f32 << " in f32");
  }
};

}  // namespace

TEST_CASE("conv2d beside PyTorch") {
  Comparison comparison{"conv2d"};
  const auto run = [&](const std::string& name, Conv2dOptions options, std::vector<Shape> shapes) {
    comparison.run(
        name, [&](const Tensors& t) { return conv2d(t[0], t[1], t[2], options); }, shapes);
  };
  run("conv2d", {}, {{2, 3, 6, 7}, {4, 3, 3, 3}, {4}});
  run("conv2d strided", {.stride = {2, 3}, .padding = {2, 1}}, {{2, 3, 8, 9}, {4, 3, 3, 2}, {4}});
  run("conv2d dilated", {.padding = {3, 1}, .dilation = {3, 2}}, {{2, 2, 7, 8}, {3, 2, 3, 3}, {3}});
  run("conv2d groups", {.stride = 2, .padding = 1, .groups = 2}, {{2, 4, 6, 5}, {6, 2, 3, 3}, {6}});
  run("conv2d depthwise", {.padding = 1, .groups = 4}, {{3, 4, 5, 6}, {4, 1, 3, 3}, {4}});
  run("conv2d 1 x 1", {}, {{2, 5, 4, 4}, {3, 5, 1, 1}, {3}});
}

TEST_CASE("pooling beside PyTorch") {
  const std::vector<Shape> shapes{{2, 3, 7, 6}};
  Comparison largest{"max_pool2d"}, mean{"avg_pool2d"};
  largest.run(
      "max_pool2d", [](const Tensors& t) { return max_pool2d(t[0], 2); }, shapes);
  largest.run(
      "max_pool2d padded",
      [](const Tensors& t) {
        return max_pool2d(t[0], {3, 2}, {.stride = {2, 1}, .padding = 1});
      },
      shapes);
  for (const bool counted : {true, false}) {
    mean.run(
        counted ? "avg_pool2d" : "avg_pool2d uncounted",
        [=](const Tensors& t) {
          return avg_pool2d(t[0], 3, {.stride = 2, .padding = 1, .count_include_pad = counted});
        },
        shapes);
  }
}

TEST_CASE("batch_norm beside PyTorch") {
  Comparison comparison{"batch_norm"};
  const std::vector<Shape> shapes{{3, 4, 5, 2}, {4}, {4}};
  comparison.run(
      "batch_norm",
      [](const Tensors& t) {
        return batch_norm(t[0], {t[1], t[2], 1e-3}).y;
      },
      shapes);
  comparison.run(
      "batch_norm given",
      [](const Tensors& t) {
        const DType dtype = t[0].dtype();
        return batch_norm(t[0], numbers({4}, 7, dtype), numbers({4}, 8, dtype) + 2,
                          {t[1], t[2], 1e-3});
      },
      shapes);
}

TEST_CASE("BatchNorm2d over batches beside PyTorch") {
  Comparison comparison{"BatchNorm2d"};
  for (const bool cumulative : {false, true}) {
    const std::string name = cumulative ? "BatchNorm2d cumulative" : "BatchNorm2d";
    for (const DType dtype : {DType::f64, DType::f32}) {
      nn::BatchNorm2d layer(
          3, cumulative ? nn::BatchNorm2dOptions{.momentum = {}} : nn::BatchNorm2dOptions{});
      layer.to(dtype);
      for (int64_t seed = 0; seed < 4; ++seed) layer(numbers({2, 3, 3, 4}, seed, dtype));
      layer.eval();
      comparison.add(name + ": y", layer(numbers({2, 3, 3, 4}, 9, dtype)));
      comparison.add(name + ": running_mean", layer.running_mean);
      comparison.add(name + ": running_var", layer.running_var);
    }
  }
}
