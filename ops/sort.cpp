#include <omp.h>

#include <tenet/core/autograd.h>
#include <tenet/ops/detail/lines.h>
#include <tenet/ops/index.h>
#include <tenet/ops/sort.h>
#include <tenet/ops/views.h>

#include <algorithm>
#include <bit>
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
  return {detail::gather_at(x, indices, axis), indices};
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
  return {detail::gather_at(x, indices, axis), indices};
}

namespace detail {

constinit Kernel<void(View, View, bool)> argsort_kernel{"argsort"};

namespace {

/// An element as a number without sign in the same order: NaN is the largest, -0 is 0.
template <class T>
auto key_of(T element) {
  const Compute<T> x = static_cast<Compute<T>>(element);
  if constexpr (std::is_floating_point_v<Compute<T>>) {
    using Key = std::conditional_t<sizeof(x) == 8, uint64_t, uint32_t>;
    constexpr Key top = Key{1} << (8 * sizeof(Key) - 1);
    const Key bits = std::bit_cast<Key>(x == 0 ? 0 : x);
    return x != x ? static_cast<Key>(-1) : (bits & top) != 0 ? ~bits : bits | top;
  } else if constexpr (sizeof(T) == 8) {
    return static_cast<uint64_t>(x) ^ uint64_t { 1 } << 63;
  } else {
    return static_cast<uint32_t>(static_cast<int32_t>(x)) ^ uint32_t { 1 } << 31;
  }
}

/// Key and place of an element: the entries of a line are all different, and in the order of their
/// places where keys are equal.
class NarrowEntry {
 public:
  using Key = uint32_t;
  NarrowEntry() = default;
  NarrowEntry(Key key, int64_t place) : both_(uint64_t{key} << 32 | static_cast<uint32_t>(place)) {}
  Key key() const { return static_cast<Key>(both_ >> 32); }
  int64_t place() const { return static_cast<uint32_t>(both_); }
  friend bool operator<(NarrowEntry a, NarrowEntry b) { return a.both_ < b.both_; }

 private:
  uint64_t both_;
};
class WideEntry {
 public:
  using Key = uint64_t;
  WideEntry() = default;
  WideEntry(Key key, int64_t place) : key_(key), place_(place) {}
  Key key() const { return key_; }
  int64_t place() const { return place_; }
  friend bool operator<(const WideEntry& a, const WideEntry& b) {
    return a.key_ != b.key_ ? a.key_ < b.key_ : a.place_ < b.place_;
  }

 private:
  Key key_;
  int64_t place_;
};

/// From here on counting the digits of the keys is faster than comparing.
constexpr int64_t radix_limit = 128;

/// Entries in the order of their places are sorted byte by byte of their keys, the lowest first;
/// bytes that are the same in all are left out. Returns where the result is: `a` or `b`.
template <class Entry>
Entry* radix_sort(Entry* a, Entry* b, int64_t n) {
  constexpr int digits = sizeof(typename Entry::Key);
  const auto digit = [](const Entry& entry, int d) { return entry.key() >> (8 * d) & 255; };
  int64_t counts[digits][256] = {};
  for (int64_t i = 0; i < n; ++i) {
    for (int d = 0; d < digits; ++d) ++counts[d][digit(a[i], d)];
  }
  for (int d = 0; d < digits; ++d) {
    if (counts[d][digit(a[0], d)] == n) continue;
    std::exclusive_scan(counts[d], counts[d] + 256, counts[d], int64_t{0});
    for (int64_t i = 0; i < n; ++i) b[counts[d][digit(a[i], d)]++] = a[i];
    std::swap(a, b);
  }
  return a;
}

/// The first k of the n entries in sorted order, in `a` or `b`.
template <class Entry>
const Entry* sort_entries(Entry* a, Entry* b, int64_t n, int64_t k) {
  if (k < n) {
    std::partial_sort(a, a + k, a + n);
  } else if (n < radix_limit) {
    std::sort(a, a + n);
  } else {
    return radix_sort(a, b, n);
  }
  return a;
}

template <class Entry, class T>
void argsort_lines(const View& indices, const View& x, bool descending) {
  using Key = typename Entry::Key;
  const int64_t n = x.shape.back(), k = indices.shape.back();
  const int64_t step = x.strides.back(), step_to = indices.strides.back();
  const bool alone = omp_in_parallel() == 0;  // else for_each_line() stays on this thread
  const int64_t lines = x.numel() / std::max<int64_t>(n, 1);
  const memory::Workspace<Entry> space(2 * n *
                                       (alone ? std::min<int64_t>(num_threads(), lines) : 1));
  const Key flip = descending ? static_cast<Key>(-1) : 0;
  for_each_line<2>({indices, x}, 16 * n, [&](int64_t, const auto& at) {
    Entry* const entries = space.data() + 2 * n * (alone ? omp_get_thread_num() : 0);
    const T* from = x.as<const T>() + at[1];
    for (int64_t i = 0; i < n; ++i) entries[i] = Entry(key_of(from[i * step]) ^ flip, i);
    const Entry* sorted = sort_entries(entries, entries + n, n, k);
    int64_t* to = indices.as<int64_t>() + at[0];
    for (int64_t i = 0; i < k; ++i) to[i * step_to] = sorted[i].place();
  });
}

void argsort_cpu(View indices, View x, bool descending) {
  dispatch(AllTypes(), x.dtype, "argsort", [&]<class T>() {
    const bool narrow = sizeof(T) <= 4 && x.shape.back() <= int64_t{1} << 32;
    narrow ? argsort_lines<NarrowEntry, T>(indices, x, descending)
           : argsort_lines<WideEntry, T>(indices, x, descending);
  });
}

const bool filled = argsort_kernel.fill(Device::Kind::cpu, &argsort_cpu);

}  // namespace
}  // namespace detail
}  // namespace tenet
