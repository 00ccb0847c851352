/// What is the same to the bit: random words on both devices, rows whatever stands beside them, two
/// runs.
#include <compare.h>
#include <device.h>
#include <tenet/core/autograd.h>
#include <tenet/core/generator.h>
#include <tenet/ops/attention/attention.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/dropout.h>
#include <tenet/ops/layer_norm.h>
#include <tenet/ops/matmul.h>
#include <tenet/ops/softmax.h>
#include <tenet/ops/views.h>

#include <doctest/doctest.h>

#include <functional>

using namespace tenet;
using namespace tenet::test;

namespace {

Tensor normal(Shape shape, uint64_t seed, DType dtype = DType::f32) {
  Generator generator(seed);
  return randn(std::move(shape), generator).to(dtype).to(Device::cuda());
}

/// Whether each row of f(x) has the bits of f of that row alone, and of f of some rows.
void check_rows(const char* name, const Tensor& x, const std::function<Tensor(const Tensor&)>& f) {
  CAPTURE(name);
  const Tensor all = f(x);
  const int64_t rows = x.size(0);
  for (const int64_t count : {int64_t{1}, int64_t{2}, int64_t{7}, int64_t{64}}) {
    for (int64_t first = 0; first + count <= rows; first += 1 + rows / 9) {
      const Tensor part = f(slice(x, 0, first, first + count));
      REQUIRE_MESSAGE(same_bits(part, slice(all, 0, first, first + count)),
                      count << " rows from " << first);
    }
  }
}

}  // namespace

TEST_CASE("random numbers are the CPU's") {
  if (!gpu_or_skip()) return;
  const TensorOptions there{.device = Device::cuda()};
  for (const int64_t count : {1, 5, 1000, 100003}) {
    Generator a(5, 2), b(5, 2);
    CHECK(same_bits(rand({count}, a, there), rand({count}, b)));
    CHECK(same_bits(bernoulli({count}, 0.3, a, {DType::boolean, Device::cuda()}),
                    bernoulli({count}, 0.3, b)));
    CHECK(same_bits(randint({count}, -3, 1000, a, {DType::i64, Device::cuda()}),
                    randint({count}, -3, 1000, b)));
    CHECK(a.offset() == b.offset());
    const std::vector<double> x = randn({count}, a, there).to_vector<double>();
    const std::vector<double> y = randn({count}, b).to_vector<double>();
    double worst = 0;
    for (size_t i = 0; i < x.size(); ++i) worst = std::max(worst, std::abs(x[i] - y[i]));
    CHECK(worst <= 1e-5);
  }
  set_seed(9);
  const Tensor x = rand({100}, there);
  set_seed(9);
  CHECK(same_bits(rand({100}, there), x));
}

TEST_CASE("a row's bits do not depend on the rows beside it") {
  if (!gpu_or_skip()) return;
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
    CAPTURE(dtype);
    const Tensor x = normal({257, 192}, 1, dtype), w = normal({192, 320}, 2, dtype);
    check_rows("matmul", x, [&](const Tensor& rows) { return matmul(rows, w); });
    check_rows("layer_norm", x, [](const Tensor& rows) { return layer_norm(rows); });
    check_rows("softmax", x, [](const Tensor& rows) { return softmax(rows, -1); });
    const Tensor q = normal({70, 2, 33, 64}, 3, dtype);
    check_rows("attention", q,
               [](const Tensor& rows) { return attention(rows, rows, rows, {.causal = true}); });
  }
}

TEST_CASE("gradients have the same bits from run to run") {
  if (!gpu_or_skip()) return;
  const auto gradients = [] {
    Tensor x = normal({3000, 64}, 1), w = normal({64, 96}, 2), g = normal({64}, 3);
    for (Tensor* leaf : {&x, &w, &g}) leaf->set_requires_grad(true);
    Generator generator(4);
    const Tensor y = matmul(dropout(layer_norm(x, g), 0.1, generator), w);
    return grad({y}, {x, w, g}, {.dy = {normal({3000, 96}, 5)}});
  };
  const Tensors first = gradients();
  for (int i = 0; i < 5; ++i) CHECK(same_bits(gradients(), first));
}
