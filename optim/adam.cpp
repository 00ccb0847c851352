#include <tenet/core/dtype.h>
#include <tenet/core/parallel.h>
#include <tenet/optim/adam.h>

#include <cmath>

namespace tenet::optim {
namespace {

/// The constants of one step, worked out once.
struct Coefficients {
  double beta1, beta2, epsilon, rate, scale2, added_decay, factor;
};

template <class T>
void adam_step(T* w, const T* g, T* m, T* v, int64_t count, const Coefficients& c) {
  const T b1 = T(c.beta1), b2 = T(c.beta2), eps = T(c.epsilon), rate = T(c.rate);
  const T scale2 = T(c.scale2), decay = T(c.added_decay), factor = T(c.factor);
  parallel_for(count, 16384, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const T gradient = g[i] + decay * w[i];
      m[i] = b1 * m[i] + (1 - b1) * gradient;
      v[i] = b2 * v[i] + (1 - b2) * gradient * gradient;
      w[i] = factor * w[i] - rate * m[i] / (std::sqrt(v[i]) * scale2 + eps);
    }
  });
}

}  // namespace

Adam::Adam(NamedTensors parameters, AdamOptions options)
    : Adam(std::move(parameters), options, false) {}

Adam::Adam(NamedTensors parameters, AdamOptions options, bool decoupled)
    : Optimizer(std::move(parameters), options.learning_rate, {"exp_avg", "exp_avg_sq"}),
      options_(options),
      decoupled_(decoupled) {
  make_slots();
}

void Adam::update(const Tensor& parameter, const Tensor& gradient, std::vector<Tensor>& slots,
                  int64_t t) {
  const double steps = static_cast<double>(t);
  const double correction1 = 1 - std::pow(options_.beta1, steps);
  const double correction2 = 1 - std::pow(options_.beta2, steps);
  const double decay = options_.weight_decay;
  const Coefficients c{.beta1 = options_.beta1,
                       .beta2 = options_.beta2,
                       .epsilon = options_.epsilon,
                       .rate = learning_rate() / correction1,
                       .scale2 = 1 / std::sqrt(correction2),
                       .added_decay = decoupled_ ? 0 : decay,
                       .factor = decoupled_ ? 1 - learning_rate() * decay : 1};
  dispatch(TypeList<float, double>(), parameter.dtype(), "adam", [&]<class T>() {
    adam_step(parameter.mutable_data<T>(), gradient.data<T>(), slots[0].mutable_data<T>(),
              slots[1].mutable_data<T>(), parameter.numel(), c);
  });
}

AdamW::AdamW(NamedTensors parameters, AdamWOptions o)
    : Adam(std::move(parameters),
           AdamOptions{o.learning_rate, o.beta1, o.beta2, o.epsilon, o.weight_decay}, true) {}

}  // namespace tenet::optim
