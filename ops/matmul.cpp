#include <tenet/core/autograd.h>
#include <tenet/core/detail/core_kernels.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/elementwise.h>
#include <tenet/ops/gemm/detail/gemm.h>
#include <tenet/ops/matmul.h>
#include <tenet/ops/views.h>

#include <type_traits>

namespace tenet {
namespace {

/// The type in which a product of a and b is made.
DType product_type(const Tensor& a, const Tensor& b, const char* op) {
  check(a.device() == b.device(), "{}: operands are on {} and {}; move one with .to(device)", op,
        a.device(), b.device());
  const DType type = promote(a.dtype(), b.dtype(), op);
  check(type != DType::boolean, "{}: dtype {} is not supported; convert with .to(dtype)", op,
        to_string(type));
  return type == DType::f32 ? autocast_dtype().value_or(type) : type;
}

/// x for a product in `type`: f32 stays, which the kernel rounds as it reads.
Tensor operand(const Tensor& x, DType type) {
  const bool half = type == DType::bf16 || type == DType::f16;
  return half && x.dtype() == DType::f32 ? x : x.to(type);
}

/// a b as `result`, with the operands rounded to `type`.
Tensor product(const Tensor& a, const Tensor& b, DType type, DType result);

Tensor transposed(const Tensor& x) { return transpose(x, -2, -1); }

/// All axes but the last merged.
Tensor as_rows(const Tensor& x) {
  int64_t rows = 1;
  for (int axis = 0; axis + 1 < x.dim(); ++axis) rows *= x.size(axis);
  return reshape(x, {rows, x.size(-1)});
}

// y = a b; da = dy b^T, db = a^T dy
struct MatmulNode : Node {
  Saved a, b;
  int b_dim = 0;
  DType type = DType::f32, a_type = DType::f32, b_type = DType::f32;

  Tensors backward(const Tensors& dys) override {
    const Tensor& dy = dys[0];
    Tensors d(2);
    if (needs_grad(0)) d[0] = product(dy, transposed(b.get(*this)), type, a_type);
    if (needs_grad(1)) {
      const Tensor left = a.get(*this);
      const bool one_matrix = b_dim == 2 && left.dim() > 2;
      d[1] = one_matrix ? product(transposed(as_rows(left)), as_rows(dy), type, b_type)
                        : product(transposed(left), dy, type, b_type);
    }
    return d;
  }
  void saved(SavedFields& f) override { f("a", a), f("b", b); }
};

// z = x w^T + bias; dx = dz w, dw = dz^T x, dbias = dz, which the engine sums over rows
struct LinearNode : Node {
  Saved x, weight;
  DType type = DType::f32, x_type = DType::f32, weight_type = DType::f32;

  Tensors backward(const Tensors& dys) override { return backward_of(dys[0]); }
  Tensors backward_of(const Tensor& dz) {
    Tensors d{Tensor(), Tensor(), needs_grad(2) ? dz : Tensor()};
    if (needs_grad(0)) {
      const Tensor row = dz.dim() == 1 ? unsqueeze(dz, 0) : dz;
      d[0] = product(row, weight.get(*this), type, x_type);
      if (dz.dim() == 1) d[0] = squeeze(d[0], 0);
    }
    if (needs_grad(1)) {
      d[1] = product(transposed(as_rows(dz)), as_rows(x.get(*this)), type, weight_type);
    }
    return d;
  }
  void saved(SavedFields& f) override { f("x", x), f("weight", weight); }
};

// y = relu(z); dz = dy where y > 0
struct LinearReluNode : LinearNode {
  Saved y;

  Tensors backward(const Tensors& dys) override {
    const Tensor known = y.get(*this), &dy = dys[0];
    if (grad_enabled()) return backward_of(where(known <= 0, 0, dy));
    const Tensor dz = detail::may_overwrite(dy) ? dy : empty_like(dy);
    detail::unary_backward_kernel<functor::Relu>(dz.device(), view(dz), view(known), view(dy), {});
    return backward_of(dz);
  }
  void saved(SavedFields& f) override { LinearNode::saved(f), f("y", y); }
};

Shape leading(const Shape& shape) {
  return Shape(std::span(shape.begin(), static_cast<size_t>(shape.dim() - 2)));
}

/// `v` with its matrices repeated along `batch`.
View with_batch(View v, Shape batch) {
  batch.push_back(v.shape[v.dim() - 2]);
  batch.push_back(v.shape.back());
  return broadcast_to(v, batch);
}

View transposed(View v) {
  std::swap(v.shape[v.dim() - 2], v.shape[v.dim() - 1]);
  std::swap(v.strides[v.dim() - 2], v.strides[v.dim() - 1]);
  return v;
}

/// Of operands with two axes or more.
Tensor product(const Tensor& a, const Tensor& b, DType type, DType result) {
  const Shape batch = broadcast(leading(a.shape()), leading(b.shape()), "matmul");
  Shape shape = batch;
  shape.push_back(a.size(-2));
  shape.push_back(b.size(-1));
  Tensor y = empty(shape, {result, a.device()});
  detail::matmul_kernel(a.device(), view(y), with_batch(view(a), batch), with_batch(view(b), batch),
                        View(), {.type = type});
  if (auto* node = record<MatmulNode>("matmul", y, a, b)) {
    if (node->needs_grad(0)) node->b = b;
    if (node->needs_grad(1)) node->a = a;
    node->b_dim = b.dim();
    node->type = type, node->a_type = a.dtype(), node->b_type = b.dtype();
  }
  return y;
}

bool leading_axes_broadcast(const Shape& a, const Shape& b) {
  for (int i = 3; i <= std::min(a.dim(), b.dim()); ++i) {
    const int64_t x = a[a.dim() - i], y = b[b.dim() - i];
    if (x != y && x != 1 && y != 1) return false;
  }
  return true;
}

/// linear(), or with N = LinearReluNode linear_relu().
template <class N>
Tensor affine(const Tensor& x_, const Tensor& weight, const Tensor& bias, const char* op) {
  constexpr bool rectifies = std::is_same_v<N, LinearReluNode>;
  check(weight.dim() == 2, "{}: weight has shape {}, not (out, in)", op, weight.shape());
  check(x_.dim() >= 1 && x_.size(-1) == weight.size(1),
        "{}: x has shape {}, weight {} takes {} inputs", op, x_.shape(), weight.shape(),
        weight.size(1));
  check(!bias.defined() || bias.shape() == Shape{weight.size(0)},
        "{}: bias has shape {}, weight {} gives {} outputs", op,
        bias.defined() ? bias.shape() : Shape(), weight.shape(), weight.size(0));
  const DType type = product_type(x_, weight, op);
  check(is_floating(type), "{}: dtype {} is not supported", op, to_string(type));
  check(!bias.defined() || bias.device() == x_.device(),
        "{}: x is on {}, bias on {}; move one with .to(device)", op, x_.device(),
        bias.defined() ? bias.device() : Device());
  const Tensor x = operand(x_, type), w = operand(weight, type);
  const Tensor b = bias.defined() ? bias.to(type) : bias;

  Shape shape = x.shape();
  shape[shape.dim() - 1] = w.size(0);
  Tensor y = empty(shape, {type, x.device()});
  View in = view(x), out = view(y);
  for (View* v : {&in, &out}) {
    if (x.dim() == 1) v->shape.insert(0, 1), v->strides.insert(0, 0);
  }
  detail::matmul_kernel(x.device(), out, in, with_batch(transposed(view(w)), leading(in.shape)),
                        view_or_null(b), {.type = type, .relu = rectifies});
  if (auto* node = record<N>(op, y, x, w, b)) {
    if (node->needs_grad(0)) node->weight = w;
    if (node->needs_grad(1)) node->x = x;
    node->type = type, node->x_type = x.dtype(), node->weight_type = w.dtype();
    if constexpr (rectifies) node->y = y;
  }
  return y;
}

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b) {
  check(a.dim() >= 1 && b.dim() >= 1, "matmul: a scalar has no inner size, {} x {}; use mul",
        a.shape(), b.shape());
  const bool row = a.dim() == 1, column = b.dim() == 1;
  check(a.size(-1) == b.size(column ? 0 : -2), "matmul: inner sizes differ, {} x {}", a.shape(),
        b.shape());
  check(leading_axes_broadcast(a.shape(), b.shape()),
        "matmul: leading axes do not broadcast, {} x {}", a.shape(), b.shape());
  const DType type = product_type(a, b, "matmul");
  const Tensor left = operand(a, type), right = operand(b, type);
  const Tensor y =
      product(row ? unsqueeze(left, 0) : left, column ? unsqueeze(right, 1) : right, type, type);
  if (row && column) return squeeze(y, {-2, -1});
  return row ? squeeze(y, -2) : column ? squeeze(y, -1) : y;
}

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  return affine<LinearNode>(x, weight, bias, "linear");
}

Tensor linear_relu(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  return affine<LinearReluNode>(x, weight, bias, "linear_relu");
}

namespace detail {

constinit Kernel<void(View, View, View, View, MatmulOptions)> matmul_kernel{"matmul"};

namespace {

MatrixView matrix(const View& v) {
  const int batch = v.dim() - 2;
  return {.data = v.data,
          .dtype = v.dtype,
          .row_stride = v.strides[batch],
          .column_stride = v.strides[batch + 1],
          .batch_strides = Strides(std::span(v.strides.begin(), static_cast<size_t>(batch)))};
}

/// x where gemm() reads it as it is, else a rounded copy in `copy`.
View rounded(const View& x, DType type, Tensor& copy) {
  if (x.dtype == type || gemm_rounds(type)) return x;
  View once = x;
  for (int axis = 0; axis < x.dim(); ++axis) {
    if (x.strides[axis] == 0) once.shape[axis] = std::min<int64_t>(x.shape[axis], 1);
  }
  copy = empty(once.shape, {type, x.device});
  copy_kernel(x.device, view(copy), once);
  return broadcast_to(view(copy), x.shape);
}

void matmul_cpu(View y, View a, View b, View bias, MatmulOptions options) {
  const int batch = y.dim() - 2;
  Tensor a_copy, b_copy;
  a = rounded(a, options.type, a_copy), b = rounded(b, options.type, b_copy);
  gemm({.m = y.shape[batch],
        .n = y.shape[batch + 1],
        .k = a.shape[batch + 1],
        .batch = leading(y.shape),
        .a = matrix(a),
        .b = matrix(b),
        .c = matrix(y),
        .bias = bias.data,
        .bias_dtype = bias.dtype,
        .bias_stride = bias.data ? bias.strides[0] : 0,
        .relu = options.relu,
        .type = options.type});
}

const bool filled = matmul_kernel.fill(Device::Kind::cpu, &matmul_cpu);

}  // namespace
}  // namespace detail
}  // namespace tenet
