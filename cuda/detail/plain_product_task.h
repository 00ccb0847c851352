/// Products of matrices by plain multiply-adds: of integers, and where cuBLASLt has no algorithm.
#pragma once

#include <tenet/core/dtype.h>
#include <tenet/core/macros.h>
#include <tenet/cuda/detail/indexing.h>
#include <tenet/cuda/detail/unroll.h>
#include <tenet/ops/detail/reduce.h>

namespace tenet::cuda {

/// C = A B (+ C) (+ bias) in tiles of 64 x 64, each of one block of 256 threads; a thread has 4 x 4
/// elements, 16 apart. An element is one chain of multiply-adds over k, from left to right: in f32
/// for half types, modulo 2^w for integers (unsigned From and Sum).
template <class From, class Sum, class To>
struct PlainProductTask {
  static constexpr int tile = 64, depth = 16, threads = 256, each = 4, apart = tile / each;

  struct Shared {
    Sum a[depth][tile + 1], b[depth][tile + 1];  // a transposed; odd rows avoid bank conflicts
  };
  struct Local {
    Sum sums[each][each] = {};
  };
  struct Place {  // of a tile
    int64_t row, column, a, b, c;
  };

  const From *a, *b;
  To* c;
  const To* bias;  // or null
  int64_t m, n, k;
  int64_t a_row, a_column, b_row, b_column, c_row, c_column;
  Indexing<3> batch;
  int64_t row_tiles, column_tiles;
  bool accumulate;

  TENET_HD Place place(int64_t block) const {
    const int64_t column = block % column_tiles, rest = block / column_tiles;
    const auto item = batch.places(rest / row_tiles);
    return {rest % row_tiles * tile, column * tile, item.at[0], item.at[1], item.at[2]};
  }

  /// The elements of A and B with `first` <= k < first + depth; 0 beyond the sizes.
  TENET_HD void load(Shared& shared, const Place& at, int64_t first, int thread) const {
    const bool a_by_rows = a_column == 1, b_by_rows = b_column == 1;
    TENET_UNROLL
    for (int i = 0; i < tile * depth / threads; ++i) {
      const int number = thread + i * threads;
      const int ak = a_by_rows ? number % depth : number / tile;
      const int ar = a_by_rows ? number / depth : number % tile;
      const bool in_a = at.row + ar < m && first + ak < k;
      shared.a[ak][ar] =
          in_a ? widened(a[at.a + (at.row + ar) * a_row + (first + ak) * a_column]) : Sum(0);
      const int bk = b_by_rows ? number / tile : number % depth;
      const int bc = b_by_rows ? number % tile : number / depth;
      const bool in_b = at.column + bc < n && first + bk < k;
      shared.b[bk][bc] =
          in_b ? widened(b[at.b + (first + bk) * b_row + (at.column + bc) * b_column]) : Sum(0);
    }
  }

  TENET_HD void multiply(const Shared& shared, Local& local, int64_t first, int thread) const {
    const int row = thread / apart, column = thread % apart;
    const int steps = static_cast<int>(k - first < depth ? k - first : depth);
    for (int step = 0; step < steps; ++step) {
      Sum left[each], right[each];
      TENET_UNROLL
      for (int i = 0; i < each; ++i) {
        left[i] = shared.a[step][row + i * apart];
        right[i] = shared.b[step][column + i * apart];
      }
      TENET_UNROLL
      for (int i = 0; i < each; ++i) {
        TENET_UNROLL
        for (int j = 0; j < each; ++j) {
          local.sums[i][j] = multiply_add(left[i], right[j], local.sums[i][j]);
        }
      }
    }
  }

  TENET_HD void finish(const Local& local, const Place& at, int thread) const {
    TENET_UNROLL
    for (int i = 0; i < each; ++i) {
      const int64_t row = at.row + thread / apart + i * apart;
      TENET_UNROLL
      for (int j = 0; j < each; ++j) {
        const int64_t column = at.column + thread % apart + j * apart;
        if (row >= m || column >= n) continue;
        To& to = c[at.c + row * c_row + column * c_column];
        Sum value = local.sums[i][j];
        if (bias != nullptr) value += static_cast<Sum>(bias[column]);
        if (accumulate) value += static_cast<Sum>(to);
        to = static_cast<To>(value);
      }
    }
  }

 private:
  TENET_HD static Sum widened(From x) { return static_cast<Sum>(x); }
  TENET_HD static Sum multiply_add(Sum x, Sum y, Sum sum) {
    if constexpr (std::is_integral_v<Sum>)
      return x * y + sum;
    else
      return tenet::detail::fused(x, y, sum);
  }
};

}  // namespace tenet::cuda
