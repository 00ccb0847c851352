#include <tenet/core/detail/core_kernels.h>
#include <tenet/cuda/detail/cublas.h>
#include <tenet/cuda/detail/plain_product_task.h>
#include <tenet/cuda/detail/product.h>
#include <tenet/cuda/detail/runtime.h>
#include <tenet/ops/elementwise.h>

#include <optional>
#include <utility>

namespace tenet::cuda {
namespace {

using Bytes = std::optional<Workspace<std::byte>>;

template <class From, class Sum, class To>
__global__ void __launch_bounds__(256) plain_product(PlainProductTask<From, Sum, To> task) {
  using Task = PlainProductTask<From, Sum, To>;
  __shared__ typename Task::Shared shared;
  const int thread = static_cast<int>(threadIdx.x);
  const auto place = task.place(blockIdx.x);
  typename Task::Local local;
  for (int64_t first = 0; first < task.k; first += Task::depth) {
    task.load(shared, place, first, thread);
    __syncthreads();
    task.multiply(shared, local, first, thread);
    __syncthreads();
  }
  task.finish(local, place, thread);
}

View with_strides(const MatrixView& x, const Shape& batch, int64_t rows, int64_t columns) {
  View v{x.data, x.dtype, current_device(), batch, x.batch_strides};
  v.shape.push_back(rows), v.shape.push_back(columns);
  v.strides.push_back(x.row_stride), v.strides.push_back(x.column_stride);
  return v;
}

View c_view(const Gemm& g) { return with_strides(g.c, g.batch, g.m, g.n); }

template <class From, class Sum, class To>
void run_plain(const Gemm& g, const void* bias) {
  using Task = PlainProductTask<From, Sum, To>;
  const auto items = [&](const MatrixView& x) {
    return View{x.data, x.dtype, Device(), g.batch, x.batch_strides};
  };
  Task task{};
  task.a = static_cast<const From*>(g.a.data);
  task.b = static_cast<const From*>(g.b.data);
  task.c = static_cast<To*>(g.c.data);
  task.bias = static_cast<const To*>(bias);
  task.m = g.m, task.n = g.n, task.k = g.k;
  task.a_row = g.a.row_stride, task.a_column = g.a.column_stride;
  task.b_row = g.b.row_stride, task.b_column = g.b.column_stride;
  task.c_row = g.c.row_stride, task.c_column = g.c.column_stride;
  task.batch = Indexing<3>(g.batch, {items(g.a), items(g.b), items(g.c)});
  task.row_tiles = (g.m + Task::tile - 1) / Task::tile;
  task.column_tiles = (g.n + Task::tile - 1) / Task::tile;
  task.accumulate = g.accumulate;
  const int64_t tiles = g.batch.numel() * task.row_tiles * task.column_tiles;
  launch("matmul", &plain_product<From, Sum, To>, blocks_of(tiles, "matmul"), Task::threads, 0,
         task);
}

void run_plain(const Gemm& g, DType type, const void* bias) {
  const bool wide = g.c.dtype == DType::f32;
  switch (type) {
    case DType::f32:
      return run_plain<float, float, float>(g, bias);
    case DType::f64:
      return run_plain<double, double, double>(g, bias);
    case DType::bf16:
      return wide ? run_plain<bf16, float, float>(g, bias) : run_plain<bf16, float, bf16>(g, bias);
    case DType::f16:
      return wide ? run_plain<f16, float, float>(g, bias) : run_plain<f16, float, f16>(g, bias);
    case DType::u8:
      return run_plain<uint8_t, uint32_t, uint8_t>(g, bias);
    case DType::i32:
      return run_plain<uint32_t, uint32_t, uint32_t>(g, bias);
    case DType::i64:
      return run_plain<uint64_t, uint64_t, uint64_t>(g, bias);
    default:
      tenet::fail("matmul: dtype {} is not supported", to_string(type));
  }
}

/// c[i, j] (+)= the sum over p of parts[p, i, j], in order.
template <class Sum, class To>
__global__ void __launch_bounds__(256) add_parts(const Sum* parts, int64_t count, int64_t elements,
                                                 To* c, Indexing<1> index, bool accumulate) {
  for (int64_t i = blockIdx.x * int64_t{256} + threadIdx.x; i < elements;
       i += int64_t{gridDim.x} * 256) {
    To& to = c[index.places(i).at[0]];
    Sum sum = 0;
#pragma unroll 4
    for (int64_t part = 0; part < count; ++part) sum += parts[part * elements + i];
    to = static_cast<To>(accumulate ? static_cast<Sum>(to) + sum : sum);
  }
}

void add_up(const void* parts, int64_t count, const Gemm& g) {
  const View c = c_view(g);
  const auto run = [&]<class Sum, class To>() {
    launch("matmul_parts", &add_parts<Sum, To>, grid_for(c.numel(), 256), 256, 0,
           static_cast<const Sum*>(parts), count, c.numel(), c.as<To>(), Indexing<1>(c.shape, {c}),
           g.accumulate);
  };
  switch (c.dtype) {
    case DType::f64:
      return run.template operator()<double, double>();
    case DType::bf16:
      return run.template operator()<float, bf16>();
    case DType::f16:
      return run.template operator()<float, f16>();
    default:
      return run.template operator()<float, float>();
  }
}

/// `x` in `type` and in a layout that cuBLASLt reads: as it is, or a copy in `space` with the same
/// orientation, in which broadcast items stay one.
void prepare(MatrixView& x, int64_t rows, int64_t columns, const Shape& batch, DType type,
             Bytes& space) {
  if (x.dtype == type && layout_of(x, rows, columns)) return;
  View from = with_strides(x, batch, rows, columns);
  const int axis = batch.dim();
  for (int i = 0; i < axis; ++i) {
    if (from.strides[i] == 0) from.shape[i] = std::min<int64_t>(from.shape[i], 1);
  }
  const bool by_columns = columns > 1 && rows > 1 && x.column_stride != 1 && x.row_stride == 1;
  if (by_columns) {
    std::swap(from.shape[axis], from.shape[axis + 1]);
    std::swap(from.strides[axis], from.strides[axis + 1]);
  }
  space.emplace(from.numel() * itemsize(type));
  View to{space->data(), type, from.device, from.shape, contiguous_strides(from.shape)};
  tenet::detail::copy_kernel(to.device, to, from);
  if (by_columns) std::swap(to.strides[axis], to.strides[axis + 1]);
  x.data = to.data, x.dtype = type;
  x.row_stride = to.strides[axis], x.column_stride = to.strides[axis + 1];
  for (int i = 0; i < axis; ++i) x.batch_strides[i] = x.batch_strides[i] == 0 ? 0 : to.strides[i];
}

/// bias in C's type, without gaps, aligned as cuBLASLt wants it.
const void* prepare_bias(const Gemm& g, Bytes& space) {
  const bool as_it_is =
      g.bias == nullptr || (g.bias_dtype == g.c.dtype && (g.bias_stride == 1 || g.n == 1) &&
                            reinterpret_cast<uintptr_t>(g.bias) % 16 == 0);
  if (as_it_is) return g.bias;
  space.emplace(g.n * itemsize(g.c.dtype));
  const Device device = current_device();
  const View to{space->data(), g.c.dtype, device, {g.n}, {1}};
  tenet::detail::copy_kernel(
      device, to, View{const_cast<void*>(g.bias), g.bias_dtype, device, {g.n}, {g.bias_stride}});
  return space->data();
}

void* element(const MatrixView& x, int64_t offset) {
  return static_cast<std::byte*>(x.data) + offset * itemsize(x.dtype);
}

/// One call of cuBLASLt for each item of the batch axes but the longest, which is its own.
bool run_lt(const Gemm& g, Rows rows, const void* bias) {
  constexpr int64_t most_items = 32768;
  LtShape shape;
  shape.type = g.a.dtype, shape.result = g.c.dtype, shape.bias = bias != nullptr;
  shape.a = *layout_of(g.a, g.m, g.k), shape.b = *layout_of(g.b, g.k, g.n);
  const Layout c = *layout_of(g.c, g.m, g.n);
  shape.ldc = c.ld;
  shape.m = g.m, shape.n = g.n, shape.k = g.k;
  shape.alignments = {alignment_of(g.a, shape.a), alignment_of(g.b, shape.b), alignment_of(g.c, c)};
  Shape outer = g.batch;
  int axis = -1;
  for (int i = 0; i < outer.dim(); ++i) {
    if (axis < 0 || outer[i] > outer[axis]) axis = i;
  }
  const int64_t items = axis < 0 ? 1 : outer[axis];
  if (axis >= 0) outer[axis] = 1;
  for (int64_t number = 0; number < outer.numel(); ++number) {
    std::array<int64_t, 3> at{};
    int64_t rest = number;
    for (int i = outer.dim() - 1; i >= 0; rest /= outer[i], --i) {
      const int64_t index = rest % outer[i];
      at[0] += index * g.a.batch_strides[i];
      at[1] += index * g.b.batch_strides[i];
      at[2] += index * g.c.batch_strides[i];
    }
    for (int64_t first = 0; first < items; first += most_items) {
      shape.batch = std::min(items - first, most_items);
      const auto step = [&](const MatrixView& x) { return axis < 0 ? 0 : x.batch_strides[axis]; };
      const auto data = [&](const MatrixView& x, int64_t offset) {
        return element(x, offset + first * step(x));
      };
      const bool many = shape.batch > 1;
      shape.a_step = many ? step(g.a) : 0;
      shape.b_step = many ? step(g.b) : 0;
      shape.c_step = many ? step(g.c) : 0;
      if (!lt_product(shape, rows,
                      {data(g.a, at[0]), data(g.b, at[1]), data(g.c, at[2]), bias, g.accumulate}))
        return false;
    }
  }
  return true;
}

/// The product in parts along k, Note [Parts of long sums]. False: there is to be one part.
bool run_parts(const Gemm& g) {
  const bool wide = g.a.dtype == DType::f64;
  const int64_t sum_bytes = wide ? 8 : 4;
  const int64_t length = part_length(g.m, g.n, g.k, sum_bytes);
  if (!g.batch.empty() || g.bias != nullptr || length >= g.k) return false;
  const int64_t whole = g.k / length, rest = g.k % length, elements = g.m * g.n;
  const Workspace<std::byte> sums((whole + (rest > 0)) * elements * sum_bytes);
  Gemm part = g;
  part.batch = {whole}, part.k = length, part.accumulate = false;
  part.a.batch_strides = {length * g.a.column_stride};
  part.b.batch_strides = {length * g.b.row_stride};
  part.c = {sums.data(), wide ? DType::f64 : DType::f32, g.n, 1, {elements}};
  if (!run_lt(part, Rows::fixed, nullptr)) return false;
  if (rest > 0) {
    part.batch = {}, part.k = rest;
    part.a.batch_strides = part.b.batch_strides = part.c.batch_strides = {};
    part.a.data = element(part.a, whole * length * g.a.column_stride);
    part.b.data = element(part.b, whole * length * g.b.row_stride);
    part.c.data = element(part.c, whole * elements);
    if (!run_lt(part, Rows::fixed, nullptr)) return false;
  }
  add_up(sums.data(), whole + (rest > 0), g);
  return true;
}

/// C = bias, or 0.
void without_terms(const Gemm& g) {
  const View c = c_view(g);
  if (g.bias == nullptr) {
    if (!g.accumulate) tenet::detail::fill_kernel(c.device, c, 0);
    return;
  }
  const View bias{const_cast<void*>(g.bias), g.bias_dtype, c.device, {g.n}, {g.bias_stride}};
  const auto& kernel = g.accumulate ? tenet::detail::accumulate_kernel : tenet::detail::copy_kernel;
  kernel(c.device, c, broadcast_to(bias, c.shape));
}

/// C has columns without gaps here, and A and B one type.
void run(const Gemm& g, Rows rows) {
  Bytes a_copy, b_copy, bias_copy;
  Gemm ready = g;
  const DType type = g.type.value_or(g.a.dtype);
  const void* const bias = prepare_bias(g, bias_copy);
  if (!is_floating(type)) return run_plain(ready, type, bias);
  prepare(ready.a, g.m, g.k, g.batch, type, a_copy);
  prepare(ready.b, g.k, g.n, g.batch, type, b_copy);
  if (rows == Rows::summed && run_parts(ready)) return;
  if (run_lt(ready, rows, bias)) return;
  if (bias != nullptr && !g.accumulate) {  // which may be what cuBLASLt lacks
    without_terms(g);
    ready.accumulate = true;
    if (run_lt(ready, rows, nullptr)) return;
    ready.accumulate = false;
  }
  run_plain(ready, type, bias);
}

}  // namespace

MatrixView matrices(const View& v) {
  const int batch = v.dim() - 2;
  return {v.data, v.dtype, v.strides[batch], v.strides[batch + 1],
          Strides(std::span(v.strides.begin(), static_cast<size_t>(batch)))};
}

void product(Gemm g, Rows rows) {
  if (g.m == 0 || g.n == 0 || g.batch.numel() == 0) return;
  fold(g);
  const View c = c_view(g);
  if (g.k == 0) {
    without_terms(g);
  } else if (layout_of(g.c, g.m, g.n).value_or(Layout{true}).by_columns) {
    const Workspace<std::byte> space(c.numel() * itemsize(c.dtype));
    const View dense{space.data(), c.dtype, c.device, c.shape, contiguous_strides(c.shape)};
    if (g.accumulate) tenet::detail::copy_kernel(c.device, dense, c);
    Gemm other = g;
    other.c = matrices(dense);
    run(other, rows);
    tenet::detail::copy_kernel(c.device, c, dense);
  } else {
    run(g, rows);
  }
  if (g.relu) tenet::detail::unary_kernel<tenet::functor::Relu>(c.device, c, c, {});
}

}  // namespace tenet::cuda
