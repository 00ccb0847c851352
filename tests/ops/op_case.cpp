#include <doctest/doctest.h>
#include <fmt/ranges.h>
#include <gradcheck.h>
#include <ops/op_case.h>
#include <tenet/core/detail/core_kernels.h>
#include <tenet/core/generator.h>
#include <tenet/core/philox.h>
#include <tenet/ops/creation.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <map>
#include <set>

namespace tenet::test {
namespace {

/// What the rows of this program have covered; printed when it ends, with TENET_OP_TABLE set each
/// op and the types that it was tried in.
struct Counts {
  std::map<std::string, std::set<DType>> types;
  int rows = 0, forwards = 0, gradchecks = 0, gradgradchecks = 0, errors = 0, cuda = 0;
  ~Counts() {
    if (rows == 0) return;
    fmt::print("op table: {} rows, {} forwards, {} gradchecks, {} gradgradchecks, {} errors, {}\n",
               rows, forwards, gradchecks, gradgradchecks, errors,
               has_cuda() ? fmt::format("{} comparisons with CUDA", cuda)
                          : "CUDA comparisons skipped: no GPU");
    if (!std::getenv("TENET_OP_TABLE")) return;
    for (const auto& [op, own] : types) fmt::print("  {:36} {}\n", op, fmt::join(own, " "));
  }
};
Counts counts;

bool is_real(DType dtype) { return category(dtype) >= DTypeCategory::floating; }

std::vector<double> draw(const OpInput& input, const Shape& shape, DType dtype, uint64_t seed) {
  std::vector<double> values(static_cast<size_t>(shape.numel()));
  for (size_t i = 0; i < values.size(); ++i) {
    if (!input.values.empty()) {
      values[i] = input.values[i % input.values.size()];
    } else {
      const double u = philox_uniform({seed, 0, 0}, i);
      values[i] = is_floating(dtype) ? input.low + (input.high - input.low) * u
                                     : std::floor(input.low + (input.high - input.low + 1) * u);
    }
  }
  return values;
}

/// The inputs of a row with these shapes, in `type` where the row leaves it open.
Tensors make_inputs(const OpCase& row, const std::vector<Shape>& shapes, DType type) {
  Tensors xs;
  for (size_t i = 0; i < row.inputs.size(); ++i) {
    const DType dtype = row.inputs[i].dtype.value_or(type);
    const std::vector<double> values = draw(row.inputs[i], shapes[i], dtype, 17 + i);
    xs.push_back(from_vector(values, shapes[i], {dtype}));
  }
  return xs;
}

std::vector<Shape> own_shapes(const OpCase& row) {
  std::vector<Shape> shapes;
  for (const OpInput& input : row.inputs) shapes.push_back(input.shape);
  return shapes;
}

Arrays arrays_of(const Tensors& xs) {
  Arrays arrays;
  for (const Tensor& x : xs) arrays.push_back({x.shape(), x.to_vector<double>()});
  return arrays;
}

double tolerance_of(const OpCase& row, DType type) {
  switch (type) {
    case DType::f64:
      return row.tolerance_f64;
    case DType::bf16:
      return row.tolerance_bf16;
    case DType::f16:
      return row.tolerance_f16;
    default:
      return row.tolerance;
  }
}

double error_between(double y, double expected) {
  if (std::isnan(expected)) return std::isnan(y) ? 0 : std::numeric_limits<double>::infinity();
  if (std::isinf(expected) || std::isinf(y)) {
    return y == expected ? 0 : std::numeric_limits<double>::infinity();
  }
  return std::abs(y - expected) / std::max(1.0, std::abs(expected));
}

void compare(const std::string& what, const Tensor& y, const Array& expected, double tolerance) {
  INFO(what);
  REQUIRE(y.shape() == expected.shape);
  const std::vector<double> values = y.to_vector<double>();
  double worst = 0;
  size_t at = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double wanted = expected.values[i];
    const bool f32 = y.dtype() == DType::f32;  // what overflows there is infinite
    const double error = error_between(values[i], f32 ? static_cast<float>(wanted) : wanted);
    if (!(error <= worst)) {
      worst = error;
      at = i;
    }
  }
  INFO("element ", at, ": ", values.empty() ? 0 : values[at], ", expected ",
       values.empty() ? 0 : expected.values[at]);
  CHECK(worst <= tolerance);
}

void check_forward(const OpCase& row, const Tensors& xs, DType type, const std::string& what) {
  const Tensors ys = row.function(xs);
  ++counts.forwards;
  if (row.reference) {
    const Arrays expected = row.reference(arrays_of(xs));
    REQUIRE(ys.size() == expected.size());
    for (size_t i = 0; i < ys.size(); ++i) {
      compare(fmt::format("{}, output {}", what, i), ys[i], expected[i], tolerance_of(row, type));
    }
  }
  for (const Tensor& y : ys) {
    INFO(what);
    CHECK(y.dtype() == row.result.value_or(type));
  }
  Tensors strided;
  for (const Tensor& x : xs) strided.push_back(strided_copy(x));
  const Tensors again = row.function(strided);
  for (size_t i = 0; i < ys.size(); ++i) {
    INFO(what, ", strided inputs, output ", i);
    if (row.layout_exact)
      CHECK(same_bits(again[i], ys[i]));
    else
      compare(what, again[i], {ys[i].shape(), ys[i].to_vector<double>()}, tolerance_of(row, type));
  }
}

void check_extremes(const OpCase& row) {
  if (row.extremes.empty()) return;
  OpCase changed = row;
  for (size_t i = 0; i < row.inputs.size(); ++i) {
    if (row.inputs[i].dtype) continue;
    changed.inputs = row.inputs;
    changed.inputs[i].values = row.extremes;
    const int64_t count = static_cast<int64_t>(row.extremes.size());
    std::vector<Shape> shapes(row.inputs.size(), Shape{count});
    check_forward(changed, make_inputs(changed, shapes, DType::f32), DType::f32,
                  fmt::format("{} (extreme values in input {})", row.op, i));
  }
}

Tensors make_leaves(const OpCase& row, const std::vector<Shape>& shapes) {
  Tensors xs = make_inputs(row, shapes, DType::f64);
  for (size_t i = 0; i < xs.size(); ++i) {
    if (row.inputs[i].differentiable && is_real(xs[i].dtype())) xs[i].set_requires_grad(true);
  }
  return xs;
}

void check_derivatives(const OpCase& row, const std::vector<Shape>& shapes,
                       const std::string& what) {
  const TensorFunction f = [&](const Tensors& xs) { return row.function(xs); };
  for (const bool strided : {false, true}) {
    Tensors xs = make_leaves(row, shapes);
    if (strided) {
      for (Tensor& x : xs) x = strided_copy(x);
    }
    const std::string name = what + (strided ? " (strided)" : "");
    const GradcheckOptions options{.tolerance = row.gradient_tolerance, .strided_dy = strided};
    check_gradients(name, f, xs, options);
    ++counts.gradchecks;
    if (!row.twice) continue;
    check_second_gradients(name, f, xs, options);
    ++counts.gradgradchecks;
  }
}

/// The fused backward and the recorded one, and the same graph walked twice, give the same
/// gradients.
void check_walks(const OpCase& row) {
  const Tensors xs = make_leaves(row, own_shapes(row));
  const Tensors ys = row.function(xs);
  Tensors roots, targets, dy;
  for (const Tensor& y : ys) {
    if (!y.requires_grad()) continue;
    roots.push_back(y);
    dy.push_back(random_leaf(y.shape(), 5).set_requires_grad(false).to(grad_dtype(y.dtype())));
  }
  for (const Tensor& x : xs) {
    if (x.requires_grad()) targets.push_back(x);
  }
  INFO(row.op);
  REQUIRE(!roots.empty());
  const auto walk = [&](bool create_graph) {
    return grad(
        roots, targets,
        {.dy = dy, .retain_graph = true, .create_graph = create_graph, .allow_unused = true});
  };
  const Tensors first = walk(false), second = walk(false);
  for (size_t i = 0; i < first.size(); ++i) {
    REQUIRE(first[i].defined() == second[i].defined());
    if (first[i].defined()) CHECK(same_bits(first[i], second[i]));
  }
  if (!row.twice) return;
  const Tensors recorded = walk(true);
  for (size_t i = 0; i < first.size(); ++i) {
    if (!first[i].defined()) continue;
    compare(row.op + " (recorded backward)", recorded[i].detach(),
            {first[i].shape(), first[i].to_vector<double>()}, row.tolerance_f64 * 10);
  }
}

/// The error that a result on the GPU may have beside the CPU's: two units in the last place of the
/// half types; what is no float is the same.
double cuda_tolerance_of(const OpCase& row, DType type) {
  const double times = row.cuda_tolerance / 1e-5;
  switch (type) {
    case DType::f32:
      return 1e-5 * times;
    case DType::f64:
      return 1e-11 * times;
    case DType::bf16:
      return 0x1p-6 * times;
    case DType::f16:
      return 0x1p-9 * times;
    default:
      return 0;
  }
}

/// Outputs and gradients of a row on `device`, brought back.
Tensors results_on(Device device, const OpCase& row, const Tensors& inputs, bool strided) {
  Tensors xs, leaves;
  for (size_t i = 0; i < inputs.size(); ++i) {
    Tensor x = inputs[i].to(device);
    if (strided) x = strided_copy(x);
    xs.push_back(x.detach());
    if (!row.differentiable || !row.inputs[i].differentiable || !is_real(x.dtype())) continue;
    leaves.push_back(xs.back().set_requires_grad(true));
  }
  const Tensors ys = row.function(xs);
  Tensors all, roots, dy;
  for (const Tensor& y : ys) {
    CHECK(y.device() == device);
    all.push_back(y.detach().to(Device::cpu()));
    if (!y.requires_grad()) continue;
    roots.push_back(y);
    dy.push_back(random_leaf(y.shape(), 5).detach().to(grad_dtype(y.dtype())).to(device));
  }
  if (roots.empty()) return all;
  for (const Tensor& dx : grad(roots, leaves, {.dy = dy, .allow_unused = true})) {
    if (dx.defined()) all.push_back(dx.to(Device::cpu()));
  }
  return all;
}

/// TENET_OP_TABLE=cuda: nothing but one size of each row on the GPU, for tools that slow it down.
bool cuda_only() {
  const char* const value = std::getenv("TENET_OP_TABLE");
  return value != nullptr && std::strcmp(value, "cuda") == 0;
}

/// The GPU's results beside the CPU's, and twice the same bits there.
void check_cuda(const OpCase& row, const std::vector<Shape>& shapes, DType type,
                const std::string& what) {
  if (!has_cuda() || row.inputs.empty()) return;
  const Tensors inputs = make_inputs(row, shapes, type);
  for (const bool strided : {false, true}) {
    const Tensors cpu = results_on(Device::cpu(), row, inputs, strided);
    const Tensors cuda = results_on(Device::cuda(), row, inputs, strided);
    REQUIRE(cpu.size() == cuda.size());
    for (size_t i = 0; i < cpu.size(); ++i) {
      CHECK(cuda[i].dtype() == cpu[i].dtype());
      compare(fmt::format("{} on CUDA{}, result {}", what, strided ? ", strided inputs" : "", i),
              cuda[i], {cpu[i].shape(), cpu[i].to_vector<double>()},
              cuda_tolerance_of(row, cpu[i].dtype()));
    }
    INFO(what, ", twice on CUDA");
    CHECK(same_bits(results_on(Device::cuda(), row, inputs, strided), cuda));
    ++counts.cuda;
  }
}

/// Values of the operands of one element, broadcast.
Array map_broadcast(const Arrays& xs, const std::function<double(const std::vector<double>&)>& f) {
  Shape shape;
  for (const Array& x : xs) shape = broadcast(shape, x.shape, "reference");
  Array y{shape, std::vector<double>(static_cast<size_t>(shape.numel()))};
  std::vector<double> operands(xs.size());
  for (size_t i = 0; i < y.values.size(); ++i) {
    for (size_t k = 0; k < xs.size(); ++k) {
      const Shape& own = xs[k].shape;
      int64_t rest = static_cast<int64_t>(i), place = 0, step = 1;
      for (int axis = shape.dim() - 1; axis >= 0; --axis) {
        const int64_t index = rest % shape[axis];
        rest /= shape[axis];
        const int at = axis - (shape.dim() - own.dim());
        if (at < 0) continue;
        if (own[at] != 1) place += index * step;
        step *= own[at];
      }
      operands[k] = xs[k].values[static_cast<size_t>(place)];
    }
    y.values[i] = f(operands);
  }
  return y;
}

}  // namespace

void run(const OpCase& row) {
  ++counts.rows;
  counts.types[row.op].insert(row.types.begin(), row.types.end());
  if (cuda_only()) {
    for (const DType type : row.types) check_cuda(row, own_shapes(row), type, row.op);
    return;
  }
  for (const OpError& error : row.errors) {
    INFO(row.op);
    check_error(error.call, error.text);
    ++counts.errors;
  }
  std::vector<std::vector<Shape>> all{own_shapes(row)};
  all.insert(all.end(), row.shapes.begin(), row.shapes.end());
  for (const std::vector<Shape>& shapes : all) {
    std::string what = row.op;
    for (const Shape& shape : shapes) what += " " + to_string(shape);
    for (const DType type : row.types) {
      const std::string typed = fmt::format("{} {}", what, type);
      check_forward(row, make_inputs(row, shapes, type), type, typed);
      check_cuda(row, shapes, type, typed);
    }
    if (row.differentiable) check_derivatives(row, shapes, what);
  }
  check_extremes(row);
  if (row.differentiable) check_walks(row);
}

std::vector<double> real_extremes() {
  const double infinity = std::numeric_limits<double>::infinity();
  return {0.0,      -0.0,      1e-45,
          -1e-45,   1e-38,     -1e-38,
          1e-10,    -1e-10,    0.5,
          -0.5,     1.0,       -1.0,
          20.0,     -20.0,     88.5,
          -88.5,    104.0,     -104.0,
          1e4,      -1e4,      1e10,
          -1e10,    3.4e38,    -3.4e38,
          infinity, -infinity, std::numeric_limits<double>::quiet_NaN()};
}

OpReference each(std::function<double(double)> f) {
  return [f](const Arrays& xs) {
    return map_broadcast(xs, [&](const std::vector<double>& x) { return f(x[0]); });
  };
}
OpReference each(std::function<double(double, double)> f) {
  return [f](const Arrays& xs) {
    return map_broadcast(xs, [&](const std::vector<double>& x) { return f(x[0], x[1]); });
  };
}
OpReference each(std::function<double(double, double, double)> f) {
  return [f](const Arrays& xs) {
    return map_broadcast(xs, [&](const std::vector<double>& x) { return f(x[0], x[1], x[2]); });
  };
}

Tensor random(Shape shape, uint64_t seed, DType dtype) {
  Generator generator(seed);
  return randn(std::move(shape), generator, {.dtype = dtype});
}

}  // namespace tenet::test
