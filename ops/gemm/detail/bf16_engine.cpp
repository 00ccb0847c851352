#include <tenet/core/parallel.h>
#include <tenet/ops/gemm/detail/bf16_engine.h>
#include <tenet/ops/gemm/detail/round.h>

#include <array>

namespace tenet::detail {

#if TENET_HAVE_AVX512

namespace {

constexpr int64_t rows = amx::rows, depth = amx::depth, tile = rows * depth;
using Line = VectorOf<float>::Type;  // 16 pairs of bf16

Shape without_repeats(const Shape& batch, const Strides& strides) {
  Shape items;
  for (int axis = 0; axis < batch.dim(); ++axis) {
    items.push_back(strides[axis] == 0 ? 1 : batch[axis]);
  }
  return items;
}

int64_t tiles_in(int64_t count, int64_t unit) { return (count + unit - 1) / unit; }

/// The 32 numbers at `from` as bf16; 0 where `lanes` has none.
__m512i read_32(const bf16* from, __mmask32 lanes) { return _mm512_maskz_loadu_epi16(lanes, from); }
__m512i read_32(const float* from, __mmask32 lanes) {
  const auto low = static_cast<__mmask16>(lanes), high = static_cast<__mmask16>(lanes >> 16);
  return round_both(_mm512_maskz_loadu_ps(low, from), _mm512_maskz_loadu_ps(high, from + 16));
}

/// Pairs of the 16 numbers at `first` and those at `second`, rounded to bf16; 0 where `lanes` has
/// none, and where there are none at all.
__m512i read_pairs(const bf16* first, const bf16* second, __mmask16 lanes) {
  typedef uint16_t Narrow __attribute__((vector_size(32)));
  const auto read = [&](const bf16* from) {
    if (!from) return Words{};
    return __builtin_convertvector((Narrow)_mm256_maskz_loadu_epi16(lanes, from), Words);
  };
  return (__m512i)(read(first) | read(second) << 16);
}
__m512i read_pairs(const float* first, const float* second, __mmask16 lanes) {
  const auto read = [&](const float* from) {
    return from ? _mm512_maskz_loadu_ps(lanes, from) : _mm512_setzero_ps();
  };
  return round_pairs(read(first), read(second));
}

/// to[i] = pairs along k of line i: (from(i, 2r), from(i, 2r + 1)) at r, 0 beyond `lines` and `k`.
template <class T>
void read_lines(Strided<T> from, int64_t lines, int64_t k, bf16* to) {
  if (from.column == 1) {
    const __mmask32 lanes = first_lanes(k);
    for (int64_t i = 0; i < rows; ++i) {
      const __m512i line =
          i < lines ? read_32(from.data + i * from.row, lanes) : _mm512_setzero_si512();
      _mm512_storeu_si512(to + i * depth, line);
    }
    return;
  }
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < depth; ++j) {
      to[i * depth + j] = i < lines && j < k ? bf16(*from.at(i, j).data) : bf16();
    }
  }
}

/// to[r][i] = (from(i, 2r), from(i, 2r + 1)) where lines lie next to each other: from.row is 1.
template <class T>
void read_across(Strided<T> from, int64_t lines, int64_t k, bf16* to) {
  const auto lanes = static_cast<__mmask16>(first_lanes(lines));
  const auto line = [&](int64_t j) { return j < k ? from.data + j * from.column : nullptr; };
  for (int64_t r = 0; r < rows; ++r) {
    _mm512_storeu_si512(to + r * depth, read_pairs(line(2 * r), line(2 * r + 1), lanes));
  }
}

void transpose_tile(bf16* x) {
  Line lines[rows];
  transpose_square(reinterpret_cast<const float*>(x), rows, rows, lines);
  for (int64_t r = 0; r < rows; ++r) _mm512_storeu_ps(x + r * depth, (__m512)lines[r]);
}

/// A tile of 16 lines, pairs along k: the left operand of a product of tiles.
template <class T>
void pack_left(Strided<T> from, int64_t lines, int64_t k, bf16* to) {
  if (from.row == 1 && from.column != 1) {
    read_across(from, lines, k, to);
    transpose_tile(to);
  } else {
    read_lines(from, lines, k, to);
  }
}

/// The same transposed: the right operand.
template <class T>
void pack_right(Strided<T> from, int64_t lines, int64_t k, bf16* to) {
  if (from.row == 1 && from.column != 1) {
    read_across(from, lines, k, to);
  } else {
    read_lines(from, lines, k, to);
    transpose_tile(to);
  }
}

/// Tiles of up to 16 dense lines over k, one line after the other.
template <class T>
void pack_rows(Strided<T> from, int64_t lines, int64_t k, bf16* to) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < k; j += depth) {
      const __m512i line = i < lines ? read_32(from.data + i * from.row + j, first_lanes(k - j))
                                     : _mm512_setzero_si512();
      _mm512_storeu_si512(to + j * rows + i * depth, line);
    }
  }
}

/// Up to 16 lines from `line` over [begin, begin + k): in place, or as tiles in `space`.
TileRows left_operand(const Lines& x, int64_t line, int64_t begin, int64_t k, bf16* space) {
  const int64_t lines = x.count - line;
  const auto packed = [&](auto from) -> TileRows {
    if (from.column == 1) {
      pack_rows(from, lines, k, space);
    } else {
      for (int64_t j = 0; j < k; j += depth) {
        pack_left(from.at(0, j), std::min(lines, rows), k - j, space + j * rows);
      }
    }
    return {space, depth, tile};
  };
  if (x.dtype == DType::f32) return packed(x.at<float>(line, begin));
  const Strided<bf16> from = x.at<bf16>(line, begin);
  if (from.column == 1 && lines >= rows && k % depth == 0) {
    return {from.data, from.row, depth};
  }
  return packed(from);
}

/// c(i, j) = square(j, i) for i < height and j < columns.
void store_transposed(const float* square, int64_t height, int64_t columns, float* c, int64_t ldc) {
  Line lines[rows];
  transpose_square(square, rows, rows, lines);
  const auto lanes = static_cast<__mmask16>(first_lanes(columns));
  for (int64_t i = 0; i < height; ++i) {
    _mm512_mask_storeu_ps(c + i * ldc, lanes, (__m512)lines[i]);
  }
}

/// Sums over `steps` tiles of k: up to two tiles of rows times one or two of columns, which begin
/// at `b` and b + tile and go on b_step numbers further.
struct TileProduct {
  std::array<TileRows, 2> a;
  const bf16* b;
  int64_t b_step, steps;
  float* c;
  int64_t ldc;
};

/// By tile registers.
template <bool high, bool wide>
void multiply_tiles(const TileProduct& x) {
  constexpr int64_t row = depth * sizeof(bf16);
  const int64_t upper = x.a[0].row * static_cast<int64_t>(sizeof(bf16));
  const int64_t lower = x.a[1].row * static_cast<int64_t>(sizeof(bf16));
  const int64_t c_row = x.ldc * static_cast<int64_t>(sizeof(float));
  amx::zero<0>();
  amx::zero<1>();
  amx::zero<2>();
  amx::zero<3>();
  for (int64_t k = 0; k < x.steps; ++k) {
    amx::load<4>(x.a[0].tiles + k * x.a[0].step, upper);
    amx::load<6>(x.b + k * x.b_step, row);
    amx::dot<0, 4, 6>();
    if constexpr (wide) {
      amx::load<7>(x.b + k * x.b_step + tile, row);
      amx::dot<1, 4, 7>();
    }
    if constexpr (high) {
      amx::load<5>(x.a[1].tiles + k * x.a[1].step, lower);
      amx::dot<2, 5, 6>();
    }
    if constexpr (high && wide) amx::dot<3, 5, 7>();
  }
  amx::store<0>(x.c, c_row);
  if constexpr (wide) amx::store<1>(x.c + rows, c_row);
  if constexpr (high) amx::store<2>(x.c + rows * x.ldc, c_row);
  if constexpr (high && wide) amx::store<3>(x.c + rows * x.ldc + rows, c_row);
}

/// By vectors.
void multiply_vectors(const TileProduct& x, bool high, bool wide) {
  for (int half = 0; half < (high ? 2 : 1); ++half) {
    const TileRows& a = x.a[static_cast<size_t>(half)];
    multiply_pairs({.rows = rows,
                    .vectors = wide ? 2 : 1,
                    .pairs = x.steps * rows,
                    .a = a.tiles,
                    .a_row = a.row,
                    .a_pair = 2,
                    .a_group = a.step,
                    .b = x.b,
                    .b_vector = tile,
                    .b_pair = depth,
                    .b_group = x.b_step,
                    .c = x.c + half * rows * x.ldc,
                    .c_row = x.ldc,
                    .add = false});
  }
}

void multiply(const TileProduct& x, bool high, bool wide) {
  if (!amx::available()) return multiply_vectors(x, high, wide);
  if (high && wide) return multiply_tiles<true, true>(x);
  if (high) return multiply_tiles<true, false>(x);
  wide ? multiply_tiles<false, true>(x) : multiply_tiles<false, false>(x);
}

}  // namespace

Bf16Engine::Bf16Engine(Gemm& g)
    : g_(g),
      few_rows_(g.m <= rows && g.b.row_stride == 1),
      k_tiles_(tiles_in(g.k, depth)),
      line_tiles_(tiles_in(few_rows_ ? g.m : g.n, rows)),
      packed_(without_repeats(g.batch, (few_rows_ ? g.a : g.b).batch_strides).numel() * k_tiles_ *
              line_tiles_ * tile) {
  MatrixView& x = few_rows_ ? g.a : g.b;
  const Shape items = without_repeats(g.batch, x.batch_strides);
  x.dtype == DType::f32 ? pack<float>(items, x.batch_strides) : pack<bf16>(items, x.batch_strides);
  x.batch_strides = contiguous_strides(items);
  for (int axis = 0; axis < items.dim(); ++axis) {
    int64_t& stride = x.batch_strides[axis];
    stride = items[axis] == 1 ? 0 : stride * k_tiles_ * line_tiles_ * tile;
  }
}

Lines Bf16Engine::rows_of_a(int64_t offset) const {
  const MatrixView& a = g_.a;
  return {static_cast<const std::byte*>(a.data) + offset * itemsize(a.dtype), a.dtype, g_.m,
          a.row_stride, a.column_stride};
}

Lines Bf16Engine::columns_of_b(int64_t offset) const {
  const MatrixView& b = g_.b;
  return {static_cast<const std::byte*>(b.data) + offset * itemsize(b.dtype), b.dtype, g_.n,
          b.column_stride, b.row_stride};
}

/// Tiles of an item: [line_tiles / 2][k_tiles][2], but the last [k_tiles] if line_tiles is odd, so
/// that what a block of C meets lies together.
template <class T>
void Bf16Engine::pack(const Shape& items, const Strides& strides) {
  const int64_t per_item = k_tiles_ * line_tiles_;
  parallel_for(items.numel() * per_item, 48, [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) {
      int64_t rest = unit / per_item, offset = 0;
      for (int axis = items.dim() - 1; axis >= 0; --axis) {
        offset += rest % items[axis] * strides[axis];
        rest /= items[axis];
      }
      const Lines lines = few_rows_ ? rows_of_a(offset) : columns_of_b(offset);
      const int64_t at = unit % per_item, first = at / (2 * k_tiles_) * 2;
      const int64_t width = std::min<int64_t>(2, line_tiles_ - first), in = at - first * k_tiles_;
      const int64_t line = (first + in % width) * rows, k = in / width * depth;
      pack_right(lines.at<T>(line, k), lines.count - line, g_.k - k, packed_.data() + unit * tile);
    }
  });
}

/// The packed tiles from `line`, a multiple of 32, and `begin` on, of the item at `offset`.
const bf16* Bf16Engine::packed_tiles(int64_t offset, int64_t line, int64_t begin) const {
  const int64_t first = line / rows, width = std::min<int64_t>(2, line_tiles_ - first);
  return packed_.data() + offset + (first * k_tiles_ + begin / depth * width) * tile;
}

/// Blocks of C that stay in the first cache or near it. Where B is larger than the second cache,
/// larger blocks over a part of its columns, so that many rows meet them there. Few rows: a share
/// of the columns for every thread.
Tiling Bf16Engine::tiling(int threads) const {
  if (few_rows_) {
    constexpr int64_t most_columns = 512;
    const int64_t share = g_.batch.numel() < threads ? (g_.n + threads - 1) / threads : g_.n;
    return {rows, std::min(round_up(share, 2 * rows), most_columns)};
  }
  constexpr int64_t cached = 384 * 1024, small = 16 * 1024, large = 64 * 1024, most_rows = 256;
  const bool fits = std::min(g_.k, sum_block) * g_.n <= cached;
  const int64_t columns = fits ? g_.n : std::min<int64_t>(g_.n, large / most_rows);
  const int64_t fitting = (fits ? small : large) / columns / (2 * rows) * (2 * rows);
  const int64_t tasks = g_.batch.numel() * ((g_.n + columns - 1) / columns);
  const int64_t share = tasks < threads ? (g_.m + threads - 1) / threads : g_.m;
  return {std::clamp(std::min(fitting, round_up(share, 2 * rows)), 2 * rows, most_rows), columns};
}

/// Two rows of tiles of the left operand, and tiles of C.
size_t Bf16Engine::scratch_bytes(const Tiling&) const {
  const int64_t steps = std::min(k_tiles_, sum_block / depth);
  return static_cast<size_t>(2 * steps * tile) * sizeof(bf16) + 4 * rows * rows * sizeof(float);
}

bool Bf16Engine::product(const GemmTask& task, int64_t begin, int64_t k, float* c, int64_t ldc,
                         std::byte* scratch) const {
  const amx::Tiles scope;
  auto* const space = reinterpret_cast<bf16*>(scratch);
  few_rows_ ? few_rows(task, begin, k, c, ldc, space) : many_rows(task, begin, k, c, ldc, space);
  return true;
}

void Bf16Engine::many_rows(const GemmTask& task, int64_t begin, int64_t k, float* c, int64_t ldc,
                           bf16* space) const {
  const int64_t steps = tiles_in(k, depth), n = task.columns;
  auto* const edge = reinterpret_cast<float*>(space + 2 * steps * tile);
  Lines a = rows_of_a(task.a_offset);
  a.count = task.row + task.rows;
  for (int64_t i = 0; i < task.rows; i += 2 * rows) {
    const bool high = i + rows < task.rows;
    const TileRows upper = left_operand(a, task.row + i, begin, k, space);
    const TileRows lower =
        high ? left_operand(a, task.row + i + rows, begin, k, space + steps * tile) : upper;
    for (int64_t j = 0; j < n; j += 2 * rows) {
      const bool wide = j + rows < n, whole = j + (wide ? 2 : 1) * rows <= n;
      float* const at = c + i * ldc + j;
      const int64_t ld = whole ? ldc : 2 * rows;
      multiply({{upper, lower},
                packed_tiles(task.b_offset, task.column + j, begin),
                (wide ? 2 : 1) * tile,
                steps,
                whole ? at : edge,
                ld},
               high, wide);
      for (int64_t line = 0; !whole && line < std::min(2 * rows, task.rows - i); ++line) {
        std::copy_n(edge + line * ld, n - j, at + line * ldc);
      }
    }
  }
}

/// C^T = B^T A^T, two tiles high.
void Bf16Engine::few_rows(const GemmTask& task, int64_t begin, int64_t k, float* c, int64_t ldc,
                          bf16* space) const {
  const int64_t steps = tiles_in(k, depth), n = task.columns;
  auto* const sums = reinterpret_cast<float*>(space + 2 * steps * tile);
  const Lines b = columns_of_b(task.b_offset);
  const bf16* const a = packed_tiles(task.a_offset, 0, begin);
  for (int64_t j = 0; j < n; j += 2 * rows) {
    const bool high = n - j > rows;
    const TileRows upper = left_operand(b, task.column + j, begin, k, space);
    const TileRows lower =
        high ? left_operand(b, task.column + j + rows, begin, k, space + steps * tile) : upper;
    multiply({{upper, lower}, a, tile, steps, sums, rows}, high, false);
    store_transposed(sums, task.rows, n - j, c + j, ldc);
    if (high) {
      store_transposed(sums + rows * rows, task.rows, n - j - rows, c + j + rows, ldc);
    }
  }
}

#endif

}  // namespace tenet::detail
