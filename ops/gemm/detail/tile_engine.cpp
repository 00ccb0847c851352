#include <tenet/core/parallel.h>
#include <tenet/ops/gemm/detail/round.h>
#include <tenet/ops/gemm/detail/tile_engine.h>

#include <array>

namespace tenet::detail {

#if TENET_HAVE_AMX

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
  return upper_halves(bf16_words<Words>(_mm512_maskz_loadu_ps(low, from)),
                      bf16_words<Words>(_mm512_maskz_loadu_ps(high, from + 16)));
}

/// The 16 numbers at `from` as bf16, each in the lower half of a word.
Words read_16(const bf16* from, __mmask16 lanes) {
  typedef uint16_t Narrow __attribute__((vector_size(32)));
  return __builtin_convertvector((Narrow)_mm256_maskz_loadu_epi16(lanes, from), Words);
}
Words read_16(const float* from, __mmask16 lanes) {
  return bf16_words<Words>(_mm512_maskz_loadu_ps(lanes, from)) >> 16;
}

/// to[i] = pairs along k of line i: (from(i, 2r), from(i, 2r + 1)) at r, 0 beyond `lines` and `k`.
template <class T>
void read_lines(Strided<T> from, int64_t lines, int64_t k, bf16* to) {
  if (from.column == 1) {
    const __mmask32 lanes = amx::first_lanes(k);
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
  const auto lanes = static_cast<__mmask16>(amx::first_lanes(lines));
  const auto read = [&](int64_t j) {
    return j < k ? read_16(from.data + j * from.column, lanes) : Words{};
  };
  for (int64_t r = 0; r < rows; ++r) {
    _mm512_storeu_si512(to + r * depth, (__m512i)(read(2 * r) | read(2 * r + 1) << 16));
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

/// Up to 16 lines from `line` over [begin, begin + k): in place, or as tiles in `space`.
TileRows left_operand(const Lines& x, int64_t line, int64_t begin, int64_t k, bf16* space) {
  const int64_t lines = x.count - line;
  const auto packed = [&](auto from) -> TileRows {
    for (int64_t j = 0; j < k; j += depth) {
      pack_left(from.at(0, j), std::min(lines, rows), k - j, space + j * rows);
    }
    return {space, depth * sizeof(bf16), tile};
  };
  if (x.dtype == DType::f32) return packed(x.at<float>(line, begin));
  const Strided<bf16> from = x.at<bf16>(line, begin);
  if (from.column == 1 && lines >= rows && k % depth == 0) {
    return {from.data, from.row * static_cast<int64_t>(sizeof(bf16)), depth};
  }
  return packed(from);
}

/// c(i, j) = square(j, i) for i < height and j < columns.
void store_transposed(const float* square, int64_t height, int64_t columns, float* c, int64_t ldc) {
  Line lines[rows];
  transpose_square(square, rows, rows, lines);
  const auto lanes = static_cast<__mmask16>(amx::first_lanes(columns));
  for (int64_t i = 0; i < height; ++i) {
    _mm512_mask_storeu_ps(c + i * ldc, lanes, (__m512)lines[i]);
  }
}

/// C, one or two tiles high and wide: sums over `steps` tiles of k.
template <int high, int wide>
void tile_products(const std::array<TileRows, 2>& a, const bf16* b, int64_t b_step, int64_t steps,
                   float* c, int64_t ldc) {
  const int64_t c_bytes = ldc * static_cast<int64_t>(sizeof(float));
  amx::zero<0>();
  amx::zero<1>();
  amx::zero<2>();
  amx::zero<3>();
  for (int64_t k = 0; k < steps; ++k) {
    amx::load<4>(a[0].tiles + k * a[0].step, a[0].row_bytes);
    amx::load<6>(b + k * b_step, 64);
    amx::dot<0, 4, 6>();
    if constexpr (wide == 2) {
      amx::load<7>(b + k * b_step + tile, 64);
      amx::dot<1, 4, 7>();
    }
    if constexpr (high == 2) {
      amx::load<5>(a[1].tiles + k * a[1].step, a[1].row_bytes);
      amx::dot<2, 5, 6>();
    }
    if constexpr (high == 2 && wide == 2) amx::dot<3, 5, 7>();
  }
  amx::store<0>(c, c_bytes);
  if constexpr (wide == 2) amx::store<1>(c + rows, c_bytes);
  if constexpr (high == 2) amx::store<2>(c + rows * ldc, c_bytes);
  if constexpr (high == 2 && wide == 2) amx::store<3>(c + rows * ldc + rows, c_bytes);
}

}  // namespace

TileEngine::TileEngine(Gemm& g)
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

Lines TileEngine::rows_of_a(int64_t offset) const {
  const MatrixView& a = g_.a;
  return {static_cast<const std::byte*>(a.data) + offset * itemsize(a.dtype), a.dtype, g_.m,
          a.row_stride, a.column_stride};
}

Lines TileEngine::columns_of_b(int64_t offset) const {
  const MatrixView& b = g_.b;
  return {static_cast<const std::byte*>(b.data) + offset * itemsize(b.dtype), b.dtype, g_.n,
          b.column_stride, b.row_stride};
}

/// Tiles of an item: [k_tiles][line_tiles].
template <class T>
void TileEngine::pack(const Shape& items, const Strides& strides) {
  const int64_t per_item = k_tiles_ * line_tiles_;
  parallel_for(items.numel() * per_item, 48, [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) {
      int64_t rest = unit / per_item, offset = 0;
      for (int axis = items.dim() - 1; axis >= 0; --axis) {
        offset += rest % items[axis] * strides[axis];
        rest /= items[axis];
      }
      const Lines lines = few_rows_ ? rows_of_a(offset) : columns_of_b(offset);
      const int64_t at = unit % per_item;
      const int64_t line = at % line_tiles_ * rows, k = at / line_tiles_ * depth;
      pack_right(lines.at<T>(line, k), lines.count - line, g_.k - k, packed_.data() + unit * tile);
    }
  });
}

/// Blocks of C that stay in the first cache or near it. Where B is larger than the second cache,
/// larger blocks over a part of its columns, so that many rows meet them there. Few rows: a share
/// of the columns for every thread.
Tiling TileEngine::tiling(int threads) const {
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
size_t TileEngine::scratch_bytes(const Tiling&) const {
  const int64_t steps = std::min(k_tiles_, sum_block / depth);
  return static_cast<size_t>(2 * steps * tile) * sizeof(bf16) + 4 * rows * rows * sizeof(float);
}

bool TileEngine::product(const GemmTask& task, int64_t begin, int64_t k, float* c, int64_t ldc,
                         std::byte* scratch) const {
  const amx::Tiles scope;
  auto* const space = reinterpret_cast<bf16*>(scratch);
  few_rows_ ? few_rows(task, begin, k, c, ldc, space) : many_rows(task, begin, k, c, ldc, space);
  return true;
}

void TileEngine::many_rows(const GemmTask& task, int64_t begin, int64_t k, float* c, int64_t ldc,
                           bf16* space) const {
  const int64_t steps = tiles_in(k, depth), n = task.columns;
  auto* const edge = reinterpret_cast<float*>(space + 2 * steps * tile);
  Lines a = rows_of_a(task.a_offset);
  a.count = task.row + task.rows;
  const bf16* b =
      packed_.data() + task.b_offset + (begin / depth * line_tiles_ + task.column / rows) * tile;
  for (int64_t i = 0; i < task.rows; i += 2 * rows) {
    const bool high = i + rows < task.rows;
    const TileRows upper = left_operand(a, task.row + i, begin, k, space);
    const TileRows lower =
        high ? left_operand(a, task.row + i + rows, begin, k, space + steps * tile) : upper;
    for (int64_t j = 0; j < n; j += 2 * rows) {
      const bool wide = j + rows < n, whole = j + (wide ? 2 : 1) * rows <= n;
      float* const at = c + i * ldc + j;
      const int64_t ld = whole ? ldc : 2 * rows;
      float* const to = whole ? at : edge;
      const auto run = [&]<int up, int across>() {
        tile_products<up, across>({upper, lower}, b + j * depth, line_tiles_ * tile, steps, to, ld);
      };
      if (high && wide) run.template operator()<2, 2>();
      if (high && !wide) run.template operator()<2, 1>();
      if (!high && wide) run.template operator()<1, 2>();
      if (!high && !wide) run.template operator()<1, 1>();
      for (int64_t line = 0; !whole && line < std::min(2 * rows, task.rows - i); ++line) {
        std::copy_n(edge + line * ld, n - j, at + line * ldc);
      }
    }
  }
}

/// C^T = B^T A^T, two tiles high.
void TileEngine::few_rows(const GemmTask& task, int64_t begin, int64_t k, float* c, int64_t ldc,
                          bf16* space) const {
  const int64_t steps = tiles_in(k, depth), n = task.columns;
  auto* const sums = reinterpret_cast<float*>(space + 2 * steps * tile);
  const Lines b = columns_of_b(task.b_offset);
  const bf16* const a = packed_.data() + task.a_offset + begin / depth * tile;
  for (int64_t j = 0; j < n; j += 2 * rows) {
    const TileRows upper = left_operand(b, task.column + j, begin, k, space);
    if (n - j <= rows) {
      tile_products<1, 1>({upper, upper}, a, tile, steps, sums, rows);
    } else {
      const TileRows lower =
          left_operand(b, task.column + j + rows, begin, k, space + steps * tile);
      tile_products<2, 1>({upper, lower}, a, tile, steps, sums, rows);
      store_transposed(sums + rows * rows, task.rows, n - j - rows, c + j + rows, ldc);
    }
    store_transposed(sums, task.rows, n - j, c + j, ldc);
  }
}

#endif

}  // namespace tenet::detail
