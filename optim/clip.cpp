#include <tenet/core/error.h>
#include <tenet/core/grad_mode.h>
#include <tenet/core/parallel.h>
#include <tenet/ops/inplace.h>
#include <tenet/optim/clip.h>

#include <cmath>

namespace tenet::optim {
namespace {

constexpr int64_t block = 4096;
constexpr int most_in_a_row = 10;

/// Sum of squares in blocks that do not depend on the number of threads.
template <class T>
double sum_of_squares(const T* x, int64_t count) {
  const int64_t blocks = (count + block - 1) / block;
  std::vector<double> sums(static_cast<size_t>(blocks));
  parallel_for(blocks, 4, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      double lanes[8] = {};
      const int64_t last = std::min(count, (b + 1) * block);
      for (int64_t i = b * block; i < last; ++i) {
        lanes[i % 8] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
      }
      double sum = 0;
      for (double lane : lanes) sum += lane;
      sums[static_cast<size_t>(b)] = sum;
    }
  });
  double total = 0;
  for (double sum : sums) total += sum;
  return total;
}

}  // namespace

double grad_norm(const NamedTensors& parameters) {
  double total = 0;
  for (const auto& [name, parameter] : parameters) {
    if (!parameter.grad().defined()) continue;
    const Tensor gradient = parameter.grad().detach().contiguous();
    total += gradient.dtype() == DType::f64
                 ? sum_of_squares(gradient.data<double>(), gradient.numel())
                 : sum_of_squares(gradient.to(DType::f32).data<float>(), gradient.numel());
  }
  return std::sqrt(total);
}

double clip_grad_norm(const NamedTensors& parameters, double limit) {
  const double norm = grad_norm(parameters);
  if (!std::isfinite(norm) || norm <= limit) return norm;
  const NoGrad scope;
  for (const auto& [name, parameter] : parameters) {
    if (parameter.grad().defined()) mul_(parameter.grad(), limit / norm);
  }
  return norm;
}

bool StepGuard::step(Optimizer& optimizer, double limit) {
  const double norm = limit > 0 ? clip_grad_norm(optimizer.parameters(), limit)
                                : grad_norm(optimizer.parameters());
  if (std::isfinite(norm)) {
    in_a_row_ = 0;
    optimizer.step();
    return true;
  }
  ++skipped_;
  ++in_a_row_;
  check(in_a_row_ < most_in_a_row,
        "optimizer: the gradient norm was not finite in {} steps in a row; lower the learning rate",
        in_a_row_);
  return false;
}

}  // namespace tenet::optim
