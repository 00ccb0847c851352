#include <doctest/doctest.h>
#include <tenet/core/autograd.h>
#include <tenet/core/function.h>
#include <tenet/core/graph.h>

#include <cmath>
#include <thread>

#include "core/small_ops.h"

using namespace tenet;
using namespace tenet::test;

namespace {

/// y = log(x).
struct Log : Function<Log> {
  static Tensor forward(Context& ctx, const Tensor& x) {
    ctx.save(x);
    std::vector<double> y = x.to_vector<double>();
    for (double& v : y) v = std::log(v);
    return from_vector(y, x.shape(), {x.dtype()});
  }
  static Tensors backward(Context& ctx, Tensors dy) {
    std::vector<double> dx = dy[0].to_vector<double>();
    const std::vector<double> x = ctx.saved(0).to_vector<double>();
    for (size_t i = 0; i < dx.size(); ++i) dx[i] /= x[i];
    return {from_vector(dx, dy[0].shape(), {dy[0].dtype()})};
  }
};

/// Numbers after # differ from run to run.
std::string without_numbers(std::string text) {
  for (size_t at = text.find('#'); at != std::string::npos; at = text.find('#', at + 1)) {
    size_t end = at + 1;
    while (end < text.size() && std::isdigit(static_cast<unsigned char>(text[end]))) ++end;
    text.erase(at + 1, end - at - 1);
  }
  return text;
}

}  // namespace

TEST_CASE("anomaly mode names the op of the first non-finite value and what made its inputs") {
  const Tensor x = from_vector<float>({1, 2, 0}, {3}, {.requires_grad = true});
  const Tensor h = plus(x, x);
  CHECK_FALSE(anomaly_enabled());
  CHECK(std::isinf(Log::apply(h).to_vector<float>()[2]));
  const Anomaly scope;
  CHECK(anomaly_enabled());
  std::thread([] { CHECK_FALSE(anomaly_enabled()); }).join();
  CHECK(
      without_numbers(error_of([&] { Log::apply(h); })) ==
      "function #: forward gave a non-finite value at element 2 of (3,); its inputs: (3,) plus #");
  CHECK(without_numbers(error_of([&] {
          plus(x, from_vector<float>({0, NAN, 0}, {3}));
        })) ==
        "plus #: forward gave a non-finite value at element 1 of (3,); its inputs: (3,) leaf #, "
        "(3,) constant");
}

TEST_CASE("anomaly mode checks ops outside the graph too") {
  const Anomaly scope;
  const NoGrad off;
  const Tensor x = from_vector<float>({1, INFINITY}, {2});
  CHECK(error_of([&] { plus(x, x); }) ==
        "plus: forward gave a non-finite value at element 1 of (2,)");
}

TEST_CASE("anomaly mode names the op whose gradient is not finite") {
  const Anomaly scope;
  const Tensor x = from_vector<float>({1, 1e-30f}, {2}, {.requires_grad = true});
  const Tensor h = plus(x, x);
  const Tensor y = total(Log::apply(h));
  CHECK(without_numbers(error_of([&] { backward(y, {.dy = scalar(1e20)}); })) ==
        "function #: backward gave a non-finite gradient at element 1 of (2,) for input 0; its "
        "inputs: (2,) plus #");
}

TEST_CASE("integers are never an anomaly") {
  const Anomaly scope;
  const Tensor x = from_vector<int64_t>({1, 2}, {2});
  CHECK(x.clone().to_vector<int64_t>() == std::vector<int64_t>{1, 2});
}
