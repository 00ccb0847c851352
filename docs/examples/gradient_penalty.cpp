// Second derivatives in a loss: a network is fitted to sin(x) on few points, with and without a
// penalty on the size of its slope at random places. The penalty contains a gradient, and its own
// gradient is a second derivative. Drucker and LeCun, "Double backpropagation" (1992).
#include <tenet/tenet.h>

#include <numbers>

using namespace tenet;

namespace {

struct Net : nn::Module {
  nn::Linear in{1, 64}, middle{64, 64}, out{64, 1};
  Tensor operator()(const Tensor& x) const { return out(tanh(middle(tanh(in(x))))); }
  void fields(nn::Fields& f) override { f("in", in), f("middle", middle), f("out", out); }
};

/// dy/dx at each row of x, as part of the graph.
Tensor slope(const Net& net, const Tensor& x) {
  return grad({sum(net(x))}, {x}, {.create_graph = true})[0];
}

Tensor places(int64_t count) {
  return ((rand({count, 1}) * 2 - 1) * std::numbers::pi).set_requires_grad(true);
}

/// The mean of max(|dy/dx| - 1, 0)^2: sin is nowhere steeper than 1.
Tensor penalty(const Net& net) { return mean(square(relu(abs(slope(net, places(64))) - 1))); }

struct Result {
  double error, steepest;
};

Result train(double weight, const Tensor& x, const Tensor& y) {
  set_seed(2);
  Net net;
  optim::Adam adam(net.parameters(), {.learning_rate = 1e-2});
  for (int step = 0; step < 400; ++step) {
    Tensor loss = mean(square(net(x) - y));
    if (weight > 0) loss = loss + weight * penalty(net);
    backward(loss);
    adam.step();
    adam.clear_grad();
  }
  const Tensor grid =
      reshape(arange(-1.0, 1.0, 0.01) * std::numbers::pi, {-1, 1}).set_requires_grad(true);
  const double steepest = max(abs(slope(net, grid))).item<double>();
  return {mean(square(net(grid) - sin(grid))).item<double>(), steepest};
}

}  // namespace

int main() {
  set_seed(1);
  const Tensor x = places(16).detach();
  const Tensor y = sin(x) + 0.3 * randn(x.shape());
  const Result plain = train(0, x, y), smooth = train(10, x, y);
  fmt::print("no penalty: error {:.4f}, steepest slope {:.2f}\n", plain.error, plain.steepest);
  fmt::print("penalty:    error {:.4f}, steepest slope {:.2f}\n", smooth.error, smooth.steepest);
  return smooth.error < plain.error && smooth.steepest < 1.5 && plain.steepest > 2 ? 0 : 1;
}
