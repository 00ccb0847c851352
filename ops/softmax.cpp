#include <tenet/core/autograd.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/detail/lines.h>
#include <tenet/ops/detail/math.h>
#include <tenet/ops/detail/row.h>
#include <tenet/ops/elementwise.h>
#include <tenet/ops/reduce.h>
#include <tenet/ops/softmax.h>
#include <tenet/ops/views.h>

namespace tenet {
namespace {

/// `tensor` with `axis` last, as kernels take it.
View lines(const Tensor& tensor, int axis) {
  const NoGrad scope;
  return view(detail::move_to_back(tensor, axis));
}

// dx = y * (dy - sum(dy * y))
struct SoftmaxNode : Node {
  Saved y;
  int axis = 0;
  Tensors backward(const Tensors& dy) override {
    const Tensor p = y.get(*this);
    if (grad_enabled()) return {mul(p, sub(dy[0], sum(mul(dy[0], p), axis, true)))};
    Tensor dx = empty_like(p);
    detail::softmax_backward_kernel(dx.device(), lines(dx, axis), lines(p, axis),
                                    lines(dy[0], axis));
    return {dx};
  }
  void saved(SavedFields& f) override { f("y", y); }
};

// dx = dy - exp(y) * sum(dy)
struct LogSoftmaxNode : Node {
  Saved y;
  int axis = 0;
  Tensors backward(const Tensors& dy) override {
    const Tensor p = y.get(*this);
    if (grad_enabled()) return {sub(dy[0], mul(exp(p), sum(dy[0], axis, true)))};
    Tensor dx = empty_like(p);
    detail::log_softmax_backward_kernel(dx.device(), lines(dx, axis), lines(p, axis),
                                        lines(dy[0], axis));
    return {dx};
  }
  void saved(SavedFields& f) override { f("y", y); }
};

template <class NodeType>
Tensor apply(const Kernel<void(View, View)>& kernel, const Tensor& x, int axis, const char* op) {
  promote(x.dtype(), x.dtype(), op);  // refuses fixed32
  check(is_floating(x.dtype()), "{}: dtype {} is not supported", op, x.dtype());
  axis = normalize_axis(axis, x.dim(), op);
  Tensor y = empty_like(x);
  kernel(x.device(), lines(y, axis), lines(x, axis));
  if (auto* node = record<NodeType>(op, y, x)) {
    node->y = y;
    node->axis = axis;
  }
  return y;
}

}  // namespace

Tensor softmax(const Tensor& x, int axis) {
  return apply<SoftmaxNode>(detail::softmax_kernel, x, axis, "softmax");
}

Tensor log_softmax(const Tensor& x, int axis) {
  return apply<LogSoftmaxNode>(detail::log_softmax_kernel, x, axis, "log_softmax");
}

namespace detail {

constinit Kernel<void(View, View)> softmax_kernel{"softmax"};
constinit Kernel<void(View, View)> log_softmax_kernel{"log_softmax"};
constinit Kernel<void(View, View, View)> softmax_backward_kernel{"softmax_backward"};
constinit Kernel<void(View, View, View)> log_softmax_backward_kernel{"log_softmax_backward"};

namespace {

/// The largest element, or 0 if none is above -inf: then exp(x - shift) is 0 throughout, and NaN
/// where x is.
template <class C, class X>
C shift_of(int64_t n, const X& x) {
  const C largest = row_max<C>(n, x);
  return largest == -std::numeric_limits<C>::infinity() ? C(0) : largest;
}

/// y = exp(x - shift) / sum(exp(x - shift)), the exponentials of one block at a time in `some`; of
/// a row that has no more they are kept.
struct Softmax {
  template <class C, class X, class Y>
  static void row(int64_t n, const X& x, const Y& y) {
    const C shift = shift_of<C>(n, x);
    C some[reduce_block];
    const double total = exp_sum<C>(
        n, [&](int64_t i) { return x(i) - shift; }, some);
    const C scale = total == 0 ? C(0) : static_cast<C>(1 / total);
    for (int64_t begin = 0; begin < n; begin += reduce_block) {
      const int64_t count = std::min(n - begin, reduce_block);
      if (n > reduce_block)
        exp_each(
            count, [&](int64_t i) { return x(begin + i) - shift; }, some);
      for (int64_t i = 0; i < count; ++i) y(begin + i, some[i] * scale);
    }
  }
};

struct LogSoftmax {
  template <class C, class X, class Y>
  static void row(int64_t n, const X& x, const Y& y) {
    const C shift = shift_of<C>(n, x);
    C some[reduce_block];
    const double total = exp_sum<C>(
        n, [&](int64_t i) { return x(i) - shift; }, some);
    const C level = total == 0 ? C(0) : static_cast<C>(std::log(total));
    for (int64_t i = 0; i < n; ++i) y(i, (x(i) - shift) - level);
  }
};

struct SoftmaxBackward {
  template <class C, class P, class G, class Y>
  static void row(int64_t n, const P& p, const G& dy, const Y& dx) {
    const C mean =
        static_cast<C>(ordered_sum<C>(n, [&](C a, int64_t i) { return fused(p(i), dy(i), a); }));
    for (int64_t i = 0; i < n; ++i) dx(i, p(i) * (dy(i) - mean));
  }
};

struct LogSoftmaxBackward {
  template <class C, class P, class G, class Y>
  static void row(int64_t n, const P& logp, const G& dy, const Y& dx) {
    const C total = static_cast<C>(ordered_sum<C>(n, [&](C a, int64_t i) { return a + dy(i); }));
    C some[reduce_block];
    for (int64_t begin = 0; begin < n; begin += reduce_block) {
      const int64_t count = std::min(n - begin, reduce_block);
      exp_each(
          count, [&](int64_t i) { return logp(begin + i); }, some);
      for (int64_t i = 0; i < count; ++i) {
        dx(begin + i, fused(-some[i], total, dy(begin + i)));
      }
    }
  }
};

template <class F, bool unit, class T>
void rows(const View& y, const View& x) {
  const int64_t n = x.shape.back(), step_y = y.strides.back(), step_x = x.strides.back();
  for_each_line<2>({y, x}, 8 * n, [&](int64_t, const auto& at) {
    F::template row<Compute<T>>(n, RowReader<T, unit>{x.as<const T>() + at[1], step_x},
                                RowWriter<T, unit>{y.as<T>() + at[0], step_y});
  });
}

template <class F>
void forward_cpu(View y, View x) {
  dispatch(FloatTypes(), x.dtype, "softmax", [&]<class T>() {
    const bool unit = y.strides.back() == 1 && x.strides.back() == 1;
    unit ? rows<F, true, T>(y, x) : rows<F, false, T>(y, x);
  });
}

template <class F, bool unit, class T>
void rows_backward(const View& dx, const View& y, const View& dy) {
  const int64_t n = y.shape.back();
  for_each_line<3>({dx, y, dy}, 4 * n, [&](int64_t, const auto& at) {
    F::template row<Compute<T>>(n, RowReader<T, unit>{y.as<const T>() + at[1], y.strides.back()},
                                RowReader<T, unit>{dy.as<const T>() + at[2], dy.strides.back()},
                                RowWriter<T, unit>{dx.as<T>() + at[0], dx.strides.back()});
  });
}

template <class F>
void backward_cpu(View dx, View y, View dy) {
  dispatch(FloatTypes(), y.dtype, "softmax", [&]<class T>() {
    const bool unit = dx.strides.back() == 1 && y.strides.back() == 1 && dy.strides.back() == 1;
    unit ? rows_backward<F, true, T>(dx, y, dy) : rows_backward<F, false, T>(dx, y, dy);
  });
}

constexpr auto cpu = Device::Kind::cpu;
const bool filled = softmax_kernel.fill(cpu, &forward_cpu<Softmax>) &&
                    log_softmax_kernel.fill(cpu, &forward_cpu<LogSoftmax>) &&
                    softmax_backward_kernel.fill(cpu, &backward_cpu<SoftmaxBackward>) &&
                    log_softmax_backward_kernel.fill(cpu, &backward_cpu<LogSoftmaxBackward>);

}  // namespace
}  // namespace detail
}  // namespace tenet
