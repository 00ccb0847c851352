/// bf16 operands as tiles: 16 lines (rows of A or columns of B) of 32 k. A left tile holds a line
/// after the other, a right one pairs along k after the other, a pair of each line.
#pragma once

#include <tenet/ops/detail/amx.h>
#include <tenet/ops/gemm/detail/micro.h>

namespace tenet::detail::bf16_tiles {

#if TENET_HAVE_AVX512

inline constexpr int64_t rows = amx::rows, depth = amx::depth, tile = rows * depth;
using Line = VectorOf<float>::Type;  // 16 pairs of bf16

/// The 32 numbers at `from` as bf16; 0 where `lanes` has none.
inline __m512i read_32(const bf16* from, __mmask32 lanes) {
  return _mm512_maskz_loadu_epi16(lanes, from);
}
inline __m512i read_32(const float* from, __mmask32 lanes) {
  const auto low = static_cast<__mmask16>(lanes), high = static_cast<__mmask16>(lanes >> 16);
  return round_both(_mm512_maskz_loadu_ps(low, from), _mm512_maskz_loadu_ps(high, from + 16));
}

/// Pairs of the 16 numbers at `first` and those at `second`, rounded to bf16; 0 where `lanes` has
/// none, and where there are none at all.
inline __m512i read_pairs(const bf16* first, const bf16* second, __mmask16 lanes) {
  typedef uint16_t Narrow __attribute__((vector_size(32)));
  const auto read = [&](const bf16* from) {
    if (!from) return Words{};
    return __builtin_convertvector((Narrow)_mm256_maskz_loadu_epi16(lanes, from), Words);
  };
  return (__m512i)(read(first) | read(second) << 16);
}
inline __m512i read_pairs(const float* first, const float* second, __mmask16 lanes) {
  const auto read = [&](const float* from) {
    return from ? _mm512_maskz_loadu_ps(lanes, from) : _mm512_setzero_ps();
  };
  return round_pairs(read(first), read(second));
}

/// 32 k of line i of `lines` dense ones.
template <class T>
__m512i read_line(Strided<T> from, int64_t i, int64_t lines, int64_t k) {
  if (i >= lines) return _mm512_setzero_si512();
  return read_32(from.data + i * from.row, first_lanes(k));
}

/// to[i] = pairs along k of line i: (from(i, 2r), from(i, 2r + 1)) at r, 0 beyond `lines` and `k`.
template <class T>
void read_lines(Strided<T> from, int64_t lines, int64_t k, bf16* to) {
  if (from.column == 1) {
    for (int64_t i = 0; i < rows; ++i) {
      _mm512_storeu_si512(to + i * depth, read_line(from, i, lines, k));
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

/// The same of two tiles side by side.
inline void read_across_two(Strided<bf16> from, int64_t lines, int64_t k, bf16* to) {
  const __mmask32 lanes = first_lanes(lines);
  const auto line = [&](int64_t j) {
    return j < k ? read_32(from.data + j * from.column, lanes) : _mm512_setzero_si512();
  };
  for (int64_t r = 0; r < rows; ++r, to += depth) {
    store_pairs(line(2 * r), line(2 * r + 1), to, to + tile);
  }
}

/// to[r][i] = pair r of line i, of up to 16 lines of 16 pairs `stride` numbers apart.
inline void transpose_tile(const bf16* from, int64_t stride, int64_t lines, bf16* to) {
  Line pairs[rows];
  transpose_square(reinterpret_cast<const float*>(from), stride / 2, lines, pairs);
  for (int64_t r = 0; r < rows; ++r) _mm512_storeu_ps(to + r * depth, (__m512)pairs[r]);
}

/// A tile of 16 lines, pairs along k: the left operand of a product of tiles.
template <class T>
void pack_left(Strided<T> from, int64_t lines, int64_t k, bf16* to) {
  if (from.row == 1 && from.column != 1) {
    read_across(from, lines, k, to);
    transpose_tile(to, depth, rows, to);
  } else {
    read_lines(from, lines, k, to);
  }
}

/// The same transposed: the right operand.
template <class T>
void pack_right(Strided<T> from, int64_t lines, int64_t k, bf16* to) {
  if (from.row == 1 && from.column != 1) {
    read_across(from, lines, k, to);
    return;
  }
  if constexpr (std::is_same_v<T, bf16>) {
    if (from.column == 1 && from.row % 2 == 0 && k >= depth) {
      return transpose_tile(from.data, from.row, lines, to);
    }
  }
  read_lines(from, lines, k, to);
  transpose_tile(to, depth, rows, to);
}

/// The same of up to 32 lines: one tile or two.
template <class T>
void pack_strip(Strided<T> from, int64_t lines, int64_t k, bf16* to) {
  if constexpr (std::is_same_v<T, bf16>) {
    if (lines > rows && from.row == 1 && from.column != 1) {
      return read_across_two(from, lines, k, to);
    }
  }
  pack_right(from, lines, k, to);
  if (lines > rows) pack_right(from.at(rows, 0), lines - rows, k, to + tile);
}

/// Fetches what pack_strip() will read of the next 32 of `lines` lines.
template <class T>
void prefetch_strip(Strided<T> from, int64_t lines, int64_t k) {
  const int64_t left = lines - 2 * rows;
  if (left <= 0) return;
  const bool dense = from.column == 1;
  const int64_t count = std::min(dense ? left : k, depth), step = dense ? from.row : from.column;
  const T* next = from.at(2 * rows, 0).data;
  for (int64_t i = 0; i < count; ++i, next += step) {
    for (size_t at = 0; at < depth; at += 64 / sizeof(T)) __builtin_prefetch(next + at);
  }
}

/// Tiles of up to 16 dense lines over k, one line after the other.
template <class T>
void pack_rows(Strided<T> from, int64_t lines, int64_t k, bf16* to) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < k; j += depth) {
      const __m512i line = read_line(from.at(0, j), i, lines, k - j);
      _mm512_storeu_si512(to + j * rows + i * depth, line);
    }
  }
}

#endif

}  // namespace tenet::detail::bf16_tiles
