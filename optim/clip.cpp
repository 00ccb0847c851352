#include <tenet/core/grad_mode.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/update/update.h>
#include <tenet/optim/clip.h>

#include <cmath>
#include <set>

namespace tenet::optim {
namespace {

/// The gradients, contiguous.
std::vector<Tensor> gradients_of(const std::vector<Tensor>& parameters) {
  std::vector<Tensor> gradients;
  for (const Tensor& parameter : parameters) {
    const Tensor gradient = parameter.grad();
    if (gradient.defined()) gradients.push_back(gradient.detach().contiguous());
  }
  return gradients;
}

/// Makes every gradient one that can be scaled in place: contiguous, outside the graph, and the
/// only one on its bytes.
void separate_gradients(const std::vector<Tensor>& parameters) {
  std::set<const detail::Storage*> seen;
  for (const Tensor& parameter : parameters) {
    const Tensor gradient = parameter.grad();
    if (!gradient.defined()) continue;
    const bool first = seen.insert(gradient.body().storage.get()).second;
    const bool separate = first && !gradient.requires_grad() && gradient.is_contiguous();
    if (!separate) parameter.set_grad(gradient.detach().clone());
  }
}

std::vector<View> views_of(const std::vector<Tensor>& tensors) {
  std::vector<View> views;
  views.reserve(tensors.size());
  for (const Tensor& tensor : tensors) views.push_back(view(tensor));
  return views;
}

/// The norm of all, one f64 number on their device.
Tensor norm_of(const std::vector<Tensor>& gradients) {
  const NoGrad scope;
  const Tensor sum = empty({}, {DType::f64, gradients[0].device()});
  detail::square_sum_kernel(sum.device(), views_of(gradients), view(sum));
  return sqrt(sum);
}

/// Multiplies every gradient by one f64 number on their device.
void scale_by(const std::vector<Tensor>& parameters, const Tensor& factor) {
  separate_gradients(parameters);
  const std::vector<Tensor> gradients = gradients_of(parameters);
  for (const Tensor& gradient : gradients) gradient.bump_version();
  detail::scale_kernel(factor.device(), views_of(gradients), view(factor));
}

void check_norm(double max_norm) {
  check(max_norm >= 0, "step: max_norm is {}; it must not be negative, 0 is no limit", max_norm);
}

}  // namespace

double gradient_norm(const std::vector<Tensor>& parameters) {
  const std::vector<Tensor> gradients = gradients_of(parameters);
  return gradients.empty() ? 0 : norm_of(gradients).item<double>();
}

double clip_grad_norm(const std::vector<Tensor>& parameters, double max_norm) {
  check(max_norm > 0, "clip_grad_norm: max_norm is {}; it must be positive", max_norm);
  const double norm = gradient_norm(parameters);
  if (!std::isfinite(norm) || norm <= max_norm) return norm;
  scale_gradients(parameters, max_norm / norm);
  return norm;
}

void scale_gradients(const std::vector<Tensor>& parameters, double factor) {
  const std::vector<Tensor> gradients = gradients_of(parameters);
  if (gradients.empty()) return;
  scale_by(parameters, scalar(factor, {DType::f64, gradients[0].device()}));
}

double StepGuard::step(Optimizer& optimizer, double max_norm) {
  check_norm(max_norm);
  settle();
  const double norm = max_norm > 0 ? clip_grad_norm(optimizer.parameters(), max_norm)
                                   : gradient_norm(optimizer.parameters());
  if (std::isfinite(norm)) optimizer.step();
  count(norm);
  return norm;
}

std::optional<double> StepGuard::step_later(Optimizer& optimizer, double max_norm) {
  check_norm(max_norm);
  const std::optional<double> before = settle();
  const std::vector<Tensor> gradients = gradients_of(optimizer.parameters());
  if (gradients.empty()) {
    optimizer.step();
    return before;
  }
  const Tensor norm = norm_of(gradients);
  if (max_norm > 0) {
    const NoGrad scope;
    scale_by(optimizer.parameters(), minimum(max_norm / norm, 1));
  }
  optimizer.step_if_finite(norm);
  norm_ = LateRead(norm);
  stepped_ = &optimizer;
  return before;
}

std::optional<double> StepGuard::settle() {
  if (!norm_.defined()) return {};
  const double norm = norm_.value();
  norm_ = LateRead();
  if (!std::isfinite(norm)) stepped_->uncount_step();
  count(norm);
  return norm;
}

void StepGuard::count(double norm) {
  if (std::isfinite(norm)) {
    skipped_in_a_row_ = 0;
    return;
  }
  ++skipped_;
  ++skipped_in_a_row_;
  check(skipped_in_a_row_ < most_in_a_row_,
        "step: the gradients were not finite {} times in a row; lower the learning rate",
        skipped_in_a_row_);
}

}  // namespace tenet::optim
