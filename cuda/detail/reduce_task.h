/// The GPU's walk over the elements of a reduction, in the order of Note [Order of sums]
/// (ops/reduce.h): the bits of a sum are those of the CPU.
///
/// A unit is a block of 1,024 elements of one output. 16 threads take it: thread k adds up what is
/// accumulator k on the CPU, one thread folds the 16. Outputs of several blocks are joined by a
/// second launch.
#pragma once

#include <tenet/cuda/detail/gpu_thread.h>
#include <tenet/cuda/detail/indexing.h>
#include <tenet/ops/detail/reduce.h>

#include <algorithm>

namespace tenet::cuda {

using tenet::detail::fold;
using tenet::detail::reduce_block;
using tenet::detail::reduce_lanes;

/// The axes of x that y keeps and those that it sums; as the CPU's ReducePlan.
struct ReduceSizes {
  Indexing<2> kept;  // x and y
  Indexing<1> reduced;
  int64_t outputs, elements, blocks;
  bool across;  // neighbouring outputs are closer in memory than neighbouring elements of one

  /// y has size 1 along the reduced axes.
  ReduceSizes(const View& y, const View& x) {
    View rows = x, elements_of = x;
    rows.shape = y.shape;
    for (int axis = 0; axis < x.dim(); ++axis) {
      if (y.shape[axis] == x.shape[axis]) elements_of.shape[axis] = 1;
    }
    kept = Indexing<2>(rows.shape, {rows, y});
    reduced = Indexing<1>(elements_of.shape, {elements_of});
    outputs = rows.numel();
    elements = elements_of.numel();
    blocks = std::max<int64_t>((elements + reduce_block - 1) / reduce_block, 1);
    const auto step = [](const auto& of) {
      const int64_t last = of.dim > 0 ? of.stride[0][of.dim - 1] : 0;
      return last < 0 ? -last : last;
    };
    across = kept.dim > 0 && (reduced.dim == 0 || step(kept) < step(reduced));
  }
  /// Whether one thread does best by taking all elements of an output.
  bool few() const { return elements <= 2 * reduce_lanes; }
};

/// The same reduction for every output.
template <class F>
struct Alike {
  TENET_HD F operator()(int64_t) const { return F(); }
};

/// Deviations from the mean of each output.
template <class T>
struct FromMean {
  using F = tenet::detail::SquaredDeviation<T>;
  const Compute<T>* means;
  int correction;
  TENET_HD F operator()(int64_t output) const {
    F f;
    f.mean = means[output];
    f.correction = correction;
    return f;
  }
};

/// Exponentials of what is left without the largest element of each output.
template <class T>
struct FromLargest {
  using F = tenet::detail::LogSumExp<T>;
  const Compute<T>* largest;
  TENET_HD F operator()(int64_t output) const {
    F f;
    const Compute<T> value = largest[output];
    f.shift = value - value == 0 ? value : 0;  // 0 for infinity and NaN
    return f;
  }
};

/// All elements of one output by one thread.
template <class F, class Make, class Out, class T>
struct ReduceFewTask {
  static constexpr int most_threads = 256;
  ReduceSizes sizes;
  const T* x;
  Out* y;
  Make make;

  template <class Thread>
  TENET_HD void operator()(const Thread& thread) const {
    for (int64_t o = thread.place(); o < sizes.outputs; o += thread.stride()) one(o);
  }

 private:
  TENET_HD void one(int64_t output) const {
    const F f = make(output);
    const auto at = sizes.kept.places(output);
    typename F::Lane lanes[reduce_lanes];
    for (int k = 0; k < reduce_lanes; ++k) lanes[k] = f.init();
    for (int64_t begin = 0; begin < sizes.elements; begin += reduce_lanes) {
#if defined(__CUDA_ARCH__)
#pragma unroll
#endif
      for (int k = 0; k < reduce_lanes; ++k) {
        const int64_t i = begin + k;
        if (i < sizes.elements) {
          lanes[k] = f.reduce(lanes[k], x[at.at[0] + sizes.reduced.places(i).at[0]], i);
        }
      }
    }
    const auto lane =
        fold<reduce_lanes / 2>(lanes, [&](auto a, auto b) { return f.combine(a, b); });
    y[at.at[1]] = Out(static_cast<Compute<Out>>(f.finish(f.join(f.start(), lane), sizes.elements)));
  }
};

/// One unit by 16 threads.
template <class F, class Make, class Out, class T>
struct ReduceTask {
  using Lane = typename F::Lane;
  static constexpr int units = 32, most_threads = units * reduce_lanes;
  static constexpr int64_t shared_bytes = (units + 1) * reduce_lanes * int64_t{sizeof(Lane)};
  ReduceSizes sizes;
  const T* x;
  Out* y;
  Lane* parts;  // (blocks, outputs), or null where there is one block
  Make make;

  /// Blocks of the grid.
  int64_t grid() const { return (sizes.outputs * sizes.blocks + units - 1) / units; }

  template <class Thread>
  TENET_HD void operator()(const Thread& thread) const {
    Lane* const lanes = thread.template shared<Lane>();  // [lane][unit], padded
    const int t = thread.thread;
    const int lane = sizes.across ? t / units : t % reduce_lanes;
    const int unit = sizes.across ? t % units : t / reduce_lanes;
    lanes[lane * (units + 1) + unit] = add_up(place_of(thread.block * units + unit), lane);
    thread.sync();
    if (t < units) finish(place_of(thread.block * units + t), lanes + t);
  }

 private:
  struct Place {
    int64_t output, block;
  };

  /// Neighbouring units are neighbours in memory.
  TENET_HD Place place_of(int64_t unit) const {
    if (sizes.blocks == 1) return {unit, 0};
    if (sizes.across) return {unit % sizes.outputs, unit / sizes.outputs};
    return {unit / sizes.blocks, unit % sizes.blocks};
  }
  TENET_HD bool exists(const Place& place) const {
    return place.output < sizes.outputs && place.block < sizes.blocks;
  }

  TENET_HD Lane add_up(const Place& place, int lane) const {
    if (!exists(place)) return F().init();
    const F f = make(place.output);
    const T* const from = x + sizes.kept.places(place.output).at[0];
    const int64_t first = place.block * reduce_block;
    const int64_t end =
        first + reduce_block < sizes.elements ? first + reduce_block : sizes.elements;
    if (sizes.reduced.dim <= 1) {
      const int64_t step = sizes.reduced.dim == 0 ? 0 : sizes.reduced.stride[0][0];
      return walk(f, first + lane, end, [=](int64_t i) { return from[i * step]; });
    }
    return walk(f, first + lane, end,
                [&](int64_t i) { return from[sizes.reduced.places(i).at[0]]; });
  }

  /// Every 16th element from `i` on, several loads at a time.
  template <class Load>
  TENET_HD static Lane walk(const F& f, int64_t i, int64_t end, const Load& load) {
    constexpr int many = sizeof(T) == 2 ? 16 : 8;
    Lane sum = f.init();
    for (; i + (many - 1) * reduce_lanes < end; i += many * reduce_lanes) {
      T some[many];
#if defined(__CUDA_ARCH__)
#pragma unroll
#endif
      for (int k = 0; k < many; ++k) some[k] = load(i + k * reduce_lanes);
#if defined(__CUDA_ARCH__)
#pragma unroll
#endif
      for (int k = 0; k < many; ++k) sum = f.reduce(sum, some[k], i + k * reduce_lanes);
    }
    for (; i < end; i += reduce_lanes) sum = f.reduce(sum, load(i), i);
    return sum;
  }

  TENET_HD void finish(const Place& place, const Lane* of_unit) const {
    if (!exists(place)) return;
    const F f = make(place.output);
    Lane lanes[reduce_lanes];
    for (int k = 0; k < reduce_lanes; ++k) lanes[k] = of_unit[k * (units + 1)];
    const Lane sum = fold<reduce_lanes / 2>(lanes, [&](Lane a, Lane b) { return f.combine(a, b); });
    if (parts) {
      parts[place.block * sizes.outputs + place.output] = sum;
    } else {
      y[sizes.kept.places(place.output).at[1]] =
          Out(static_cast<Compute<Out>>(f.finish(f.join(f.start(), sum), sizes.elements)));
    }
  }
};

/// The blocks of each output joined in order. A block of threads takes `width` outputs; all its
/// threads fetch, `width` of them add.
template <class F, class Make, class Out>
struct JoinTask {
  using Lane = typename F::Lane;
  static constexpr int most_threads = 512;
  static constexpr int64_t shared_bytes = most_threads * int64_t{sizeof(Lane)};
  ReduceSizes sizes;
  const Lane* parts;  // (blocks, outputs)
  Out* y;
  Make make;
  int width;  // divides most_threads

  int64_t grid() const { return (sizes.outputs + width - 1) / width; }

  template <class Thread>
  TENET_HD void operator()(const Thread& thread) const {
    Lane* const tile = thread.template shared<Lane>();
    const int rows = most_threads / width, column = thread.thread % width;
    const int64_t output = thread.block * width + column;
    const bool adds = thread.thread < width && output < sizes.outputs;
    const F f = make(output < sizes.outputs ? output : 0);
    typename F::Total total = f.start();
    for (int64_t first = 0; first < sizes.blocks; first += rows) {
      const int64_t block = first + thread.thread / width;
      if (block < sizes.blocks && output < sizes.outputs) {
        tile[thread.thread] = parts[block * sizes.outputs + output];
      }
      thread.sync();
      const int64_t left = sizes.blocks - first;
      const int count = !adds ? 0 : left < rows ? static_cast<int>(left) : rows;
      for (int k = 0; k < count; ++k) total = f.join(total, tile[k * width + column]);
      thread.sync();
    }
    if (adds) {
      y[sizes.kept.places(output).at[1]] =
          Out(static_cast<Compute<Out>>(f.finish(total, sizes.elements)));
    }
  }
};

}  // namespace tenet::cuda
