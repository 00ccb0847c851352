/// Which products of matrices are left to cuBLASLt, and how it is to see them. Plain C++.
#pragma once

#include <tenet/ops/gemm/detail/gemm.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

namespace tenet::cuda {

using tenet::detail::Gemm;
using tenet::detail::MatrixView;

/// What the rows of a product are.
enum class Rows {
  alike,   // any number of them, each a function of its own inputs to the bit
  fixed,   // as many as the op's sizes say
  summed,  // likewise, and k counts things that are added up, so that it may be very long
};

/// A matrix that cuBLASLt reads as it is: rows or, `by_columns`, columns lie one after another, the
/// first elements of neighbours `ld` apart.
struct Layout {
  bool by_columns = false;
  int64_t ld = 1;
};
inline std::optional<Layout> layout_of(const MatrixView& x, int64_t rows, int64_t columns) {
  const auto fits = [](int64_t line, int64_t step, int64_t lines, int64_t apart) {
    return (line <= 1 || step == 1) && (lines <= 1 || apart >= line);
  };
  if (fits(columns, x.column_stride, rows, x.row_stride)) {
    return Layout{false, std::max<int64_t>(rows > 1 ? x.row_stride : columns, 1)};
  }
  if (fits(rows, x.row_stride, columns, x.column_stride)) {
    return Layout{true, std::max<int64_t>(columns > 1 ? x.column_stride : rows, 1)};
  }
  return {};
}

/// Bytes, 16 at most, of which the first element of every row of every item is a multiple.
inline int64_t alignment_of(const MatrixView& x, const Layout& layout) {
  uint64_t places = static_cast<uint64_t>(layout.ld);
  for (int64_t stride : x.batch_strides) places |= static_cast<uint64_t>(stride);
  const uint64_t bytes =
      places * static_cast<uint64_t>(itemsize(x.dtype)) | reinterpret_cast<uintptr_t>(x.data) | 16;
  return static_cast<int64_t>(bytes & (~bytes + 1));
}

/// Batch axes of size 1 dropped, those merged that step alike in A, B and C, and the last ones
/// turned into rows where A and C go on as rows and B is the same matrix.
inline void fold(Gemm& g) {
  const std::array<MatrixView*, 3> all{&g.a, &g.b, &g.c};
  const auto erase = [&](int axis) {
    g.batch.erase(axis);
    for (MatrixView* x : all) x->batch_strides.erase(axis);
  };
  for (int axis = g.batch.dim() - 1; axis >= 0; --axis) {
    if (g.batch[axis] == 1) erase(axis);
  }
  for (int axis = g.batch.dim() - 2; axis >= 0; --axis) {
    const bool alike = std::all_of(all.begin(), all.end(), [&](const MatrixView* x) {
      return x->batch_strides[axis] == x->batch_strides[axis + 1] * g.batch[axis + 1];
    });
    if (!alike) continue;
    g.batch[axis + 1] *= g.batch[axis];
    erase(axis);
  }
  while (!g.batch.empty()) {
    const int last = g.batch.dim() - 1;
    const auto goes_on = [&](const MatrixView& x) {
      return x.batch_strides[last] == g.m * x.row_stride;
    };
    if (g.m == 1) {
      g.a.row_stride = g.a.batch_strides[last];
      g.c.row_stride = g.c.batch_strides[last];
    }
    if (g.b.batch_strides[last] != 0 || !goes_on(g.a) || !goes_on(g.c)) return;
    g.m *= g.batch[last];
    erase(last);
  }
}

/// Everything that an algorithm is chosen by. C (m, n) = A (m, k) B (k, n), `batch` times.
struct LtShape {
  DType type = DType::f32, result = DType::f32;  // of A and B; of C
  bool bias = false;                             // n numbers for every row
  Layout a, b;
  int64_t ldc = 1;
  int64_t m = 0, n = 0, k = 0, batch = 1;
  int64_t a_step = 0, b_step = 0, c_step = 0;  // from one item of the batch to the next
  std::array<int64_t, 3> alignments = {16, 16, 16};

  std::array<int64_t, 18> words() const {
    return {static_cast<int64_t>(type),
            static_cast<int64_t>(result),
            bias,
            a.by_columns,
            a.ld,
            b.by_columns,
            b.ld,
            ldc,
            m,
            n,
            k,
            batch,
            a_step,
            b_step,
            c_step,
            alignments[0],
            alignments[1],
            alignments[2]};
  }
  friend bool operator==(const LtShape& a, const LtShape& b) { return a.words() == b.words(); }
};
struct LtShapeHash {
  size_t operator()(const LtShape& shape) const {
    uint64_t hash = 0;
    for (int64_t word : shape.words()) {
      hash = (hash ^ static_cast<uint64_t>(word)) * 0x9e3779b97f4a7c15u;
      hash ^= hash >> 29;
    }
    return hash;
  }
};

/// Note [Rows on the GPU]: cuBLASLt would choose another algorithm for another number of rows, and
/// with it other bits. So it is asked about one number of rows, in one item, and what it answers is
/// used for all; sums over k are not split. A row's bits then depend on its inputs, the layouts and
/// alignments of the operands, n and k. The exception: where that algorithm does not support the
/// sizes at hand, cuBLASLt is asked about those.
inline constexpr int64_t canonical_rows = 4096;

/// `shape` with the rows that stand for every number of them.
inline LtShape canonical(LtShape shape) {
  shape.m = canonical_rows;
  shape.batch = 1;
  shape.a_step = shape.b_step = shape.c_step = 0;
  if (shape.a.by_columns) shape.a.ld = canonical_rows + shape.a.ld % 16;
  return shape;
}

/// Note [Parts of long sums]: a weight gradient has few elements, each a sum over all rows of a
/// batch: too few blocks of work to fill a GPU. Such a sum is cut into parts of equal length, a
/// multiple of 64 and 1,024 at least, that depends on m, n and k alone; parts are made side by side
/// and then added in order. Returns k where there is to be one part.
inline int64_t part_length(int64_t m, int64_t n, int64_t k, int64_t sum_bytes) {
  constexpr int64_t block = 128, blocks = 264, least = 1024, most_bytes = int64_t{64} << 20;
  const auto ceil_div = [](int64_t a, int64_t b) { return (a + b - 1) / b; };
  const int64_t wanted = blocks / std::max<int64_t>(ceil_div(m, block) * ceil_div(n, block), 1);
  const int64_t room = most_bytes / std::max<int64_t>(m * n * sum_bytes, 1);
  const int64_t parts = std::min({wanted, room, k / least});
  return parts <= 1 ? k : ceil_div(ceil_div(k, parts), 64) * 64;
}

}  // namespace tenet::cuda
