#include <tenet/ops/attention/detail/operand.h>

namespace tenet::detail {

Tensor empty_heads(const Tensor& like, const Shape& shape) {
  const Shape memory{shape[0], shape[2], shape[1], shape[3]};
  const Tensor y = empty_like(like, memory);
  const Strides s = contiguous_strides(memory);
  return view_of(y, shape, {s[0], s[2], s[1], s[3]}, 0);
}

Tensor with_contiguous_rows(const Tensor& x) {
  return x.strides().back() == 1 || x.size(-1) == 1 ? x : x.contiguous();
}

Tensor autocast(const Tensor& x) {
  const std::optional<DType> dtype = autocast_dtype();
  return dtype && x.dtype() == DType::f32 ? x.to(*dtype) : x;
}

void check_heads(const Tensor& x, const char* name, const char* op) {
  check(x.dim() == 4 && x.size(3) > 0, "{}: {} has shape {}, not (B, H, L, K)", op, name,
        x.shape());
  check(x.dtype() != DType::fixed32, "{}: fixed-point stream; decode() it first", op);
  check(is_floating(x.dtype()), "{}: dtype {} is not supported", op, x.dtype());
}

void check_alike(const Tensor& a, const char* a_name, const Tensor& b, const char* b_name, int free,
                 const char* op) {
  Shape want = a.shape();
  if (free >= 0 && b.dim() == want.dim()) want[free] = b.shape()[free];
  check(b.shape() == want, "{}: {} has shape {}, {} has {}", op, a_name, a.shape(), b_name,
        b.shape());
  check(a.dtype() == b.dtype(), "{}: {} is {}, {} is {}", op, a_name, a.dtype(), b_name, b.dtype());
  check(a.device() == b.device(), "{}: {} is on {}, {} is on {}", op, a_name, a.device(), b_name,
        b.device());
}

Tensor checked_mask(const Tensor& mask, const Tensor& keys, const char* op) {
  if (!mask.defined()) return {};
  const Shape want{keys.size(0), keys.size(2)};
  check(mask.dtype() == DType::boolean || mask.dtype() == DType::u8,
        "{}: mask is {}; give boolean or u8, true where a key may be seen", op, mask.dtype());
  check(mask.shape() == want, "{}: mask has shape {}, keys {} need {}", op, mask.shape(),
        keys.shape(), want);
  check(mask.device() == keys.device(), "{}: mask is on {}, keys are on {}", op, mask.device(),
        keys.device());
  return mask.contiguous();
}

double checked_dropout(double p, Generator* generator, uint64_t count, PhiloxKey& random,
                       const char* op) {
  check(p >= 0 && p < 1, "{}: dropout is {}, outside [0, 1)", op, p);
  if (p > 0) random = (generator ? *generator : default_generator()).take(count);
  return p;
}

}  // namespace tenet::detail
