/// Sums over channels and maps of them, of an (N, C, elements) without gaps. Plain C++ but for
/// TENET_HD.
///
/// Note [Sums of channels]: a channel's elements, in order of images, are cut into cells of fixed
/// length; in a cell each of 256 threads (of 8, where channels are short) adds every 256th (8th)
/// element in the compute type, these are added as a tree in f64, and then a channel's cells by
/// 128 threads likewise. The order depends on N, the number of elements and, where planes are
/// multiples of 16 bytes, on whether they begin at one.
#pragma once

#include <tenet/core/dtype.h>
#include <tenet/core/macros.h>
#include <tenet/cuda/detail/patches_task.h>
#include <tenet/cuda/detail/unroll.h>
#include <tenet/ops/detail/reduce.h>

#include <cmath>

namespace tenet::cuda {

/// V neighbours that are read and written at once.
template <class T, int V>
struct alignas(sizeof(T) * V) Together {
  T each[V];
};

/// sum(x)
template <class T>
struct ChannelSum {
  using Element = T;
  using Lane = Compute<T>;
  static constexpr int sums = 1;
  struct Channel {};

  const T* x;

  TENET_HD Channel channel(int64_t) const { return {}; }
  template <int V>
  TENET_HD void add(const Channel&, int64_t i, Lane (&lanes)[sums]) const {
    const auto in = *reinterpret_cast<const Together<T, V>*>(x + i);
    TENET_UNROLL
    for (int k = 0; k < V; ++k) lanes[0] += static_cast<Lane>(in.each[k]);
  }
};

/// sum((x - mean)^2)
template <class T>
struct ChannelSquares {
  using Element = T;
  using Lane = Compute<T>;
  static constexpr int sums = 1;
  struct Channel {
    Lane center;
  };

  const T* x;
  const Lane* mean;

  TENET_HD Channel channel(int64_t c) const { return {mean[c]}; }
  template <int V>
  TENET_HD void add(const Channel& c, int64_t i, Lane (&lanes)[sums]) const {
    const auto in = *reinterpret_cast<const Together<T, V>*>(x + i);
    TENET_UNROLL
    for (int k = 0; k < V; ++k) {
      const Lane distance = static_cast<Lane>(in.each[k]) - c.center;
      lanes[0] = tenet::detail::fused(distance, distance, lanes[0]);
    }
  }
};

/// sum(dy) and sum(dy * (x - mean) * r), in f64: of a channel with few elements nearly all of dy is
/// taken away again.
template <class T>
struct ChannelGradients {
  using Element = T;
  using Lane = double;
  static constexpr int sums = 2;
  struct Channel {
    double mean, r;
  };

  const T *x, *dy;
  const Compute<T>*mean, *variance;
  double epsilon;

  TENET_HD Channel channel(int64_t c) const {
    return {static_cast<double>(mean[c]),
            1 / std::sqrt(static_cast<double>(variance[c]) + epsilon)};
  }
  template <int V>
  TENET_HD void add(const Channel& c, int64_t i, Lane (&lanes)[sums]) const {
    const auto in = *reinterpret_cast<const Together<T, V>*>(x + i);
    const auto d = *reinterpret_cast<const Together<T, V>*>(dy + i);
    TENET_UNROLL
    for (int k = 0; k < V; ++k) {
      const auto value = static_cast<double>(static_cast<Compute<T>>(d.each[k]));
      const auto from = static_cast<double>(static_cast<Compute<T>>(in.each[k]));
      lanes[0] += value;
      lanes[1] = tenet::detail::fused(value, (from - c.mean) * c.r, lanes[1]);
    }
  }
};

/// Sizes that all of these know.
struct ChannelSizes {
  int64_t images, channels, elements;  // elements of one plane
  Quotient by_elements, by_channels;

  ChannelSizes() = default;
  ChannelSizes(int64_t n, int64_t c, int64_t e)
      : images(n),
        channels(c),
        elements(e),
        by_elements(std::max<int64_t>(e, 1)),
        by_channels(std::max<int64_t>(c, 1)) {}
  TENET_HD int64_t count() const { return images * elements; }
};

/// Where the sums of cells lie: number `i` of channel c's cells at (i / width) * cell_step + c *
/// channel_step + i % width.
struct CellPlaces {
  int64_t count = 0, width = 1, cell_step = 1, channel_step = 1;
  TENET_HD int64_t at(int64_t channel, int64_t i) const {
    const int64_t cell = i / width;
    return cell * cell_step + channel * channel_step + (i - cell * width);
  }
};

/// Cells of long channels: a block of 256 threads has 8,192 elements of one channel, V at a time.
template <class Op, int V>
struct PlaneCellsTask {
  static constexpr int threads = 256, length = 8192;
  struct Shared {
    double sums[Op::sums][threads];
  };

  Op op;
  ChannelSizes sizes;
  double* cells[Op::sums];
  int64_t cells_each;  // of one channel

  CellPlaces places() const { return {cells_each, 1, 1, cells_each}; }

  TENET_HD void add(Shared& shared, int64_t block, int thread) const {
    const int64_t channel = block / cells_each, begin = (block - channel * cells_each) * length;
    const int64_t end = begin + length < sizes.count() ? begin + length : sizes.count();
    const auto constants = op.channel(channel);
    typename Op::Lane lanes[Op::sums] = {};
    constexpr int64_t step = threads * V;
    const int64_t first = begin + thread * V, elements = sizes.elements;
    const int64_t more_images = sizes.by_elements(step), more = step - more_images * elements;
    int64_t image = sizes.by_elements(first), at = first - image * elements;
    for (int64_t i = first; i < end; i += step) {
      op.template add<V>(constants, (image * sizes.channels + channel) * elements + at, lanes);
      image += more_images, at += more;
      if (at >= elements) ++image, at -= elements;
    }
    for (int k = 0; k < Op::sums; ++k) shared.sums[k][thread] = static_cast<double>(lanes[k]);
  }
  /// For half = 128, 64, ..., 1, with a barrier before each.
  TENET_HD void fold(Shared& shared, int half, int thread) const {
    if (thread >= half) return;
    for (int k = 0; k < Op::sums; ++k) shared.sums[k][thread] += shared.sums[k][thread + half];
  }
  static constexpr int first_half = threads / 2, last_half = 1;
  TENET_HD void finish(const Shared& shared, int64_t block, int thread) const {
    if (thread > 0) return;
    for (int k = 0; k < Op::sums; ++k) cells[k][block] = shared.sums[k][0];
  }
};

/// Cells of short channels: a block has 256 images of 32 neighbouring columns, that is elements of
/// an image; each column has a cell. 8 rows of 32 threads.
template <class Op>
struct ColumnCellsTask {
  static constexpr int threads = 256, across = 32, length = 256;
  using Shared = typename PlaneCellsTask<Op, 1>::Shared;

  Op op;
  ChannelSizes sizes;
  double* cells[Op::sums];
  int64_t column_blocks, cells_each;  // cells of one column

  TENET_HD int64_t columns() const { return sizes.channels * sizes.elements; }
  CellPlaces places() const {
    return {cells_each * sizes.elements, sizes.elements, columns(), sizes.elements};
  }

  TENET_HD void add(Shared& shared, int64_t block, int thread) const {
    const int64_t column = block % column_blocks * across + thread % across;
    const int64_t begin = block / column_blocks * length;
    const int64_t end = begin + length < sizes.images ? begin + length : sizes.images;
    typename Op::Lane lanes[Op::sums] = {};
    if (column < columns()) {
      const auto constants = op.channel(sizes.by_elements(column));
      for (int64_t row = begin + thread / across; row < end; row += threads / across) {
        op.template add<1>(constants, row * columns() + column, lanes);
      }
    }
    for (int k = 0; k < Op::sums; ++k) shared.sums[k][thread] = static_cast<double>(lanes[k]);
  }
  /// For half = 128, 64, 32, with a barrier before each.
  TENET_HD void fold(Shared& shared, int half, int thread) const {
    if (thread >= half) return;
    for (int k = 0; k < Op::sums; ++k) shared.sums[k][thread] += shared.sums[k][thread + half];
  }
  static constexpr int first_half = threads / 2, last_half = across;
  TENET_HD void finish(const Shared& shared, int64_t block, int thread) const {
    const int64_t column = block % column_blocks * across + thread;
    if (thread >= across || column >= columns()) return;
    const int64_t at = block / column_blocks * columns() + column;
    for (int k = 0; k < Op::sums; ++k) cells[k][at] = shared.sums[k][thread];
  }
};

/// Adds up each channel's cells; end(channel, totals) then writes what becomes of them. A block of
/// 128 threads has one channel.
template <int sums_, class End>
struct ChannelTotalsTask {
  static constexpr int threads = 128, sums = sums_;
  struct Shared {
    double sums[sums_][threads];
  };

  const double* cells[sums_];
  CellPlaces places;
  End end;

  TENET_HD void add(Shared& shared, int64_t channel, int thread) const {
    for (int k = 0; k < sums; ++k) {
      double total = 0;
      for (int64_t i = thread; i < places.count; i += threads) {
        total += cells[k][places.at(channel, i)];
      }
      shared.sums[k][thread] = total;
    }
  }
  /// For half = 64, 32, ..., 1, with a barrier before each.
  TENET_HD void fold(Shared& shared, int half, int thread) const {
    if (thread >= half) return;
    for (int k = 0; k < sums; ++k) shared.sums[k][thread] += shared.sums[k][thread + half];
  }
  static constexpr int first_half = threads / 2, last_half = 1;
  TENET_HD void finish(const Shared& shared, int64_t channel, int thread) const {
    if (thread > 0) return;
    double totals[sums_];
    for (int k = 0; k < sums; ++k) totals[k] = shared.sums[k][0];
    end(channel, totals);
  }
};

/// to[c] = total / count
template <class C>
struct WriteMean {
  C* to;
  double count;
  TENET_HD void operator()(int64_t c, const double (&totals)[1]) const {
    to[c] = static_cast<C>(totals[0] / count);
  }
};

/// A parameter of a channel, or `otherwise` where there is none.
template <class T>
TENET_HD Compute<T> channel_parameter(const T* p, int64_t c, Compute<T> otherwise) {
  return p != nullptr ? static_cast<Compute<T>>(p[c]) : otherwise;
}

/// What dx of a channel is made of: scale * (dy - mean_dy - xhat * mean_product).
struct ChannelSlope {
  double mean, r, mean_dy, mean_product, scale;
};

/// dweight, dbias (where wanted) and the slope.
template <class T>
struct WriteSlope {
  using C = Compute<T>;
  ChannelGradients<T> of;
  const T* weight;
  T *dweight, *dbias;
  ChannelSlope* slope;
  double count;
  TENET_HD void operator()(int64_t c, const double (&totals)[2]) const {
    if (dweight != nullptr) dweight[c] = T(static_cast<C>(totals[1]));
    if (dbias != nullptr) dbias[c] = T(static_cast<C>(totals[0]));
    const auto channel = of.channel(c);
    const auto factor = static_cast<double>(channel_parameter(weight, c, C(1)));
    slope[c] = {channel.mean, channel.r, totals[0] / count, totals[1] / count, factor * channel.r};
  }
};

/// y = (x - mean) * r * weight + bias, V elements at a time.
template <class T, int V>
struct ChannelNormTask {
  using C = Compute<T>;
  const T* x;
  T* y;
  const C* table;  // mean, r, weight, bias of each channel
  ChannelSizes sizes;

  TENET_HD void run(int64_t number) const {
    const int64_t i = number * V, plane = sizes.by_elements(i);
    const int64_t c = plane - sizes.by_channels(plane) * sizes.channels;
    const auto in = *reinterpret_cast<const Together<T, V>*>(x + i);
    const C mean = table[4 * c], r = table[4 * c + 1];
    const C weight = table[4 * c + 2], bias = table[4 * c + 3];
    Together<T, V> out;
    TENET_UNROLL
    for (int k = 0; k < V; ++k) {
      const C xhat = (static_cast<C>(in.each[k]) - mean) * r;
      out.each[k] = T(tenet::detail::fused(xhat, weight, bias));
    }
    *reinterpret_cast<Together<T, V>*>(y + i) = out;
  }
};

/// dx, V elements at a time.
template <class T, int V>
struct ChannelNormBackwardTask {
  using C = Compute<T>;
  const T *x, *dy;
  T* dx;
  const ChannelSlope* slope;
  ChannelSizes sizes;

  TENET_HD void run(int64_t number) const {
    const int64_t i = number * V, plane = sizes.by_elements(i);
    const int64_t c = plane - sizes.by_channels(plane) * sizes.channels;
    const auto in = *reinterpret_cast<const Together<T, V>*>(x + i);
    const auto d = *reinterpret_cast<const Together<T, V>*>(dy + i);
    const ChannelSlope s = slope[c];
    Together<T, V> out;
    TENET_UNROLL
    for (int k = 0; k < V; ++k) {
      const auto value = static_cast<double>(static_cast<C>(d.each[k]));
      const double xhat = (static_cast<double>(static_cast<C>(in.each[k])) - s.mean) * s.r;
      const double inner = tenet::detail::fused(-xhat, s.mean_product, value - s.mean_dy);
      out.each[k] = T(static_cast<C>(s.scale * inner));
    }
    *reinterpret_cast<Together<T, V>*>(dx + i) = out;
  }
};

}  // namespace tenet::cuda
