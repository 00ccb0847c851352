#include <tenet/ops/update/update.h>
#include <tenet/optim/clip.h>

#include <cmath>
#include <set>

namespace tenet::optim {
namespace {

/// The gradients, each made contiguous, and a tensor of its own where another shares its bytes.
std::vector<Tensor> gradients_of(const std::vector<Tensor>& parameters) {
  std::vector<Tensor> gradients;
  std::set<const detail::Storage*> seen;
  for (const Tensor& parameter : parameters) {
    const Tensor gradient = parameter.grad();
    if (!gradient.defined()) continue;
    const bool first = seen.insert(gradient.body().storage.get()).second;
    const bool shared = !first || gradient.requires_grad();
    if (shared || !gradient.is_contiguous()) parameter.set_grad(gradient.detach().clone());
    gradients.push_back(parameter.grad());
  }
  return gradients;
}

double norm_of(const std::vector<Tensor>& gradients) {
  if (gradients.empty()) return 0;
  std::vector<View> views;
  for (const Tensor& gradient : gradients) views.push_back(view(gradient));
  double sum = 0;
  detail::square_sum_kernel(gradients[0].device(), views, &sum);
  return std::sqrt(sum);
}

}  // namespace

double gradient_norm(const std::vector<Tensor>& parameters) {
  return norm_of(gradients_of(parameters));
}

double clip_grad_norm(const std::vector<Tensor>& parameters, double max_norm) {
  check(max_norm > 0, "clip_grad_norm: max_norm is {}; it must be positive", max_norm);
  const std::vector<Tensor> gradients = gradients_of(parameters);
  const double norm = norm_of(gradients);
  if (!std::isfinite(norm) || norm <= max_norm) return norm;
  std::vector<View> views;
  for (const Tensor& gradient : gradients) {
    views.push_back(view(gradient));
    gradient.bump_version();
  }
  detail::scale_kernel(gradients[0].device(), views, max_norm / norm);
  return norm;
}

double StepGuard::step(Optimizer& optimizer, double max_norm) {
  check(max_norm >= 0, "step: max_norm is {}; it must not be negative, 0 is no limit", max_norm);
  const double norm = max_norm > 0 ? clip_grad_norm(optimizer.parameters(), max_norm)
                                   : gradient_norm(optimizer.parameters());
  if (std::isfinite(norm)) {
    optimizer.step();
    skipped_in_a_row_ = 0;
    return norm;
  }
  ++skipped_;
  ++skipped_in_a_row_;
  check(skipped_in_a_row_ < most_in_a_row_,
        "step: the gradients were not finite {} times in a row; lower the learning rate",
        skipped_in_a_row_);
  return norm;
}

}  // namespace tenet::optim
