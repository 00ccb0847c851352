#include <tenet/core/grad_mode.h>
#include <tenet/core/memory.h>
#include <tenet/nn/init.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/inplace.h>
#include <tenet/ops/reduce.h>
#include <tenet/ops/views.h>

#include <cmath>
#include <numbers>

namespace tenet::nn {
namespace {

/// What make() gives, as a leaf counted as a parameter.
template <class Make>
Tensor parameter(Make&& make) {
  const NoGrad scope;
  const memory::Scope category(memory::Category::parameter);
  Tensor value = make();
  return value.set_requires_grad(true);
}

struct Fans {
  double in, out;
};

Fans fans_of(const Tensor& x, const char* op) {
  check(x.dim() >= 2, "{}: shape {} has no fan; a weight (out, in, ...) is needed", op, x.shape());
  double kernel = 1;
  for (int axis = 2; axis < x.dim(); ++axis) kernel *= static_cast<double>(x.size(axis));
  return {kernel * static_cast<double>(x.size(1)), kernel * static_cast<double>(x.size(0))};
}

/// How values for x are drawn: where x is, half types in f32.
TensorOptions draw_options(const Tensor& x, const char* op) {
  check(is_floating(x.dtype()), "{}: dtype {} is not supported", op, x.dtype());
  return {accumulate_dtype(x.dtype()), x.device()};
}

void write_uniform(const Tensor& x, double low, double high, Generator& generator, const char* op) {
  const NoGrad scope;
  copy_(x, rand(x.shape(), generator, draw_options(x, op)) * (high - low) + low);
}

void write_normal(const Tensor& x, double mean, double std, Generator& generator, const char* op) {
  check(std >= 0, "{}: std is {}; it must not be negative", op, std);
  const NoGrad scope;
  copy_(x, randn(x.shape(), generator, draw_options(x, op)) * std + mean);
}

double normal_below(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }

/// Makes the rows of `a` (rows, columns), rows <= columns, orthonormal: Gram-Schmidt, twice over
/// for each row, so that rounding does not add up.
void orthonormalize(std::vector<double>& a, size_t rows, size_t columns) {
  for (size_t r = 0; r < rows; ++r) {
    double* row = a.data() + r * columns;
    for (size_t before = 0; before < 2 * r; ++before) {
      const double* other = a.data() + before % r * columns;
      double dot = 0;
      for (size_t c = 0; c < columns; ++c) dot += row[c] * other[c];
      for (size_t c = 0; c < columns; ++c) row[c] -= dot * other[c];
    }
    double squares = 0;
    for (size_t c = 0; c < columns; ++c) squares += row[c] * row[c];
    for (size_t c = 0; c < columns; ++c) row[c] /= std::sqrt(squares);
  }
}

}  // namespace

Tensor normal_parameter(Shape shape, double std, Generator& generator) {
  return parameter([&] { return randn(shape, generator) * std; });
}

Tensor uniform_parameter(Shape shape, double bound, Generator& generator) {
  return parameter([&] { return (rand(shape, generator) * 2 - 1) * bound; });
}

Tensor constant_parameter(Shape shape, double value) {
  return parameter([&] { return full(shape, value); });
}

namespace init {

void zeros_(const Tensor& x) { constant_(x, 0); }
void ones_(const Tensor& x) { constant_(x, 1); }

void constant_(const Tensor& x, double value) {
  const NoGrad scope;
  fill_(x, value);
}

void eye_(const Tensor& x) {
  check(x.dim() == 2, "eye_: shape {} is not that of a matrix", x.shape());
  const NoGrad scope;
  copy_(x, eye(x.size(0), x.size(1), {x.dtype(), x.device()}));
}

void uniform_(const Tensor& x, double low, double high, Generator& generator) {
  check(low <= high, "uniform_: low {} is above high {}", low, high);
  write_uniform(x, low, high, generator, "uniform_");
}

void normal_(const Tensor& x, double mean, double std, Generator& generator) {
  write_normal(x, mean, std, generator, "normal_");
}

void truncated_normal_(const Tensor& x, TruncatedNormal o, Generator& generator) {
  check(o.std > 0 && o.low < o.high, "truncated_normal_: std {}, low {} and high {} leave nothing",
        o.std, o.low, o.high);
  const double share =
      normal_below((o.high - o.mean) / o.std) - normal_below((o.low - o.mean) / o.std);
  check(share >= 0.01, "truncated_normal_: only {:.2g} of the distribution lies in [{}, {}]", share,
        o.low, o.high);
  const NoGrad scope;
  const auto draw = [&] {
    return randn(x.shape(), generator, draw_options(x, "truncated_normal_")) * o.std + o.mean;
  };
  Tensor values = draw();
  for (;;) {
    const Tensor outside = logical_or(less(values, o.low), greater(values, o.high));
    if (sum(outside).item<int64_t>() == 0) break;
    values = where(outside, draw(), values);
  }
  copy_(x, values);
}

void xavier_uniform_(const Tensor& x, double gain, Generator& generator) {
  const Fans fans = fans_of(x, "xavier_uniform_");
  const double bound = gain * std::sqrt(6 / (fans.in + fans.out));
  write_uniform(x, -bound, bound, generator, "xavier_uniform_");
}

void xavier_normal_(const Tensor& x, double gain, Generator& generator) {
  const Fans fans = fans_of(x, "xavier_normal_");
  write_normal(x, 0, gain * std::sqrt(2 / (fans.in + fans.out)), generator, "xavier_normal_");
}

void kaiming_uniform_(const Tensor& x, Kaiming options, Generator& generator) {
  const Fans fans = fans_of(x, "kaiming_uniform_");
  const double bound = options.gain * std::sqrt(3 / (options.fan == Fan::in ? fans.in : fans.out));
  write_uniform(x, -bound, bound, generator, "kaiming_uniform_");
}

void kaiming_normal_(const Tensor& x, Kaiming options, Generator& generator) {
  const Fans fans = fans_of(x, "kaiming_normal_");
  const double fan = options.fan == Fan::in ? fans.in : fans.out;
  write_normal(x, 0, options.gain / std::sqrt(fan), generator, "kaiming_normal_");
}

void orthogonal_(const Tensor& x, double gain, Generator& generator) {
  check(x.dim() >= 2, "orthogonal_: shape {} is not that of a matrix", x.shape());
  draw_options(x, "orthogonal_");
  const NoGrad scope;
  if (x.numel() == 0) return;
  const int64_t rows = x.size(0), columns = x.numel() / rows;
  const int64_t few = std::min(rows, columns), many = std::max(rows, columns);
  std::vector<double> a = randn({few, many}, generator, {.dtype = DType::f64}).to_vector<double>();
  orthonormalize(a, static_cast<size_t>(few), static_cast<size_t>(many));
  Tensor q = from_vector(a, {few, many}) * gain;
  if (rows > columns) q = transpose(q, 0, 1);
  copy_(x, reshape(q.to(x.device()), x.shape()));
}

double gain_of(Activation activation, double slope) {
  switch (activation) {
    case Activation::relu:
      return std::numbers::sqrt2;
    case Activation::leaky_relu:
      return std::sqrt(2 / (1 + slope * slope));
    case Activation::tanh:
      return 5.0 / 3;
    case Activation::selu:
      return 0.75;
    default:
      return 1;
  }
}

}  // namespace init
}  // namespace tenet::nn
