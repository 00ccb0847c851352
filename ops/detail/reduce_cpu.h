/// The CPU's loops around a reduction. See Note [Order of sums] in ops/reduce.h.
#pragma once

#include <tenet/core/memory.h>
#include <tenet/core/parallel.h>
#include <tenet/core/view.h>
#include <tenet/ops/detail/loop.h>
#include <tenet/ops/detail/reduce.h>

#include <cstdlib>

namespace tenet::detail {

/// The axes of x that y keeps and those that it sums, each with axes that step evenly merged.
struct ReducePlan {
  Shape kept, reduced;
  Strides kept_x, kept_y, reduced_x;
  int64_t outputs = 1;   // kept.numel()
  int64_t elements = 1;  // reduced.numel(), per output
  int64_t blocks = 1;

  ReducePlan(const View& y, const View& x);

  /// Offsets of the output number `output`.
  int64_t x_offset(int64_t output) const { return offset(kept, kept_x, output); }
  int64_t y_offset(int64_t output) const { return offset(kept, kept_y, output); }
  int64_t reduced_offset(int64_t i) const { return offset(reduced, reduced_x, i); }
  /// Whether neighbouring outputs are closer in memory than neighbouring elements of one output.
  bool across() const {
    return kept.dim() > 0 &&
           (reduced.dim() == 0 || std::abs(kept_x.back()) < std::abs(reduced_x.back()));
  }
  /// How many blocks of an output are whole, of neighbouring elements.
  int64_t dense_blocks() const {
    return reduced.dim() == 1 && reduced_x.back() == 1 ? elements / reduce_block : 0;
  }

 private:
  static int64_t offset(const Shape& shape, const Strides& strides, int64_t i) {
    int64_t result = 0;
    for (int axis = shape.dim() - 1; axis > 0; --axis) {
      result += i % shape[axis] * strides[axis];
      i /= shape[axis];
    }
    return shape.dim() > 0 ? result + i * strides[0] : 0;
  }
};

/// Elements ahead of those being added: the processor itself stops looking ahead at each page.
constexpr int64_t prefetch_distance = 1024;
/// Bytes from which on that pays: less may lie in its caches, where asking for each line costs more
/// than adding it.
constexpr int64_t prefetch_bytes = 8 << 20;

/// Lanes with elements [first, first + n) of one output, at x[k * step].
template <class F, class T>
[[gnu::always_inline]] inline void reduce_stretch(const F& f, typename F::Lane* lanes, const T* x,
                                                  int64_t step, int64_t n, int64_t first) {
  int64_t i = 0;
  const auto one = [&](int64_t at) {
    auto& lane = lanes[(first + at) % reduce_lanes];
    lane = f.reduce(lane, x[at * step], first + at);
  };
  for (; i < n && (first + i) % reduce_lanes != 0; ++i) one(i);
  if (step == 1) {
    typename F::Lane local[reduce_lanes];
    for (int k = 0; k < reduce_lanes; ++k) local[k] = lanes[k];
    for (; i + reduce_lanes <= n; i += reduce_lanes) {
      __builtin_prefetch(x + i + prefetch_distance, 0, 2);
      for (int k = 0; k < reduce_lanes; ++k) local[k] = f.reduce(local[k], x[i + k], first + i + k);
    }
    for (int k = 0; k < reduce_lanes; ++k) lanes[k] = local[k];
  }
  for (; i < n; ++i) one(i);
}

/// One block of one output.
template <class F, class T>
typename F::Lane reduce_along(const ReducePlan& plan, const F& f, const T* x, int64_t block) {
  typename F::Lane lanes[reduce_lanes];
  for (auto& lane : lanes) lane = f.init();
  const int64_t end = std::min(plan.elements, (block + 1) * reduce_block);
  const int64_t length = plan.reduced.dim() == 0 ? 1 : plan.reduced.back();
  const int64_t step = plan.reduced.dim() == 0 ? 1 : plan.reduced_x.back();
  for (int64_t i = block * reduce_block; i < end;) {
    const int64_t n = std::min(length - i % length, end - i);
    reduce_stretch(f, lanes, x + plan.reduced_offset(i), step, n, i);
    i += n;
  }
  return fold<reduce_lanes / 2>(lanes, [&](auto a, auto b) { return f.combine(a, b); });
}

/// Blocks that reduce_abreast() takes together: no addition waits for the one before it.
constexpr int reduce_streams = 4;

/// reduce_along() for `reduce_streams` whole blocks of neighbouring elements: from x[0] on, which
/// is the output's element number `first`.
template <bool prefetch, class F, class T>
void reduce_abreast(const F& f, const T* x, int64_t first, typename F::Lane* results) {
  typename F::Lane lanes[reduce_streams][reduce_lanes];
  for (auto& stream : lanes) std::fill_n(stream, reduce_lanes, f.init());
  for (int64_t i = 0; i < reduce_block; i += reduce_lanes) {
#pragma GCC unroll 4
    for (int s = 0; s < reduce_streams; ++s) {
      const int64_t at = s * reduce_block + i;
      if constexpr (prefetch) __builtin_prefetch(x + at + reduce_streams * reduce_block, 0, 2);
#pragma GCC unroll 16
      for (int k = 0; k < reduce_lanes; ++k) {
        lanes[s][k] = f.reduce(lanes[s][k], x[at + k], first + at + k);
      }
    }
  }
  for (int s = 0; s < reduce_streams; ++s) {
    results[s] = fold<reduce_lanes / 2>(lanes[s], [&](auto a, auto b) { return f.combine(a, b); });
  }
}

/// Outputs that reduce_across() takes together: lanes for all of them stay in the first-level
/// cache.
template <class F>
inline constexpr int64_t reduce_tile = 1024 / static_cast<int64_t>(sizeof(typename F::Lane));

/// One block of `width` neighbouring outputs; their results are in lanes[0 .. width). The same
/// additions, in the same order, as reduce_along() does for each.
template <class F, class T>
void reduce_across(const ReducePlan& plan, const F* f, const T* x, int64_t width, int64_t block,
                   typename F::Lane* lanes) {
  constexpr int64_t tile = reduce_tile<F>;
  const int64_t begin = block * reduce_block;
  const int64_t end = std::min(plan.elements, begin + reduce_block);
  const int64_t step = plan.kept_x.back();
  const auto used = static_cast<int>(std::min<int64_t>(reduce_lanes, end - begin));
  for (int k = 0; k < std::max(used, 1); ++k) {
    for (int64_t j = 0; j < width; ++j) lanes[k * tile + j] = f[j].init();
  }
  for (int64_t i = begin; i < end; ++i) {
    const T* row = x + plan.reduced_offset(i);
    typename F::Lane* lane = lanes + i % reduce_lanes * tile;
    if (step == 1) {
      for (int64_t j = 0; j < width; ++j) lane[j] = f[j].reduce(lane[j], row[j], i);
    } else {
      for (int64_t j = 0; j < width; ++j) lane[j] = f[j].reduce(lane[j], row[j * step], i);
    }
  }
  for (int half = reduce_lanes / 2; half > 0; half /= 2) {
    for (int k = 0; k < half && k + half < used; ++k) {
      typename F::Lane* a = lanes + k * tile;
      const typename F::Lane* b = a + half * tile;
      for (int64_t j = 0; j < width; ++j) a[j] = f[j].combine(a[j], b[j]);
    }
  }
}

/// Calls block_result(output, block, lane) once for each output and block. `make(output)` is the
/// reduction of that output.
template <class F, class T, class Make, class Result>
void reduce_blocks(const ReducePlan& plan, const T* x, const Make& make,
                   const Result& block_result) {
  const int64_t per_block = std::min(plan.elements, reduce_block) + 1;
  if (!plan.across()) {
    const bool far =
        plan.outputs * plan.elements * static_cast<int64_t>(sizeof(T)) >= prefetch_bytes;
    const int64_t abreast = plan.dense_blocks() - reduce_streams;  // up to this block
    const auto reduce = [&](int64_t begin, int64_t end) {
      for (int64_t unit = begin; unit < end;) {
        const int64_t output = unit / plan.blocks, block = unit % plan.blocks;
        const T* from = x + plan.x_offset(output);
        if (block <= abreast && unit + reduce_streams <= end) {
          typename F::Lane lanes[reduce_streams];
          const auto several = far ? reduce_abreast<true, F, T> : reduce_abreast<false, F, T>;
          several(make(output), from + block * reduce_block, block * reduce_block, lanes);
          for (int s = 0; s < reduce_streams; ++s) block_result(output, block + s, lanes[s]);
          unit += reduce_streams;
        } else {
          block_result(output, block, reduce_along(plan, make(output), from, block));
          ++unit;
        }
      }
    };
    parallel_for(plan.outputs * plan.blocks, parallel_grain / per_block + 1, reduce);
    return;
  }
  constexpr int64_t tile = reduce_tile<F>;
  const int64_t length = plan.kept.back();
  const int64_t tiles = (length + tile - 1) / tile;
  const int64_t units = plan.outputs / length * tiles * plan.blocks;
  const int64_t grain = parallel_grain / (per_block * std::min(length, tile)) + 1;
  parallel_for(units, grain, [&](int64_t begin, int64_t end) {
    alignas(64) typename F::Lane lanes[reduce_lanes * tile];
    F f[tile];
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t block = unit / tiles % plan.blocks;
      const int64_t column = unit % tiles * tile;
      const int64_t output = unit / tiles / plan.blocks * length + column;
      const int64_t width = std::min(tile, length - column);
      for (int64_t j = 0; j < width; ++j) f[j] = make(output + j);
      reduce_across(plan, f, x + plan.x_offset(output), width, block, lanes);
      for (int64_t j = 0; j < width; ++j) block_result(output + j, block, lanes[j]);
    }
  });
}

/// Calls result(output, value) with what `make(output)` gives over the elements of each output.
template <class F, class T, class Make, class Result>
void reduce_each(const ReducePlan& plan, const T* x, const Make& make, const Result& result) {
  if (plan.outputs == 0) return;
  using Lane = typename F::Lane;
  if (plan.blocks <= 1) {
    reduce_blocks<F>(plan, x, make, [&](int64_t output, int64_t, const Lane& lane) {
      const F f = make(output);
      result(output, f.finish(f.join(f.start(), lane), plan.elements));
    });
    return;
  }
  const memory::Workspace<Lane> lanes(plan.outputs * plan.blocks);
  reduce_blocks<F>(plan, x, make, [&](int64_t output, int64_t block, const Lane& lane) {
    lanes[block * plan.outputs + output] = lane;
  });
  parallel_for(plan.outputs, parallel_grain / plan.blocks + 1, [&](int64_t begin, int64_t end) {
    for (int64_t output = begin; output < end; ++output) {
      const F f = make(output);
      typename F::Total total = f.start();
      for (int64_t block = 0; block < plan.blocks; ++block) {
        total = f.join(total, lanes[block * plan.outputs + output]);
      }
      result(output, f.finish(total, plan.elements));
    }
  });
}

/// y[output] = the reduction of that output's elements of x, rounded to Out.
template <class F, class Out, class T, class Make>
void reduce_into(const View& y, const View& x, const Make& make) {
  const ReducePlan plan(y, x);
  Out* to = y.as<Out>();
  reduce_each<F>(plan, x.as<const T>(), make, [&](int64_t output, auto value) {
    to[plan.y_offset(output)] = Out(static_cast<Compute<Out>>(value));
  });
}

}  // namespace tenet::detail
