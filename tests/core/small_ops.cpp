#include "core/small_ops.h"

#include <cmath>
#include <cstring>

namespace tenet::test {
namespace {

/// y[i] = f(a[i], b[i]) in row-major order.
template <class F>
Tensor zip(const Tensor& a, const Tensor& b, F f) {
  check(a.shape() == b.shape() && a.dtype() == b.dtype(), "zip: {} and {}", a.shape(), b.shape());
  const Tensor ca = a.detach().contiguous(), cb = b.detach().contiguous();
  Tensor y = empty(a.shape(), {a.dtype()});
  dispatch(TypeList<float, double>(), a.dtype(), "zip", [&]<class T>() {
    const T *pa = ca.data<T>(), *pb = cb.data<T>();
    T* py = static_cast<T*>(const_cast<void*>(static_cast<const void*>(y.data<T>())));
    for (int64_t i = 0; i < y.numel(); ++i) py[i] = f(pa[i], pb[i]);
  });
  return y;
}

struct PlusNode : Node {
  Tensors backward(const Tensors& dy) override { return {dy[0], dy[0]}; }
};
struct MinusNode : Node {
  Tensors backward(const Tensors& dy) override {
    const Tensor zero = zip(dy[0], dy[0], [](auto, auto) { return 0; });
    return {dy[0], minus(zero, dy[0])};
  }
};
struct TimesNode : Node {
  Saved a, b;
  Tensors backward(const Tensors& dy) override {
    return {needs_grad(0) ? times(dy[0], b.get(*this)) : Tensor(),
            needs_grad(1) ? times(dy[0], a.get(*this)) : Tensor()};
  }
  void saved(SavedFields& f) override {
    f("a", a);
    f("b", b);
  }
};
struct TanhNode : Node {
  Saved y;
  Tensors backward(const Tensors& dy) override {
    const Tensor t = y.get(*this);
    return {minus(dy[0], times(dy[0], times(t, t)))};
  }
  void saved(SavedFields& f) override { f("y", y); }
};
struct TotalNode : Node {
  Shape shape;
  Tensors backward(const Tensors& dy) override { return {spread(dy[0], shape)}; }
};
struct SpreadNode : Node {
  Tensors backward(const Tensors& dy) override { return {total(dy[0])}; }
};
struct TransposedNode : Node {
  Tensors backward(const Tensors& dy) override { return {transposed(dy[0])}; }
};
struct ProductNode : Node {
  Saved a, b;
  Tensors backward(const Tensors& dy) override {
    return {needs_grad(0) ? product(dy[0], transposed(b.get(*this))) : Tensor(),
            needs_grad(1) ? product(transposed(a.get(*this)), dy[0]) : Tensor()};
  }
  void saved(SavedFields& f) override {
    f("a", a);
    f("b", b);
  }
};
/// dq = dy, ddelta = sign * dy.
struct FixedNode : Node {
  int sign = 1;
  Tensors backward(const Tensors& dy) override {
    const Tensor zero = zip(dy[0], dy[0], [](auto, auto) { return 0; });
    return {dy[0], sign > 0 ? dy[0] : minus(zero, dy[0])};
  }
};
struct ConvertNode : Node {
  Tensors backward(const Tensors& dy) override { return {dy[0]}; }
};

Tensor add_fixed(const Tensor& q, const Tensor& delta, int sign) {
  Tensor y = empty_fixed(q.shape(), q.fraction_bits());
  const Tensor from = q.detach().contiguous(), step = delta.detach().contiguous();
  auto* to = static_cast<int32_t*>(view(y).data);
  for (int64_t i = 0; i < y.numel(); ++i) {
    const auto r =
        static_cast<uint32_t>(static_cast<int32_t>(std::rint(step.data<float>()[i] * 65536.0f)));
    const auto a = static_cast<uint32_t>(from.data<int32_t>()[i]);
    to[i] = static_cast<int32_t>(sign > 0 ? a + r : a - r);
  }
  if (auto* node = record<FixedNode>("add_fixed", y, q, delta)) node->sign = sign;
  return y;
}

}  // namespace

Tensor plus(const Tensor& a, const Tensor& b) {
  Tensor y = zip(a, b, [](auto p, auto q) { return p + q; });
  record<PlusNode>("plus", y, a, b);
  return y;
}

Tensor minus(const Tensor& a, const Tensor& b) {
  Tensor y = zip(a, b, [](auto p, auto q) { return p - q; });
  record<MinusNode>("minus", y, a, b);
  return y;
}

Tensor times(const Tensor& a, const Tensor& b) {
  Tensor y = zip(a, b, [](auto p, auto q) { return p * q; });
  if (auto* node = record<TimesNode>("times", y, a, b)) {
    node->a = a;
    node->b = b;
  }
  return y;
}

Tensor tanh_of(const Tensor& x) {
  Tensor y = zip(x, x, [](auto p, auto) { return std::tanh(p); });
  if (auto* node = record<TanhNode>("tanh", y, x)) node->y = y;
  return y;
}

Tensor total(const Tensor& x) {
  const std::vector<double> values = x.to_vector<double>();
  double sum = 0;
  for (const double value : values) sum += value;
  Tensor y = scalar(sum, {x.dtype()});
  if (auto* node = record<TotalNode>("total", y, x)) node->shape = x.shape();
  return y;
}

Tensor spread(const Tensor& x, const Shape& shape) {
  const double value = x.item<double>();
  const Tensor zero =
      from_vector(std::vector<double>(static_cast<size_t>(shape.numel()), value), shape);
  Tensor y = zero.to(x.dtype());
  record<SpreadNode>("spread", y, x);
  return y;
}

Tensor transposed(const Tensor& x) {
  Tensor y =
      detail::view_of(x, {x.size(1), x.size(0)}, {x.strides()[1], x.strides()[0]}, x.body().offset);
  record<TransposedNode>("transposed", y, x);
  return y;
}

Tensor product(const Tensor& a, const Tensor& b) {
  const int64_t m = a.size(0), k = a.size(1), n = b.size(1);
  check(b.size(0) == k, "product: {} x {}", a.shape(), b.shape());
  const std::vector<double> pa = a.to_vector<double>(), pb = b.to_vector<double>();
  std::vector<double> sums(static_cast<size_t>(m * n), 0.0);
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t l = 0; l < k; ++l) {
      for (int64_t j = 0; j < n; ++j) {
        sums[static_cast<size_t>(i * n + j)] +=
            pa[static_cast<size_t>(i * k + l)] * pb[static_cast<size_t>(l * n + j)];
      }
    }
  }
  Tensor y = from_vector(sums, {m, n}, {a.dtype()});
  if (auto* node = record<ProductNode>("product", y, a, b)) {
    node->a = a;
    node->b = b;
  }
  return y;
}

Tensor weighted(const Tensor& x, const Tensor& weights) { return total(times(x, weights)); }

Tensor to_fixed(const Tensor& x) {
  Tensor zero = empty_fixed(x.shape(), 16);
  std::memset(view(zero).data, 0, static_cast<size_t>(4 * x.numel()));
  Tensor y = fixed_plus(zero, x.detach());
  record<ConvertNode>("to_fixed", y, x);
  return y;
}

Tensor from_fixed(const Tensor& q) {
  const Tensor from = q.detach().contiguous();
  Tensor y = empty(q.shape());
  for (int64_t i = 0; i < y.numel(); ++i) {
    view(y).as<float>()[i] = static_cast<float>(from.data<int32_t>()[i]) / 65536.0f;
  }
  record<ConvertNode>("from_fixed", y, q);
  return y;
}

Tensor fixed_plus(const Tensor& q, const Tensor& delta) { return add_fixed(q, delta, 1); }
Tensor fixed_minus(const Tensor& q, const Tensor& delta) { return add_fixed(q, delta, -1); }

Tensor pattern(Shape shape, int seed, DType dtype) {
  std::vector<double> values(static_cast<size_t>(shape.numel()));
  uint64_t state = static_cast<uint64_t>(seed) * 0x9e3779b97f4a7c15u + 1;
  for (double& value : values) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    value = static_cast<double>(state >> 33) / double(1u << 30) - 1.0;
  }
  return from_vector(values, shape, {dtype});
}

Tensor leaf(Shape shape, int seed, DType dtype) {
  Tensor x = pattern(shape, seed, dtype);
  x.set_requires_grad(true);
  return x;
}

double max_difference(const Tensor& a, const Tensor& b) {
  const std::vector<double> x = a.to_vector<double>(), y = b.to_vector<double>();
  if (x.size() != y.size()) return INFINITY;
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) worst = std::max(worst, std::abs(x[i] - y[i]));
  return worst;
}

int64_t working_bytes() { return memory::stats(Device::cpu(), memory::Category::working).live; }

}  // namespace tenet::test
