/// How fused kernels that work on rows share them out, in the order of Note [Order of sums].
///
/// 16 threads take a block of 1,024 elements of a row: thread k adds up what is accumulator k on
/// the CPU. A row of several blocks has several such units, up to 32; a longer row is taken in
/// sweeps. Between its passes over a row each thread keeps its own elements in shared memory, where
/// there is room.
#pragma once

#include <tenet/core/dtype.h>
#include <tenet/cuda/detail/gpu_thread.h>
#include <tenet/ops/detail/reduce.h>

#include <algorithm>
#include <limits>

namespace tenet::cuda {

struct RowPlan {
  static constexpr int block = static_cast<int>(tenet::detail::reduce_block);
  static constexpr int most_threads = 512;
  /// Shared memory for elements: so little that several blocks run at a time on a multiprocessor.
  /// Where one row does not fit, up to the most that every GPU has.
  static constexpr int64_t cache_bytes = 72 * 1024, most_cache_bytes = 98 * 1024;
  /// Between the elements of two units, so that they are in different banks.
  static constexpr int skew = 16;

  int64_t rows, size;  // size: elements of a row
  int units = 1;       // for one row, a power of two
  int together = 1;    // rows of a block of threads
  int kept = 1;        // operands whose elements are kept
  bool cached = false;
  int64_t cell_stride = 0;  // elements of one row in shared memory

  /// Nothing is kept.
  static RowPlan uncached(int64_t rows, int64_t size) {
    RowPlan plan{.rows = rows, .size = size};
    while (plan.units < 32 && plan.sweep() < size) plan.units *= 2;
    plan.together = std::max(16 / plan.units, 1);
    return plan;
  }
  /// C is the type of the elements in shared memory.
  template <class C>
  static RowPlan of(int64_t rows, int64_t size, int kept = 1) {
    RowPlan plan = uncached(rows, size);
    plan.kept = kept;
    if (size > plan.sweep()) return plan;
    plan.cell_stride = plan.units > 1 ? plan.units * (block + skew) : (size + 15) / 32 * 32 + skew;
    plan.cached = true;
    const int least = plan.units == 1 ? 2 : 1;  // whole warps
    while (plan.shared_bytes<C>() > cache_bytes && plan.together > least) plan.together /= 2;
    plan.cached = plan.shared_bytes<C>() <= most_cache_bytes;
    return plan;
  }

  int threads() const { return units * kLanes * together; }
  int64_t blocks() const { return (rows + together - 1) / together; }
  TENET_HD int64_t sweep() const { return units * int64_t{block}; }
  /// Parts of sums that units of one row exchange; then the elements.
  TENET_HD int64_t part_count() const { return units > 1 ? units * together : 0; }
  template <class C>
  int64_t shared_bytes() const {
    return (part_count() + (cached ? kept * together * cell_stride : 0)) * int64_t{sizeof(C)};
  }
};

/// One thread's part of a row of T.
template <class T, class Thread>
class RowThread {
 public:
  using C = Compute<T>;
  /// Loads that are under way at a time.
  static constexpr int many = sizeof(T) == 2 ? 16 : 8;

  TENET_HD RowThread(const RowPlan& plan, const Thread& thread)
      : plan_(plan), thread_(thread), lane_(thread.thread % kLanes) {
    const int number = thread.thread / kLanes;
    unit_ = number % plan.units;
    slot_ = number / plan.units;
    row_ = thread.block * plan.together + slot_;
    exists_ = row_ < plan.rows;
    parts_ = thread.template shared<C>();
    cells_ = parts_ + plan.part_count() + slot_ * plan.cell_stride +
             unit_ * (RowPlan::block + RowPlan::skew);
  }

  /// Whether there is such a row; if not, row() is that of nobody and each() does nothing.
  TENET_HD bool exists() const { return exists_; }
  TENET_HD int64_t row() const { return row_; }
  /// From here on takes part only in what all threads of the block must call.
  TENET_HD void sit_out() { exists_ = false; }
  /// Whether this is the thread of its row that writes what there is one of.
  TENET_HD bool leads() const { return exists_ && unit_ == 0 && lane_ == 0; }

  /// The place in shared memory of element i of this thread, of a cached row of operand `which`.
  TENET_HD C& cell(int64_t i, int which = 0) const {
    return cells_[which * plan_.together * plan_.cell_stride + i - unit_ * RowPlan::block];
  }

  /// use(i, load(i)) for this thread's elements from `begin` on, those of one sweep, in order;
  /// several loads at a time. load() must not read what use() writes of other elements.
  template <class Load, class Use>
  TENET_HD void each(int64_t begin, const Load& load, const Use& use) const {
    const int64_t first = begin + unit_ * RowPlan::block, left = exists_ ? plan_.size - first : 0;
    const int end = left < RowPlan::block ? static_cast<int>(left) : RowPlan::block;
    for (int j = lane_; j < end; j += many * kLanes) {
      const int64_t i = first + j;
      decltype(load(i)) some[many];
#if defined(__CUDA_ARCH__)
#pragma unroll
#endif
      for (int k = 0; k < many; ++k) {
        if (j + k * kLanes < end) some[k] = load(i + k * kLanes);
      }
#if defined(__CUDA_ARCH__)
#pragma unroll
#endif
      for (int k = 0; k < many; ++k) {
        if (j + k * kLanes < end) use(i + k * kLanes, some[k]);
      }
    }
  }
  /// The same over the whole row.
  template <class Load, class Use>
  TENET_HD void each_of_row(const Load& load, const Use& use) const {
    for (int64_t begin = 0; begin < plan_.size; begin += plan_.sweep()) each(begin, load, use);
  }

  /// The sum over the row of term(i, load(i)), in the order of Note [Order of sums], where
  /// add(sum, i, value) is the sum with one term more. All threads of the block must call.
  template <class Load, class Add>
  TENET_HD double sum(const Load& load, const Add& add) const {
    double total = 0;
    for (int64_t begin = 0; begin < plan_.size; begin += plan_.sweep()) {
      C lane = 0;
      each(begin, load, [&](int64_t i, auto value) { lane = add(lane, i, value); });
      total = join(total, lane, [](C a, C b) { return a + b; });
    }
    return total;
  }
  /// The largest load(i), -inf if there is none; NaN is not seen. seen(i, value) is called for
  /// each.
  template <class Load, class Seen>
  TENET_HD C largest(const Load& load, const Seen& seen) const {
    const auto larger = [](C a, C b) { return b > a ? b : a; };
    C lane = -std::numeric_limits<C>::infinity();
    each_of_row(load, [&](int64_t i, C value) {
      seen(i, value);
      lane = larger(lane, value);
    });
    lane = fold_lanes(lane, larger);
    if (plan_.units == 1) return thread_.first(lane);
    exchange(lane);
    for (int k = 0; k < plan_.units; ++k) lane = larger(lane, parts_[slot_ * plan_.units + k]);
    thread_.sync();
    return lane;
  }

 private:
  /// As detail::fold(); the result is with the first lane.
  template <class Combine>
  TENET_HD C fold_lanes(C lane, const Combine& combine) const {
    for (int half = kLanes / 2; half > 0; half /= 2) {
      lane = combine(lane, thread_.down(lane, half));
    }
    return lane;
  }
  TENET_HD void exchange(C folded) const {
    if (lane_ == 0) parts_[slot_ * plan_.units + unit_] = folded;
    thread_.sync();
  }
  /// `total` and the units' sums, in order.
  template <class Combine>
  TENET_HD double join(double total, C lane, const Combine& combine) const {
    lane = fold_lanes(lane, combine);
    if (plan_.units == 1) return total + static_cast<double>(thread_.first(lane));
    exchange(lane);
    for (int k = 0; k < plan_.units; ++k) {
      total += static_cast<double>(parts_[slot_ * plan_.units + k]);
    }
    thread_.sync();
    return total;
  }

  const RowPlan& plan_;
  const Thread& thread_;
  int lane_, unit_, slot_;
  int64_t row_;
  bool exists_;
  C *parts_, *cells_;
};

}  // namespace tenet::cuda
