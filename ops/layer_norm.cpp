#include <tenet/core/autograd.h>
#include <tenet/core/memory.h>
#include <tenet/core/parallel.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/detail/loop.h>
#include <tenet/ops/detail/row.h>
#include <tenet/ops/elementwise.h>
#include <tenet/ops/layer_norm.h>
#include <tenet/ops/reduce.h>
#include <tenet/ops/stream.h>

namespace tenet {
namespace {

// With xhat = (x - mean) * rstd and g = dy * weight:
//   dx = rstd * (g - mean(g) - xhat * mean(g * xhat)), dweight = sum(dy * xhat), dbias = sum(dy)
struct LayerNormNode : Node {
  Saved x, mean_, rstd, weight;
  Shape parameter;
  double eps = 0;

  Tensors backward(const Tensors& dy) override {
    return grad_enabled() ? composed(dy[0]) : fused(dy[0].contiguous());
  }
  void saved(SavedFields& f) override {
    f("x", x);
    f("mean", mean_);
    f("rstd", rstd);
    f("weight", weight);
  }

 private:
  Tensors fused(const Tensor& dy) const {
    const Tensor input = x.get(*this);
    const auto wanted = [&](size_t i, const Shape& shape) {
      return needs_grad(i) ? empty_like(dy, shape) : Tensor();
    };
    Tensors d{wanted(0, input.shape()), wanted(1, parameter), wanted(2, parameter)};
    detail::layer_norm_backward_kernel(
        dy.device(), {view_or_null(d[0]), view_or_null(d[1]), view_or_null(d[2]), view(dy),
                      view(input), view(mean_.get(*this)), view(rstd.get(*this)),
                      view_or_null(weight.get(*this)), input.fraction_bits()});
    return d;
  }

  Tensors composed(const Tensor& dy) const {
    const DType dtype = dy.dtype(), wide = accumulate_dtype(dtype);
    const Tensor wide_dy = dy.to(wide);
    const Tensor from = x.get(*this), scale = weight.get(*this);
    const Tensor input = from.dtype() == DType::fixed32 ? decode(from) : from.to(wide);
    const Tensor centered = sub(input, mean(input, -1, true));
    const Tensor r = rsqrt(add(mean(square(centered), -1, true), eps));
    const Tensor xhat = mul(centered, r);
    const Tensor g = scale.defined() ? mul(wide_dy, scale.to(wide)) : wide_dy;
    const Tensor inner = sub(sub(g, mean(g, -1, true)), mul(xhat, mean(mul(g, xhat), -1, true)));
    return {mul(r, inner).to(dtype), mul(wide_dy, xhat).to(dtype), dy};
  }
};

void check_parameter(const Tensor& p, const Tensor& x, const char* name) {
  check(!p.defined() || p.shape() == Shape{x.shape().back()},
        "layer_norm: {} has shape {}, the last axis of x {} has size {}", name,
        p.defined() ? p.shape() : Shape(), x.shape(), x.shape().back());
}

DType common_type(DType dtype, const Tensor& p) {
  return p.defined() ? promote(dtype, p.dtype(), "layer_norm") : dtype;
}

}  // namespace

Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps) {
  check(x.dim() >= 1, "layer_norm: x has no axis");
  check_parameter(weight, x, "weight");
  check_parameter(bias, x, "bias");
  const bool fixed = x.dtype() == DType::fixed32;
  const DType own = fixed ? DType::f32 : promote(x.dtype(), x.dtype(), "layer_norm");
  const DType dtype = common_type(common_type(own, weight), bias);
  if (fixed && (dtype != own || !x.device().is_cpu())) {
    return layer_norm(decode(x), weight, bias, eps);
  }
  check(is_floating(dtype), "layer_norm: dtype {} is not supported", dtype);
  const auto converted = [&](const Tensor& p) {
    return p.defined() ? p.to(dtype).contiguous() : p;
  };
  const Tensor in = fixed ? x.contiguous() : converted(x);
  const Tensor w = converted(weight), b = converted(bias);
  Shape rows = x.shape();
  rows.erase(rows.dim() - 1);
  const TensorOptions statistics{accumulate_dtype(dtype), x.device()};
  Tensor y = empty(x.shape(), {dtype, x.device()});
  Tensor mean = empty(rows, statistics), rstd = empty(rows, statistics);
  detail::layer_norm_kernel(x.device(), {view(y), view(mean), view(rstd), view(in), view_or_null(w),
                                         view_or_null(b), eps, x.fraction_bits()});
  if (auto* node = record<LayerNormNode>("layer_norm", y, in, w, b)) {
    node->x = in;
    node->mean_ = mean;
    node->rstd = rstd;
    node->weight = w;
    node->parameter = {x.shape().back()};
    node->eps = eps;
  }
  return y;
}

namespace detail {

constinit Kernel<void(const LayerNormForward&)> layer_norm_kernel{"layer_norm"};
constinit Kernel<void(const LayerNormBackward&)> layer_norm_backward_kernel{"layer_norm_backward"};

namespace {

/// A parameter in the arithmetic type, or `value` throughout.
template <class C, class T>
memory::Workspace<C> widened(const View& p, int64_t n, C value) {
  memory::Workspace<C> result(n);
  const T* from = p.as<const T>();
  for (int64_t i = 0; i < n; ++i) result[i] = from ? static_cast<C>(from[i]) : value;
  return result;
}

/// The rows of x in their arithmetic type; those of fixed32 are decoded as they are read.
template <class T>
class InputRows {
 public:
  InputRows(const View& x, int) : x_(x.as<const T>()), n_(x.shape.back()) {}
  RowReader<T, true> operator[](int64_t row) const { return {x_ + row * n_, 1}; }

 private:
  const T* x_;
  int64_t n_;
};

struct Fixed32 {};

template <>
class InputRows<Fixed32> {
 public:
  struct Reader {
    const int32_t* data;
    float unit;
    float operator()(int64_t i) const { return static_cast<float>(data[i]) * unit; }
  };

  InputRows(const View& x, int fraction_bits)
      : x_(x.as<const int32_t>()),
        n_(x.shape.back()),
        unit_(1.0f / static_cast<float>(int64_t{1} << fraction_bits)) {}
  Reader operator[](int64_t row) const { return {x_ + row * n_, unit_}; }

 private:
  const int32_t* x_;
  int64_t n_;
  float unit_;
};

template <class T, class In>
void forward(const LayerNormForward& a) {
  using C = Compute<T>;
  const int64_t n = a.x.shape.back(), rows = a.mean.numel();
  const auto weight = widened<C, T>(a.weight, n, 1), bias = widened<C, T>(a.bias, n, 0);
  const InputRows<In> inputs(a.x, a.fraction_bits);
  parallel_for(rows, parallel_grain / (4 * n + 1) + 1, [&](int64_t begin, int64_t end) {
    const C *w = weight.data(), *b = bias.data();
    for (int64_t row = begin; row < end; ++row) {
      const auto x = inputs[row];
      const RowWriter<T, true> y{a.y.as<T>() + row * n, 1};
      const C mean = static_cast<C>(ordered_sum<C>(n, [&](C s, int64_t i) { return s + x(i); }) /
                                    static_cast<double>(n));
      const double squares = ordered_sum<C>(n, [&](C s, int64_t i) {
        const C distance = x(i) - mean;
        return fused(distance, distance, s);
      });
      const C rstd = static_cast<C>(1 / std::sqrt(squares / static_cast<double>(n) + a.eps));
      a.mean.as<C>()[row] = mean;
      a.rstd.as<C>()[row] = rstd;
      for (int64_t i = 0; i < n; ++i) y(i, fused((x(i) - mean) * rstd, w[i], b[i]));
    }
  });
}

/// Rows whose share of dweight and dbias one thread adds up in one go; 16 such shares make a block.
constexpr int64_t share = reduce_block / 16;

/// dx of one row; adds the row's terms to dw and db, where they are wanted.
template <class T, class Reader>
void backward_row(const LayerNormBackward& a, int64_t row, const Reader& x, const Compute<T>* w,
                  Compute<T>* dw, Compute<T>* db) {
  using C = Compute<T>;
  const int64_t n = a.x.shape.back();
  const RowReader<T, true> dy{a.dy.as<const T>() + row * n, 1};
  const C mean = a.mean.as<const C>()[row], rstd = a.rstd.as<const C>()[row];
  if (a.dx.data) {
    const RowWriter<T, true> dx{a.dx.as<T>() + row * n, 1};
    const auto per_element = 1 / static_cast<double>(n);
    const C mean_g = static_cast<C>(
        per_element * ordered_sum<C>(n, [&](C s, int64_t i) { return fused(dy(i), w[i], s); }));
    const C mean_gx = static_cast<C>(per_element * ordered_sum<C>(n, [&](C s, int64_t i) {
                                       return fused(dy(i) * w[i], (x(i) - mean) * rstd, s);
                                     }));
    for (int64_t i = 0; i < n; ++i) {
      const C xhat = (x(i) - mean) * rstd;
      dx(i, rstd * fused(-xhat, mean_gx, fused(dy(i), w[i], -mean_g)));
    }
  }
  if (dw) {
    for (int64_t i = 0; i < n; ++i) dw[i] = fused(dy(i), (x(i) - mean) * rstd, dw[i]);
  }
  if (db) {
    for (int64_t i = 0; i < n; ++i) db[i] += dy(i);
  }
}

/// to[i] = the shares added up, column by column: 16 of a block in order, then blocks in order.
template <class T>
void add_shares(const View& to, const Compute<T>* shares, int64_t count, int64_t n) {
  parallel_for(n, parallel_grain / (count + 1) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      double total = 0;
      for (int64_t first = 0; first < count; first += 16) {
        Compute<T> block = 0;
        for (int64_t k = first; k < std::min(count, first + 16); ++k) block += shares[k * n + i];
        total += static_cast<double>(block);
      }
      to.as<T>()[i] = T(static_cast<Compute<T>>(total));
    }
  });
}

template <class T, class In>
void backward(const LayerNormBackward& a) {
  using C = Compute<T>;
  const int64_t n = a.x.shape.back(), rows = a.mean.numel(), shares = (rows + share - 1) / share;
  const auto weight = widened<C, T>(a.weight, n, 1);
  const InputRows<In> inputs(a.x, a.fraction_bits);
  const memory::Workspace<C> dw(a.dweight.data ? shares * n : 0), db(a.dbias.data ? shares * n : 0);
  parallel_for(shares, parallel_grain / (share * n + 1) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      C* dw_share = a.dweight.data ? dw.data() + k * n : nullptr;
      C* db_share = a.dbias.data ? db.data() + k * n : nullptr;
      if (dw_share) std::fill_n(dw_share, n, C(0));
      if (db_share) std::fill_n(db_share, n, C(0));
      for (int64_t row = k * share; row < std::min(rows, (k + 1) * share); ++row) {
        backward_row<T>(a, row, inputs[row], weight.data(), dw_share, db_share);
      }
    }
  });
  if (a.dweight.data) add_shares<T>(a.dweight, dw.data(), shares, n);
  if (a.dbias.data) add_shares<T>(a.dbias, db.data(), shares, n);
}

void layer_norm_cpu(const LayerNormForward& a) {
  if (a.x.dtype == DType::fixed32) return forward<float, Fixed32>(a);
  dispatch(FloatTypes(), a.x.dtype, "layer_norm", [&]<class T>() { forward<T, T>(a); });
}
void layer_norm_backward_cpu(const LayerNormBackward& a) {
  if (a.x.dtype == DType::fixed32) return backward<float, Fixed32>(a);
  dispatch(FloatTypes(), a.x.dtype, "layer_norm", [&]<class T>() { backward<T, T>(a); });
}

const bool filled = layer_norm_kernel.fill(Device::Kind::cpu, &layer_norm_cpu) &&
                    layer_norm_backward_kernel.fill(Device::Kind::cpu, &layer_norm_backward_cpu);

}  // namespace
}  // namespace detail
}  // namespace tenet
