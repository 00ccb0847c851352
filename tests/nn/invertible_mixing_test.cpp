#include <tenet/nn/invertible_mixing.h>
#include <tenet/ops/concatenate.h>
#include <tenet/ops/matmul.h>
#include <tenet/ops/views.h>

#include "reversible_check.h"

using namespace tenet;
using namespace tenet::test;

namespace {

using Mixing = nn::InvertibleMixing;

/// One reflection after another, each by its definition, over the joined streams.
Tensors by_definition(const Mixing& module, const Tensors& x, int axis) {
  Tensor y = transpose(x.size() == 1 ? x[0] : concatenate(x, axis), axis, -1);
  for (int64_t k = 0; k < module.vectors.size(0); ++k) {
    const Tensor v = select(module.vectors, 0, k);
    y = y - 2 * sum(y * v, -1, true) * v / sum(v * v);
  }
  y = transpose(y, axis, -1);
  Tensors parts;
  int64_t start = 0;
  for (const Tensor& stream : x) {
    parts.push_back(slice(y, axis, start, start + stream.size(axis)));
    start += stream.size(axis);
  }
  return parts;
}

Tensors streams(DType dtype) { return {normal({3, 2, 4}, 1, dtype), normal({3, 2, 2}, 2, dtype)}; }

}  // namespace

TEST_CASE("the inverse of mixing gives x back up to rounding, at any depth") {
  set_seed(3);
  const auto f = std::make_shared<Mixing>(6);
  CHECK(rebuilding_error(*f, streams(DType::f32)) < 1e-6);
  nn::ReversibleStack deep;
  for (int i = 0; i < 100; ++i) deep.add(f);
  const NoGrad scope;
  const Tensors x = streams(DType::f32);
  const double error = worst_difference(deep.inverse(deep(x).y), x);
  MESSAGE("100 mixings and their inverses in f32: off by " << error);
  CHECK(error < 1e-4);
  f->to(DType::f64);
  CHECK(rebuilding_error(*f, streams(DType::f64)) < 1e-14);
}

TEST_CASE("mixing is a product of reflections; gradients equal those of plain ops") {
  set_seed(3);
  for (const int64_t reflections : {0, 1, 4}) {
    const auto f = std::make_shared<Mixing>(6, nn::InvertibleMixingOptions{reflections});
    CHECK(f->vectors.size(0) == (reflections == 0 ? 6 : reflections));
    check_against_plain(f, streams(DType::f64),
                        [&](const Tensors& x) { return by_definition(*f, x, -1); });
  }
  const auto f = std::make_shared<Mixing>(5, nn::InvertibleMixingOptions{.axis = 1});
  check_against_plain(f, {normal({2, 5, 3, 3}, 1)},
                      [&](const Tensors& x) { return by_definition(*f, x, 1); });
}

TEST_CASE("mixing keeps volumes and lengths") {
  set_seed(3);
  Mixing f(6);
  f.to(DType::f64);
  const Tensors x{normal({1, 6}, 1, DType::f64)};
  const double log_det = log_determinant([&](const Tensors& t) { return f.forward(t); }, x);
  CHECK(std::abs(log_det) < 1e-8);
  const NoGrad scope;
  CHECK(norm(f.forward(x)[0]).item<double>() == doctest::Approx(norm(x[0]).item<double>()));
}

TEST_CASE("mixing is exact enough where matrix products are rounded") {
  set_seed(3);
  Mixing f(6);
  const Autocast scope(DType::bf16);
  CHECK(rebuilding_error(f, streams(DType::f32)) < 1e-6);
  CHECK(f.forward(streams(DType::bf16))[0].dtype() == DType::bf16);
}

TEST_CASE("mixing describes itself, and its errors") {
  CHECK(Mixing(6, {.reflections = 2}).describe() == "InvertibleMixing(6, 2 reflections)");
  CHECK(parameter_names(Mixing(6)) == Names{"vectors"});
  Generator a(1), b(1);
  CHECK(same_bits(Mixing(4, {.generator = &a}).vectors, Mixing(4, {.generator = &b}).vectors));
  check_error([] { Mixing(0); },
              "invertible_mixing: 0 channels and 0 reflections; at least 1 and 0 are needed");
  check_error([] { Mixing(3, {.reflections = -1}); },
              "invertible_mixing: 3 channels and -1 reflections; at least 1 and 0 are needed");
  check_error([] { Mixing(5).forward(streams(DType::f32)); },
              "invertible_mixing: the streams have 6 channels together, 5 are mixed");
}
