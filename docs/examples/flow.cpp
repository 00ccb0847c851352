// A normalizing flow: affine couplings, written here as reversible functions, turn two
// interleaved half-moons into a normal distribution. Their activations are rebuilt in the backward
// pass, and the same inverse draws new points. Dinh et al., "Density estimation using Real NVP".
#include <tenet/tenet.h>

#include <numbers>

using namespace tenet;

namespace {

struct Net : nn::Module {
  nn::Linear in{1, 32}, middle{32, 32}, out{32, 2, {.std = 0.01}};
  Tensor operator()(const Tensor& x) const { return out(tanh(middle(tanh(in(x))))); }
  void fields(nn::Fields& f) override { f("in", in), f("middle", middle), f("out", out); }
};

/// (x1, x2) -> (x2 e^s + t, x1, s) with (s, t) from x1: (N, 1) each. The halves change places, so
/// that the next coupling changes the other one.
struct Coupling : ReversibleFunction {
  std::shared_ptr<Net> net = std::make_shared<Net>();

  std::pair<Tensor, Tensor> scale_and_shift(const Tensor& x1) const {
    const Tensors parts = split((*net)(x1), {1, 1}, 1);
    return {2 * tanh(parts[0]), parts[1]};
  }
  Tensors forward(const Tensors& x) override {
    const auto [s, t] = scale_and_shift(x[0]);
    return {x[1] * exp(s) + t, x[0], s};
  }
  Tensors inverse(const Tensors& y) override {
    const auto [s, t] = scale_and_shift(y[1]);
    return {y[1], (y[0] - t) * exp(-s)};
  }
};

Tensor half_moons(int64_t count) {
  const Tensor angle = rand({count, 1}) * std::numbers::pi;
  const Tensor side = bernoulli({count, 1}, 0.5).to(DType::f32);
  const Tensor x = (1 - 2 * side) * cos(angle) + side - 0.5;
  const Tensor y = (1 - 2 * side) * sin(angle) + 0.5 * side - 0.25;
  return concatenate({x, y}, 1) + 0.05 * randn({count, 2});
}

using Flow = std::vector<std::shared_ptr<Coupling>>;

/// The mean of -log p(x) in nats, p the density that the flow gives to points.
Tensor negative_log_likelihood(const Flow& flow, const Tensor& points) {
  Tensors x = split(points, {1, 1}, 1);
  x = {x[0].clone(), x[1].clone()};  // a view of a part of a storage could not be released
  Tensor log_det = zeros({points.size(0), 1});
  for (const auto& coupling : flow) {
    x = reversible(coupling, std::move(x));
    log_det = log_det + x[2];
    x.pop_back();
  }
  const Tensor log_p = -0.5 * (square(x[0]) + square(x[1])) - std::log(2 * std::numbers::pi);
  return -mean(log_p + log_det);
}

Tensor draw(const Flow& flow, int64_t count) {
  const NoGrad scope;
  Tensors x = {randn({count, 1}), randn({count, 1})};
  for (auto f = flow.rbegin(); f != flow.rend(); ++f) x = (*f)->inverse(x);
  return concatenate(x, 1);
}

}  // namespace

int main() {
  set_seed(1);
  Flow flow;
  Tensors parameters;
  for (int i = 0; i < 6; ++i) {
    flow.push_back(std::make_shared<Coupling>());
    for (const Tensor& w : flow.back()->net->parameters()) parameters.push_back(w);
  }
  optim::Adam adam(parameters, {.learning_rate = 5e-3});
  const Tensor held_out = half_moons(2000);
  const auto evaluate = [&] {
    const NoGrad scope;
    return negative_log_likelihood(flow, held_out).item<double>();
  };
  const double before = evaluate();
  for (int step = 0; step < 300; ++step) {
    backward(negative_log_likelihood(flow, half_moons(256)));
    adam.step();
    adam.clear_grad();
  }
  const double after = evaluate();
  fmt::print("held-out nats per point: {:.3f} before, {:.3f} after\n", before, after);

  // Points drawn from the flow lie near one of the two half circles of radius 1.
  const Tensors p = split(draw(flow, 1000), {1, 1}, 1);
  const auto off = [&](double x, double y) {
    return abs(sqrt(square(p[0] - x) + square(p[1] - y)) - 1);
  };
  const double near =
      mean((minimum(off(-0.5, -0.25), off(0.5, 0.25)) < 0.25).to(DType::f32)).item<double>();
  fmt::print("of 1000 points drawn, {:.1f} % lie within 0.25 of a half-moon\n", 100 * near);
  return after < 1.4 && near > 0.85 ? 0 : 1;
}
