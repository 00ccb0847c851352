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

double norm_of(const std::vector<Tensor>& gradients) {
  if (gradients.empty()) return 0;
  double sum = 0;
  detail::square_sum_kernel(gradients[0].device(), views_of(gradients), &sum);
  return std::sqrt(sum);
}

}  // namespace

double gradient_norm(const std::vector<Tensor>& parameters) {
  return norm_of(gradients_of(parameters));
}

double clip_grad_norm(const std::vector<Tensor>& parameters, double max_norm) {
  check(max_norm > 0, "clip_grad_norm: max_norm is {}; it must be positive", max_norm);
  const double norm = gradient_norm(parameters);
  if (!std::isfinite(norm) || norm <= max_norm) return norm;
  scale_gradients(parameters, max_norm / norm);
  return norm;
}

void scale_gradients(const std::vector<Tensor>& parameters, double factor) {
  separate_gradients(parameters);
  const std::vector<Tensor> gradients = gradients_of(parameters);
  if (gradients.empty()) return;
  for (const Tensor& gradient : gradients) gradient.bump_version();
  detail::scale_kernel(gradients[0].device(), views_of(gradients), factor);
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
