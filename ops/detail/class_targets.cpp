#include <tenet/core/grad_mode.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/detail/class_targets.h>
#include <tenet/ops/index.h>
#include <tenet/ops/reduce.h>
#include <tenet/ops/views.h>

namespace tenet::detail {

Tensor class_targets(const Tensor& x, const Tensor& targets, int64_t classes, int64_t ignore_index,
                     const char* op, const char* what) {
  check(x.dim() >= 1, "{}: {} has no axis", op, what);
  Shape shape = x.shape();
  shape.erase(shape.dim() - 1);
  check(targets.shape() == shape, "{}: {} {} need targets {}, not {}", op, what, x.shape(), shape,
        targets.shape());
  check(targets.dtype() == DType::i64 || targets.dtype() == DType::i32,
        "{}: targets are {}; i64 or i32 is needed", op, targets.dtype());
  check(targets.device() == x.device(), "{}: targets are on {}, {} on {}", op, targets.device(),
        what, x.device());
  const NoGrad scope;
  Tensor classes_of = reshape(targets.to(DType::i64).contiguous(), {shape.numel()});
  check_index_kernel(x.device(), view(classes_of), classes, ignore_index, op);
  return classes_of;
}

Tensor target_weights(const Tensor& targets, const Tensor& weight, int64_t classes,
                      int64_t ignore_index, DType dtype, const char* op) {
  const NoGrad scope;
  const Tensor counts = not_equal(targets, ignore_index);
  if (!weight.defined()) return counts.to(dtype);
  check(weight.shape() == Shape{classes}, "{}: weight has shape {}, there are {} classes", op,
        weight.shape(), classes);
  check(is_floating(weight.dtype()), "{}: weight is {}; it must be floating-point", op,
        weight.dtype());
  const Tensor of_target = index_select(weight.detach(), 0, where(counts, targets, 0));
  return where(counts, of_target.to(dtype), 0);
}

Tensor weighted_mean(const Tensor& losses, const Tensor& weights) {
  const Tensor total = sum(weights);
  return div(sum(losses), where(equal(total, 0), 1, total));
}

}  // namespace tenet::detail
