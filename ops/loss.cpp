#include <tenet/ops/arithmetic.h>
#include <tenet/ops/detail/class_targets.h>
#include <tenet/ops/elementwise.h>
#include <tenet/ops/index.h>
#include <tenet/ops/loss.h>
#include <tenet/ops/reduce.h>
#include <tenet/ops/views.h>

namespace tenet {
namespace {

/// x in the type that losses are computed in.
Tensor widened(const Tensor& x, const char* op) {
  check(x.dtype() != DType::fixed32, "{}: fixed-point stream; decode() it first", op);
  return x.to(is_floating(x.dtype()) ? accumulate_dtype(x.dtype()) : DType::f32);
}

void check_shapes(const Tensor& prediction, const Tensor& target, const char* op) {
  check(prediction.shape() == target.shape(),
        "{}: prediction {} and target {} differ in shape; reshape one", op, prediction.shape(),
        target.shape());
}

Tensor difference(const Tensor& prediction, const Tensor& target, const char* op) {
  check_shapes(prediction, target, op);
  return sub(widened(prediction, op), widened(target, op));
}

Tensor reduced(const Tensor& losses, Reduction reduction) {
  if (reduction == Reduction::none) return losses;
  return reduction == Reduction::sum ? sum(losses) : mean(losses);
}

/// m (d - m / 2), m = d limited to [-delta, delta]
Tensor huber(const Tensor& d, double delta) {
  const Tensor m = clamp(d, -delta, delta);
  return mul(m, sub(d, mul(m, 0.5)));
}

/// losses times `weight`, which may be undefined and takes no gradient.
Tensor weighted(const Tensor& losses, const Tensor& weight, const char* name) {
  if (!weight.defined()) return losses;
  check(broadcasts_to(weight.shape(), losses.shape()),
        "binary_cross_entropy_with_logits: {} {} does not broadcast to logits {}", name,
        weight.shape(), losses.shape());
  return mul(losses, weight.detach().to(losses.dtype()));
}

}  // namespace

Tensor mse_loss(const Tensor& prediction, const Tensor& target, Reduction reduction) {
  return reduced(square(difference(prediction, target, "mse_loss")), reduction);
}

Tensor l1_loss(const Tensor& prediction, const Tensor& target, Reduction reduction) {
  return reduced(abs(difference(prediction, target, "l1_loss")), reduction);
}

Tensor huber_loss(const Tensor& prediction, const Tensor& target, double delta,
                  Reduction reduction) {
  check(delta > 0, "huber_loss: delta is {}; it must be positive", delta);
  return reduced(huber(difference(prediction, target, "huber_loss"), delta), reduction);
}

Tensor smooth_l1_loss(const Tensor& prediction, const Tensor& target, double beta,
                      Reduction reduction) {
  check(beta >= 0, "smooth_l1_loss: beta is {}; it must not be negative", beta);
  const Tensor d = difference(prediction, target, "smooth_l1_loss");
  return reduced(beta == 0 ? abs(d) : div(huber(d, beta), beta), reduction);
}

Tensor binary_cross_entropy_with_logits(const Tensor& logits, const Tensor& target,
                                        const BinaryCrossEntropyOptions& options) {
  constexpr const char* op = "binary_cross_entropy_with_logits";
  check_shapes(logits, target, op);
  const Tensor x = widened(logits, op), t = widened(target, op);
  const Tensor positive = weighted(mul(t, softplus(neg(x))), options.pos_weight, "pos_weight");
  const Tensor losses = add(positive, mul(sub(1, t), softplus(x)));
  return reduced(weighted(losses, options.weight, "weight"), options.reduction);
}

Tensor kl_div(const Tensor& log_q, const Tensor& p, KlDivOptions options) {
  check_shapes(log_q, p, "kl_div");
  check(log_q.dim() >= 1, "kl_div: prediction has no axis");
  const Tensor q = widened(log_q, "kl_div"), target = widened(p, "kl_div");
  const Tensor weight = options.log_target ? exp(target) : target;
  const Tensor counts = greater(weight, 0);
  const Tensor log_p = options.log_target ? target : log(where(counts, target, 1));
  const Tensor terms = where(counts, mul(weight, sub(log_p, q)), 0);
  return reduced(sum(terms, -1), options.reduction);
}

Tensor nll_loss(const Tensor& log_p, const Tensor& targets, const NllLossOptions& options) {
  const Tensor p = widened(log_p, "nll_loss");
  const int64_t classes = p.dim() > 0 ? p.shape().back() : 0;
  const Tensor flat =
      detail::class_targets(p, targets, classes, options.ignore_index, "nll_loss", "log_p");
  const Tensor counts = not_equal(flat, options.ignore_index);
  const Tensor weights = detail::target_weights(flat, options.weight, classes, options.ignore_index,
                                                p.dtype(), "nll_loss");
  const Tensor rows = reshape(p, {flat.numel(), classes});
  const Tensor picked = gather(rows, unsqueeze(where(counts, flat, 0), -1), 1);
  const Tensor losses = where(counts, mul(neg(squeeze(picked, -1)), weights), 0);
  if (options.reduction == Reduction::none) return reshape(losses, targets.shape());
  if (options.reduction == Reduction::sum) return sum(losses);
  return detail::weighted_mean(losses, weights);
}

}  // namespace tenet
