#include <doctest/doctest.h>
#include <gradcheck.h>
#include <tenet/core/detail/core_kernels.h>
#include <tenet/core/philox.h>
#include <tenet/core/view.h>

#include <cmath>

namespace tenet::test {
namespace {

/// Where element i, in row-major order, lies from the tensor's first.
int64_t place_of(const Tensor& x, int64_t i) {
  int64_t place = 0;
  for (int axis = x.dim() - 1; axis >= 0; --axis) {
    place += i % x.shape()[axis] * x.strides()[axis];
    i /= x.shape()[axis];
  }
  return place;
}

double inner_product(const Tensors& ys, const Tensors& cs) {
  double sum = 0;
  for (size_t k = 0; k < ys.size(); ++k) {
    if (!cs[k].defined()) continue;
    const std::vector<double> y = ys[k].to_vector<double>(), c = cs[k].to_vector<double>();
    for (size_t i = 0; i < y.size(); ++i) sum += c[i] * y[i];
  }
  return sum;
}

Tensor cotangent_of(const Tensor& y, uint64_t seed, bool strided) {
  const Tensor c = random_leaf(y.shape(), seed).set_requires_grad(false);
  const Tensor typed = c.to(grad_dtype(y.dtype()));
  return strided ? strided_copy(typed) : typed;
}

/// d<c, f(xs)>/dxs by the engine; undefined where nothing depends on x.
Tensors analytic_gradients(const Tensors& ys, const Tensors& cs, const Tensors& xs) {
  Tensors roots, targets, dy, result(xs.size());
  std::vector<size_t> which;
  for (size_t k = 0; k < ys.size(); ++k) {
    if (!cs[k].defined() || !ys[k].requires_grad()) continue;
    roots.push_back(ys[k]);
    dy.push_back(cs[k]);
  }
  for (size_t i = 0; i < xs.size(); ++i) {
    if (!xs[i].requires_grad()) continue;
    targets.push_back(xs[i]);
    which.push_back(i);
  }
  if (roots.empty() || targets.empty()) return result;
  const Tensors gradients = grad(roots, targets, {.dy = dy, .allow_unused = true});
  for (size_t i = 0; i < which.size(); ++i) result[which[i]] = gradients[i];
  return result;
}

struct Comparison {
  const GradcheckOptions& options;
  GradcheckResult result;

  void add(size_t input, int64_t element, double numeric, double analytic) {
    const double error = std::abs(numeric - analytic) / std::max(1.0, std::abs(numeric));
    ++result.checked;
    if (std::isnan(result.error) || error <= result.error) return;  // a NaN error is kept
    result.error = error;
    result.worst = fmt::format("input {}, element {}: numeric {:.10g}, analytic {:.10g}", input,
                               element, numeric, analytic);
  }
};

void report(const std::string& name, const char* kind, const GradcheckResult& result,
            double tolerance) {
  INFO(name, ": ", kind, ": ", result.worst);
  CHECK(result.error <= tolerance);
}

}  // namespace

GradcheckResult gradcheck(const TensorFunction& f, const Tensors& xs,
                          const GradcheckOptions& options) {
  Tensors cs, gradients;
  {
    const EnableGrad scope;
    const Tensors ys = f(xs);
    for (size_t k = 0; k < ys.size(); ++k) {
      const bool real = category(ys[k].dtype()) >= DTypeCategory::floating;
      cs.push_back(real ? cotangent_of(ys[k], options.seed + 1000 + k, options.strided_dy)
                        : Tensor());
    }
    gradients = analytic_gradients(ys, cs, xs);
  }
  const NoGrad scope;
  Comparison comparison{options, {}};
  for (size_t input = 0; input < xs.size(); ++input) {
    const Tensor& x = xs[input];
    if (!x.requires_grad()) continue;
    const std::vector<double> analytic = gradients[input].defined()
                                             ? gradients[input].to_vector<double>()
                                             : std::vector<double>(static_cast<size_t>(x.numel()));
    for (int64_t i = 0; i < x.numel(); ++i) {
      double& element = x.mutable_data<double>()[place_of(x, i)];
      const double value = element;
      const double h = options.step * std::max(1.0, std::abs(value));
      element = value + h;
      const double above = inner_product(f(xs), cs);
      element = value - h;
      const double below = inner_product(f(xs), cs);
      element = value;
      comparison.add(input, i, (above - below) / (2 * h), analytic[static_cast<size_t>(i)]);
    }
  }
  return comparison.result;
}

GradcheckResult gradgradcheck(const TensorFunction& f, const Tensors& xs,
                              const GradcheckOptions& options) {
  Tensors all = xs;
  const Tensors ys = f(xs);
  std::vector<size_t> roots;
  for (size_t k = 0; k < ys.size(); ++k) {
    if (!ys[k].requires_grad()) continue;
    roots.push_back(k);
    Tensor c = cotangent_of(ys[k], options.seed + 2000 + k, options.strided_dy);
    if (c.dtype() == DType::f64) c.set_requires_grad(true);
    all.push_back(c);
  }
  if (roots.empty()) return {};
  const TensorFunction gradient = [&](const Tensors& inputs) {
    const EnableGrad scope;
    const Tensors x(inputs.begin(), inputs.begin() + static_cast<std::ptrdiff_t>(xs.size()));
    const Tensors c(inputs.begin() + static_cast<std::ptrdiff_t>(xs.size()), inputs.end());
    const Tensors outputs = f(x);
    Tensors chosen, targets, defined;
    for (size_t k : roots) chosen.push_back(outputs[k]);
    for (const Tensor& t : x) {
      if (t.requires_grad()) targets.push_back(t);
    }
    const Tensors result =
        grad(chosen, targets, {.dy = c, .create_graph = true, .allow_unused = true});
    for (const Tensor& t : result) {
      if (t.defined()) defined.push_back(t);
    }
    return defined;
  };
  return gradcheck(gradient, all, options);
}

void check_gradients(const std::string& name, const TensorFunction& f, const Tensors& xs,
                     const GradcheckOptions& options) {
  report(name, "gradient", gradcheck(f, xs, options), options.tolerance);
}

void check_second_gradients(const std::string& name, const TensorFunction& f, const Tensors& xs,
                            const GradcheckOptions& options) {
  report(name, "second gradient", gradgradcheck(f, xs, options), options.tolerance);
}

Tensor random_leaf(Shape shape, uint64_t seed, double low, double high) {
  std::vector<double> values(static_cast<size_t>(shape.numel()));
  const PhiloxKey key{seed, 0, 0};
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = low + (high - low) * philox_uniform(key, i);
  return from_vector(values, shape).set_requires_grad(true);
}

Tensor strided_copy(const Tensor& x) {
  if (x.dim() == 0) return x.detach().clone().set_requires_grad(x.requires_grad());
  Shape
      padded;  // axes reversed, the last stored with a gap of one and one element before the first
  for (int axis = x.dim() - 1; axis >= 0; --axis) padded.push_back(x.shape()[axis]);
  padded[x.dim() - 1] = 2 * padded[x.dim() - 1] + 1;
  const Tensor base = empty_like(x, padded);
  const Strides forward = contiguous_strides(padded);
  Strides strides = x.shape();
  for (int axis = 0; axis < x.dim(); ++axis) strides[axis] = forward[x.dim() - 1 - axis];
  strides[0] *= 2;
  const NoGrad scope;
  Tensor y = detail::view_of(base, x.shape(), strides, x.numel() == 0 ? 0 : 1);
  detail::copy_kernel(y.device(), view(y), view(x));
  if (x.requires_grad()) y.set_requires_grad(true);
  return y;
}

}  // namespace tenet::test
