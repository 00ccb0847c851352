#include "fixed_gradients.h"

#include <tenet/optim/adam.h>

using namespace tenet;
using namespace tenet::test;

namespace {

/// Algorithm 1 of the paper in double, with L2 or decoupled decay.
struct Reference {
  double rate, beta1, beta2, eps, l2 = 0, decay = 0;
  std::vector<double> w = {}, m = {}, v = {};

  void step(const std::vector<double>& gradient, int t) {
    m.resize(w.size());
    v.resize(w.size());
    for (size_t i = 0; i < w.size(); ++i) {
      const double d = gradient[i] + l2 * w[i];
      w[i] *= 1 - rate * decay;
      m[i] = beta1 * m[i] + (1 - beta1) * d;
      v[i] = beta2 * v[i] + (1 - beta2) * d * d;
      const double m_hat = m[i] / (1 - std::pow(beta1, t));
      const double v_hat = v[i] / (1 - std::pow(beta2, t));
      w[i] -= rate * m_hat / (std::sqrt(v_hat) + eps);
    }
  }
};

double error_after(optim::Optimizer& optimizer, std::vector<Reference> references, int steps) {
  const std::vector<Tensor>& parameters = optimizer.parameters();
  for (size_t i = 0; i < parameters.size(); ++i) {
    references[i].w = parameters[i].to_vector<double>();
  }
  double error = 0;
  for (int step = 0; step < steps; ++step) {
    set_gradients(parameters, step);
    optimizer.step();
    for (size_t i = 0; i < parameters.size(); ++i) {
      references[i].step(parameters[i].grad().to_vector<double>(), step + 1);
      error = std::max(error, largest_error(parameters[i].to_vector<double>(), references[i].w));
    }
  }
  return error;
}

std::vector<Tensor> parameters(DType dtype = DType::f32) {
  return {make_parameter({3, 5}, 1, dtype), make_parameter({20001}, 2, dtype),
          make_parameter({}, 3, dtype)};
}

}  // namespace

TEST_CASE("adam follows its formula") {
  const Reference reference{.rate = 0.01, .beta1 = 0.9, .beta2 = 0.98, .eps = 1e-6, .l2 = 0.1};
  const optim::AdamOptions options{
      .learning_rate = 0.01, .beta2 = 0.98, .eps = 1e-6, .weight_decay = 0.1};
  optim::Adam single(parameters(), options);
  CHECK(error_after(single, std::vector(3, reference), 20) < 2e-6);
  optim::Adam wide(parameters(DType::f64), options);
  CHECK(error_after(wide, std::vector(3, reference), 20) < 1e-14);
  optim::Adam half(parameters(DType::bf16), options);
  CHECK(error_after(half, std::vector(3, reference), 2) < 2e-2);
}

TEST_CASE("adamw decays apart from the gradient") {
  const Reference reference{.rate = 0.02, .beta1 = 0.8, .beta2 = 0.999, .eps = 1e-8, .decay = 0.3};
  optim::AdamW optimizer(parameters(DType::f64),
                         {.learning_rate = 0.02, .beta1 = 0.8, .weight_decay = 0.3});
  CHECK(error_after(optimizer, std::vector(3, reference), 20) < 1e-14);
}

TEST_CASE("adam refuses betas outside [0, 1)") {
  CHECK_THROWS_WITH_AS(optim::Adam(parameters(), {.beta1 = 1}),
                       "adam: beta1 is 1 and beta2 0.999; both must lie in [0, 1)", Error);
}
