#include <tenet/core/parallel.h>
#include <tenet/ops/gemm/detail/bf16_engine.h>
#include <tenet/ops/gemm/detail/bf16_pack.h>
#include <tenet/ops/gemm/detail/round.h>

namespace tenet::detail {

#if TENET_HAVE_AVX512

namespace {

using namespace bf16_tiles;

Shape without_repeats(const Shape& batch, const Strides& strides) {
  Shape items;
  for (int axis = 0; axis < batch.dim(); ++axis) {
    items.push_back(strides[axis] == 0 ? 1 : batch[axis]);
  }
  return items;
}

int64_t tiles_in(int64_t count, int64_t unit) { return (count + unit - 1) / unit; }

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

/// Up to 32 lines; the lower 16 are the upper ones where there are no more.
std::array<TileRows, 2> left_operands(const Lines& x, int64_t line, int64_t begin, int64_t k,
                                      const std::array<bf16*, 2>& space) {
  const TileRows upper = left_operand(x, line, begin, k, space[0]);
  if (x.count - line <= rows) return {upper, upper};
  return {upper, left_operand(x, line + rows, begin, k, space[1])};
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
/// at `b` and b + tile and go on b_step, a tile or two, further.
struct TileProduct {
  std::array<TileRows, 2> a;
  int64_t lines;  // of `a`
  const bf16* b;
  int64_t b_step, steps;
  float* c;  // with room for whole tiles
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
void multiply_vectors(const TileProduct& x) {
  for (int64_t first = 0; first < x.lines; first += rows) {
    const TileRows& a = x.a[static_cast<size_t>(first / rows)];
    multiply_pairs({.rows = std::min(rows, x.lines - first),
                    .vectors = x.b_step / tile,
                    .pairs = x.steps * rows,
                    .a = a.tiles,
                    .a_row = a.row,
                    .a_pair = 2,
                    .a_group = a.step,
                    .b = x.b,
                    .b_vector = tile,
                    .b_pair = depth,
                    .b_group = x.b_step,
                    .c = x.c + first * x.ldc,
                    .c_row = x.ldc,
                    .add = false});
  }
}

void multiply(const TileProduct& x) {
  if (!amx::available()) return multiply_vectors(x);
  const bool high = x.lines > rows, wide = x.b_step > tile;
  if (high && wide) return multiply_tiles<true, true>(x);
  if (high) return multiply_tiles<true, false>(x);
  wide ? multiply_tiles<false, true>(x) : multiply_tiles<false, false>(x);
}

}  // namespace

/// With fewer rows vectors would mostly multiply the zeros that fill A's tile up: then B is
/// transposed strip by strip instead.
constexpr int64_t least_swapped_rows = 4;

Bf16Engine::Way Bf16Engine::way_of(const Gemm& g) {
  const int64_t least = amx::available() ? 1 : least_swapped_rows;
  if (g.b.row_stride == 1 && g.m >= least && g.m <= rows) return Way::swapped;
  return g.m <= 2 * rows ? Way::strips : Way::packed;
}

Bf16Engine::Bf16Engine(Gemm& g)
    : g_(g),
      way_(way_of(g)),
      k_tiles_(tiles_in(g.k, depth)),
      line_tiles_(tiles_in(way_ == Way::swapped ? g.m : g.n, rows)) {
  if (way_ == Way::strips) return;
  MatrixView& x = way_ == Way::swapped ? g.a : g.b;
  const Shape items = without_repeats(g.batch, x.batch_strides);
  const int64_t per_item = k_tiles_ * line_tiles_ * tile;
  packed_.emplace(items.numel() * per_item);
  x.dtype == DType::f32 ? pack<float>(items, x.batch_strides) : pack<bf16>(items, x.batch_strides);
  x.batch_strides = contiguous_strides(items);
  for (int axis = 0; axis < items.dim(); ++axis) {
    x.batch_strides[axis] *= items[axis] == 1 ? 0 : per_item;
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

/// Tiles of an item: strips of [k_tiles][2], the last [k_tiles] if line_tiles is odd, so that what
/// a block of C meets lies together.
template <class T>
void Bf16Engine::pack(const Shape& items, const Strides& strides) {
  const int64_t units = (line_tiles_ + 1) / 2 * k_tiles_;
  parallel_for(items.numel() * units, 24, [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) {
      int64_t rest = unit / units, offset = 0;
      for (int axis = items.dim() - 1; axis >= 0; --axis) {
        offset += rest % items[axis] * strides[axis];
        rest /= items[axis];
      }
      const Lines lines = way_ == Way::swapped ? rows_of_a(offset) : columns_of_b(offset);
      const int64_t line = unit % units / k_tiles_ * 2 * rows, k = unit % k_tiles_ * depth;
      const int64_t item = unit / units * k_tiles_ * line_tiles_ * tile;
      pack_strip(lines.at<T>(line, k), lines.count - line, g_.k - k,
                 packed_->data() + item + packed_place(line, k));
    }
  });
}

/// Where the tile of `line`, a multiple of 32, and `k` lies among those of its item.
int64_t Bf16Engine::packed_place(int64_t line, int64_t k) const {
  const int64_t first = line / rows, width = std::min<int64_t>(2, line_tiles_ - first);
  return (first * k_tiles_ + k / depth * width) * tile;
}

/// The tiles of up to 32 columns of B from `column` on, over [begin, begin + k): packed at first,
/// or now into `space`.
const bf16* Bf16Engine::strip_of_b(int64_t offset, int64_t column, int64_t begin, int64_t k,
                                   bf16* space) const {
  if (packed_) return packed_->data() + offset + packed_place(column, begin);
  const Lines b = columns_of_b(offset);
  const int64_t lines = b.count - column, step = (lines > rows ? 2 : 1) * tile;
  const auto pack = [&](auto from) {
    for (int64_t j = 0; j < k; j += depth) {
      prefetch_strip(from.at(0, j), lines, k - j);
      pack_strip(from.at(0, j), lines, k - j, space + j / depth * step);
    }
  };
  b.dtype == DType::f32 ? pack(b.at<float>(column, begin)) : pack(b.at<bf16>(column, begin));
  return space;
}

/// Blocks of C that stay in the first cache or near it. Where B is larger than the second cache,
/// larger blocks over a part of its columns, so that many rows meet them there. Few rows: a share
/// of the columns for every thread.
Tiling Bf16Engine::tiling(int threads) const {
  if (way_ != Way::packed) {
    constexpr int64_t most_columns = 512;
    const int64_t share = g_.batch.numel() < threads ? (g_.n + threads - 1) / threads : g_.n;
    return {2 * rows, std::min(round_up(share, 2 * rows), most_columns)};
  }
  constexpr int64_t cached = 384 * 1024, small = 16 * 1024, large = 64 * 1024, most_rows = 256;
  const bool fits = std::min(g_.k, sum_block) * g_.n <= cached;
  const int64_t columns = fits ? g_.n : std::min<int64_t>(g_.n, large / most_rows);
  const int64_t fitting = (fits ? small : large) / columns / (2 * rows) * (2 * rows);
  const int64_t tasks = g_.batch.numel() * ((g_.n + columns - 1) / columns);
  const int64_t share = tasks < threads ? (g_.m + threads - 1) / threads : g_.m;
  return {std::clamp(std::min(fitting, round_up(share, 2 * rows)), 2 * rows, most_rows), columns};
}

/// Tiles of C, two rows of tiles of the left operand, and where B is not packed two columns of it.
size_t Bf16Engine::scratch_bytes(const Tiling&) const {
  const int64_t steps = std::min(k_tiles_, sum_block / depth);
  const int64_t lines = way_ == Way::strips ? 4 : 2;
  return 4 * rows * rows * sizeof(float) + static_cast<size_t>(lines * steps * tile) * sizeof(bf16);
}

bool Bf16Engine::product(const GemmTask& task, int64_t begin, int64_t k, float* c, int64_t ldc,
                         std::byte* scratch) const {
  const amx::Tiles scope;
  auto* const sums = reinterpret_cast<float*>(scratch);
  auto* const operands = reinterpret_cast<bf16*>(sums + 4 * rows * rows);
  const int64_t line = tiles_in(k, depth) * tile;
  const Scratch space{sums, {operands, operands + line}, operands + 2 * line};
  (this->*(way_ == Way::swapped ? &Bf16Engine::swapped : &Bf16Engine::straight))(task, begin, k, c,
                                                                                 ldc, space);
  return true;
}

void Bf16Engine::straight(const GemmTask& task, int64_t begin, int64_t k, float* c, int64_t ldc,
                          const Scratch& space) const {
  const int64_t n = task.columns;
  Lines a = rows_of_a(task.a_offset);
  a.count = task.row + task.rows;
  for (int64_t i = 0; i < task.rows; i += 2 * rows) {
    const int64_t lines = std::min(2 * rows, task.rows - i);
    const auto left = left_operands(a, task.row + i, begin, k, space.left);
    for (int64_t j = 0; j < n; j += 2 * rows) {
      const int64_t width = j + rows < n ? 2 : 1;
      const bool whole = j + width * rows <= n;
      float* const at = c + i * ldc + j;
      const int64_t ld = whole ? ldc : 2 * rows;
      multiply({.a = left,
                .lines = lines,
                .b = strip_of_b(task.b_offset, task.column + j, begin, k, space.right),
                .b_step = width * tile,
                .steps = tiles_in(k, depth),
                .c = whole ? at : space.sums,
                .ldc = ld});
      for (int64_t line = 0; !whole && line < lines; ++line) {
        std::copy_n(space.sums + line * ld, n - j, at + line * ldc);
      }
    }
  }
}

/// Two tiles high.
void Bf16Engine::swapped(const GemmTask& task, int64_t begin, int64_t k, float* c, int64_t ldc,
                         const Scratch& space) const {
  const int64_t n = task.columns;
  const Lines b = columns_of_b(task.b_offset);
  const bf16* const a = packed_->data() + task.a_offset + packed_place(0, begin);
  for (int64_t j = 0; j < n; j += 2 * rows) {
    const bool high = n - j > rows;
    multiply({.a = left_operands(b, task.column + j, begin, k, space.left),
              .lines = (high ? 2 : 1) * rows,
              .b = a,
              .b_step = tile,
              .steps = tiles_in(k, depth),
              .c = space.sums,
              .ldc = rows});
    store_transposed(space.sums, task.rows, n - j, c + j, ldc);
    if (high) {
      store_transposed(space.sums + rows * rows, task.rows, n - j - rows, c + j + rows, ldc);
    }
  }
}

#endif

}  // namespace tenet::detail
