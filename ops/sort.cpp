#include <omp.h>

#include <tenet/core/autograd.h>
#include <tenet/ops/detail/lines.h>
#include <tenet/ops/index.h>
#include <tenet/ops/sort.h>
#include <tenet/ops/views.h>

#include <algorithm>
#include <numeric>

namespace tenet {
namespace {

/// The places of the first k elements in sorted order along `axis`.
Tensor sorted_places(const Tensor& x, int axis, int64_t k, bool descending) {
  const NoGrad scope;
  Shape shape = x.shape();
  shape[axis] = k;
  Tensor indices = empty(shape, {DType::i64, x.device()});
  detail::argsort_kernel(x.device(), view(detail::move_to_back(indices, axis)),
                         view(detail::move_to_back(x, axis)), descending);
  return indices;
}

int checked_axis(const Tensor& x, int axis, const char* op) {
  promote(x.dtype(), x.dtype(), op);  // refuses fixed32
  return normalize_axis(axis, x.dim(), op);
}

}  // namespace

Sorted sort(const Tensor& x, int axis, bool descending) {
  axis = checked_axis(x, axis, "sort");
  const Tensor indices = sorted_places(x, axis, x.shape()[axis], descending);
  return {gather(x, indices, axis), indices};
}

Tensor argsort(const Tensor& x, int axis, bool descending) {
  axis = checked_axis(x, axis, "argsort");
  return sorted_places(x, axis, x.shape()[axis], descending);
}

Sorted top_k(const Tensor& x, int64_t k, int axis) {
  axis = checked_axis(x, axis, "top_k");
  check(k >= 0 && k <= x.shape()[axis], "top_k: k {} is outside 0..{}, the size of axis {}", k,
        x.shape()[axis], axis);
  const Tensor indices = sorted_places(x, axis, k, true);
  return {gather(x, indices, axis), indices};
}

namespace detail {

constinit Kernel<void(View, View, bool)> argsort_kernel{"argsort"};

namespace {

/// Whether a comes before b in ascending order; NaN comes last.
template <class C>
bool before(C a, C b) {
  if constexpr (std::is_floating_point_v<C>) {
    if (b != b) return a == a;
  }
  return a < b;
}

template <class T>
void sort_line(const T* x, int64_t step, int64_t n, int64_t* order, int64_t k, bool descending) {
  using C = Compute<T>;
  std::iota(order, order + n, int64_t{0});
  const auto first = [&](int64_t i, int64_t j) {
    const C a = static_cast<C>(x[i * step]), b = static_cast<C>(x[j * step]);
    if (descending ? before(b, a) : before(a, b)) return true;
    if (descending ? before(a, b) : before(b, a)) return false;
    return i < j;
  };
  if (k < n) {
    std::partial_sort(order, order + k, order + n, first);
  } else {
    std::sort(order, order + n, first);
  }
}

void argsort_cpu(View indices, View x, bool descending) {
  const int64_t n = x.shape.back(), k = indices.shape.back();
  const memory::Workspace<int64_t> orders(num_threads() * n);
  dispatch(AllTypes(), x.dtype, "argsort", [&]<class T>() {
    for_each_line<2>({indices, x}, 16 * n, [&](int64_t, const auto& at) {
      int64_t* order = orders.data() + omp_get_thread_num() * n;
      sort_line(x.as<const T>() + at[1], x.strides.back(), n, order, k, descending);
      int64_t* to = indices.as<int64_t>() + at[0];
      for (int64_t i = 0; i < k; ++i) to[i * indices.strides.back()] = order[i];
    });
  });
}

const bool filled = argsort_kernel.fill(Device::Kind::cpu, &argsort_cpu);

}  // namespace
}  // namespace detail
}  // namespace tenet
