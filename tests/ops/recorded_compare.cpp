#include <gradcheck.h>
#include <ops/recorded_compare.h>
#include <tenet/core/autograd.h>
#include <tenet/ops/creation.h>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <set>

namespace tenet::test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

std::string numbered(const char* name, size_t i) { return name + std::to_string(i); }

bool same_numbers(const Tensor& a, const Tensor& b) {
  return recorded_relative_error(a.to(DType::f64), b.to(DType::f64), 1) == 0;
}

/// Whether the type holds the floating inputs.
bool takes_part(const RecordedCase& c, DType dtype) {
  for (size_t i = 0; i < c.inputs; ++i) {
    const Tensor x = c.at(numbered("x", i));
    if (is_floating(x.dtype()) && !same_numbers(x, x.to(dtype))) return false;
  }
  return true;
}

/// Ops with zeros of another sign than PyTorch's: 0 for -0 or the other way round.
const std::set<std::string> unsigned_zeros{"hardswish", "log_sigmoid", "sign"};

/// Ops whose formula cancels below -3, here and in PyTorch (1 + erf(x)): their outputs there are
/// measured as if they were 2^-7.
const std::set<std::string> cancelling{"gelu", "gelu_tanh"};

/// Inputs that need a gradient, and which ones they are.
struct Inputs {
  Tensors all, leaves;
  std::vector<size_t> places;
};

/// The inputs in `dtype`, or in their own.
Inputs inputs_of(const RecordedCase& c, std::optional<DType> dtype, bool strided) {
  Inputs inputs;
  for (size_t i = 0; i < c.inputs; ++i) {
    Tensor x = (dtype ? c.input(i, *dtype) : c.at(numbered("x", i))).detach().clone();
    if (strided) x = strided_copy(x);
    if (c.has(numbered("d", i))) {
      x.set_requires_grad(true);
      inputs.leaves.push_back(x);
      inputs.places.push_back(i);
    }
    inputs.all.push_back(x);
  }
  return inputs;
}

/// The gradients of the leaves with the recorded cotangents.
Tensors gradients_of(const RecordedCase& c, const Tensors& outputs, const Inputs& inputs) {
  if (inputs.leaves.empty()) return {};
  Tensors ys, cotangents;
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!c.has(numbered("c", i))) continue;
    ys.push_back(outputs[i]);
    cotangents.push_back(c.at(numbered("c", i)).to(outputs[i].dtype()));
  }
  Tensors dxs = grad(ys, inputs.leaves, {.dy = cotangents, .allow_unused = true});
  for (size_t i = 0; i < dxs.size(); ++i) {
    if (!dxs[i].defined()) dxs[i] = zeros_like(inputs.leaves[i].detach());
  }
  return dxs;
}

double largest_number(const Tensor& x) {
  double largest = 0;
  for (const double number : x.to_vector<double>()) largest = std::max(largest, std::abs(number));
  return largest;
}

/// Whether zeros have the signs of `want`'s, rounded to y's type.
bool same_zeros(const Tensor& y, const Tensor& want) {
  const auto got = y.to_vector<double>(), rounded = want.to(y.dtype()).to_vector<double>();
  for (size_t i = 0; i < got.size(); ++i) {
    const bool zeros = got[i] == 0 && rounded[i] == 0;
    if (zeros && std::signbit(got[i]) != std::signbit(rounded[i])) return false;
  }
  return true;
}

/// Element by element, the one of two references that is nearer to y.
Tensor nearer(const Tensor& y, const Tensor& a, const Tensor& b) {
  const auto got = y.to_vector<double>(), other = b.to_vector<double>(),
             rounded = a.to(y.dtype()).to_vector<double>();
  auto nearest = a.to_vector<double>();
  for (size_t i = 0; i < got.size(); ++i) {
    const bool worse = !(std::abs(other[i] - got[i]) >= std::abs(rounded[i] - got[i]));
    const bool same = got[i] == other[i] || (std::isnan(got[i]) && std::isnan(other[i]));
    const bool exact = got[i] == rounded[i] || (std::isnan(got[i]) && std::isnan(rounded[i]));
    if (!exact && (same || worse)) nearest[i] = other[i];
  }
  return from_vector(nearest, a.shape());
}

double error_of_numbers(const Tensor& y, const Tensor& want, bool gradient) {
  if (itemsize(y.dtype()) > 2) return recorded_error(y, want);
  return recorded_ulps(y, want, gradient ? largest_number(want) : 0);
}

double error_of_extremes(const std::string& op, const Tensor& y, const Tensor& want,
                         bool gradient) {
  if (gradient) return recorded_relative_error(y, want, 1);
  if (!unsigned_zeros.contains(op) && !same_zeros(y, want)) return infinity;
  const double least = std::ldexp(1.0, y.dtype() == DType::f64 ? -1022 : -126);
  const double floor = cancelling.contains(op) ? 0x1p-7 : least;
  return itemsize(y.dtype()) == 2 ? recorded_ulps(y, want, floor)
                                  : recorded_relative_error(y, want, floor);
}

void note(const RecordedCase& c, const std::string& what, const Tensor& y, const Tensor& want,
          bool gradient, WorstFigures& figures) {
  const DType dtype = y.dtype();
  if (!is_floating(dtype)) {
    figures.note(c, what, dtype, same_numbers(y, want) ? 0 : infinity, 0);
    return;
  }
  const double error = c.kind == "extremes" ? error_of_extremes(c.op, y, want, gradient)
                                            : error_of_numbers(y, want, gradient);
  const double tolerance = dtype == DType::f64 ? 1e-12 : dtype == DType::f32 ? 1e-5 : 2;
  figures.note(c, what, dtype, error, tolerance);
}

void compare(const RecordedCall& call, const RecordedCase& c, DType dtype, bool strided,
             WorstFigures& figures) {
  const Inputs inputs = inputs_of(c, dtype, strided);
  const char* layout = strided ? " of strided inputs" : "";
  const Tensors ys = call(inputs.all, c);
  REQUIRE(ys.size() == c.outputs);
  for (size_t i = 0; i < ys.size(); ++i) {
    note(c, numbered("y", i) + layout, ys[i], c.at(numbered("y", i)), false, figures);
  }
  const bool extremes = c.kind == "extremes";
  if (extremes && itemsize(dtype) == 2) return;
  const Tensors dxs = gradients_of(c, ys, inputs);
  for (size_t i = 0; i < dxs.size(); ++i) {
    const std::string name = numbered("d", inputs.places[i]);
    const std::string own = to_string(dtype) + numbered(".", inputs.places[i]);
    const Tensor want = c.at(name);
    note(c, name + layout, dxs[i], c.has(own) ? nearer(dxs[i], want, c.at(own)) : want, true,
         figures);
  }
}

}  // namespace

void compare_numbers(const RecordedCall& call, const RecordedCase& c, WorstFigures& figures) {
  for (const DType dtype : {DType::f32, DType::f64, DType::bf16, DType::f16}) {
    if (!takes_part(c, dtype)) continue;
    compare(call, c, dtype, false, figures);
    compare(call, c, dtype, true, figures);
  }
}

void compare_types(const RecordedCall& call, const RecordedCase& c, WorstFigures& figures) {
  for (const bool strided : {false, true}) {
    const Tensors ys = call(inputs_of(c, {}, strided).all, c);
    REQUIRE(ys.size() == c.outputs);
    for (size_t i = 0; i < ys.size(); ++i) {
      const Tensor want = c.at(numbered("y", i));
      INFO(c.text());
      CHECK(std::string(to_string(ys[i].dtype())) == std::string(to_string(want.dtype())));
      const double error = recorded_relative_error(ys[i].to(DType::f64), want.to(DType::f64), 1);
      figures.note(c, numbered("y", i), ys[i].dtype(), error,
                   ys[i].dtype() == DType::f32 ? 1e-5 : 0);
    }
  }
}

bool agrees(const RecordedCall& call, const RecordedCase& c) {
  const auto same = [](const Tensor& y, const Tensor& want) {
    return y.dtype() == want.dtype() && y.shape() == want.shape() &&
           recorded_relative_error(y.to(DType::f64), want.to(DType::f64), 1) <= 1e-5;
  };
  try {
    const Inputs inputs = inputs_of(c, {}, false);
    const Tensors ys = call(inputs.all, c);
    bool all = ys.size() == c.outputs;
    for (size_t i = 0; all && i < ys.size(); ++i) all = same(ys[i], c.at(numbered("y", i)));
    if (!all) return false;
    const Tensors dxs = gradients_of(c, ys, inputs);
    for (size_t i = 0; i < dxs.size(); ++i) {
      all = all && same(dxs[i], c.at(numbered("d", inputs.places[i])));
    }
    return all;
  } catch (const Error&) {
    return false;
  }
}

bool refuses(const RecordedCall& call, const RecordedCase& c) {
  try {
    call(inputs_of(c, {}, false).all, c);
    return false;
  } catch (const Error&) {
    return true;
  }
}

}  // namespace tenet::test
