/// gradcheck itself: it must find what is wrong and pass what is right.
#include <doctest/doctest.h>
#include <gradcheck.h>
#include <tenet/core/node.h>
#include <tenet/ops/arithmetic.h>

#include <cmath>
#include <limits>

using namespace tenet;
using namespace tenet::test;

namespace {

/// y = x^2 with dx = factor * dy x, right for factor 2.
struct SquareNode : Node {
  Saved x;
  double factor = 2;
  Tensors backward(const Tensors& dy) override { return {dy[0] * x.get(*this) * factor}; }
  void saved(SavedFields& f) override { f("x", x); }
};

Tensor square_with(const Tensor& x, double factor) {
  Tensor y = square(x.detach());
  if (auto* node = record<SquareNode>("square_with", y, x)) {
    node->x = x;
    node->factor = factor;
  }
  return y;
}

/// y = x / sum(x) along the last axis, with a backward that returns 0: right only for the cotangent
/// of a sum.
struct NothingNode : Node {
  Tensors backward(const Tensors& dy) override { return {dy[0] * 0}; }
};

Tensor normalized_without_gradient(const Tensor& x) {
  const Tensor sum = detail::sum_to(x.detach(), {1});
  Tensor y = x.detach() / sum;
  record<NothingNode>("normalized", y, x);
  return y;
}

/// y = x^2, dx = 2 dy x, but the recorded backward forgets that dx depends on x.
struct ForgetfulNode : Node {
  Saved x;
  Tensors backward(const Tensors& dy) override { return {dy[0] * x.get(*this).detach() * 2}; }
  void saved(SavedFields& f) override { f("x", x); }
};

Tensor forgetful_square(const Tensor& x) {
  Tensor y = square(x.detach());
  if (auto* node = record<ForgetfulNode>("forgetful", y, x)) node->x = x;
  return y;
}

}  // namespace

TEST_CASE("gradcheck passes a right backward and counts its elements") {
  const auto f = [](const Tensors& x) { return Tensors{square_with(x[0], 2)}; };
  const GradcheckResult result = gradcheck(f, {random_leaf({3, 2}, 1)});
  CHECK(result.error <= 1e-9);
  CHECK(result.checked == 6);
  CHECK(gradgradcheck(f, {random_leaf({3, 2}, 1)}).error <= 1e-8);
}

TEST_CASE("gradcheck names what a wrong backward gives") {
  const auto f = [](const Tensors& x) { return Tensors{square_with(x[0], 2.001)}; };
  const GradcheckResult result = gradcheck(f, {random_leaf({3, 2}, 1)});
  CHECK(result.error > 1e-5);
  CHECK(result.worst.find("input 0, element ") == 0);
  CHECK(result.worst.find("numeric ") != std::string::npos);
  CHECK(result.worst.find("analytic ") != std::string::npos);
}

TEST_CASE("gradcheck finds a zero backward that the sum as loss would pass") {
  const auto f = [](const Tensors& x) { return Tensors{normalized_without_gradient(x[0])}; };
  CHECK(gradcheck(f, {random_leaf({4}, 1, 1, 2)}).error > 1e-2);
}

TEST_CASE("gradcheck does not pass NaN") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto f = [=](const Tensors& x) { return Tensors{square_with(x[0], nan)}; };
  CHECK_FALSE(gradcheck(f, {random_leaf({3}, 1)}).error <= 1);
}

TEST_CASE("gradgradcheck finds a first derivative that is right and a second that is not") {
  const auto f = [](const Tensors& x) { return Tensors{forgetful_square(x[0])}; };
  CHECK(gradcheck(f, {random_leaf({3}, 1)}).error <= 1e-9);
  CHECK(gradgradcheck(f, {random_leaf({3}, 1)}).error > 1e-2);
}

TEST_CASE("gradcheck works on strided leaves and several inputs and outputs") {
  const auto f = [](const Tensors& x) { return Tensors{x[0] * x[1], x[0] + x[1]}; };
  const Tensors xs{strided_copy(random_leaf({3, 2}, 1)), random_leaf({2}, 2)};
  CHECK_FALSE(xs[0].is_contiguous());
  const GradcheckResult result = gradcheck(f, xs, {.strided_dy = true});
  CHECK(result.checked == 8);
  CHECK(result.error <= 1e-9);
}
