/// LSH attention of 16-bit types by tensor cores: rows in shared memory, and products of a warp's
/// 16 rows with a run of 32 others.
#pragma once

#include <tenet/cuda/detail/lsh_task.h>

namespace tenet::cuda::lsh {

/// Keys, or in backward neighbours, that a block takes at a time: a run.
inline constexpr int kTile = static_cast<int>(kBucketRun);
/// Elements of a row of W in shared memory.
template <int W>
inline constexpr int kStride = mma::padded(W);

inline constexpr float kLog2E = 1.4426950408889634f, kLn2 = 0.6931471805599453f;

/// 16 rows as the left side of products, and 16 x N sums.
template <int W>
using Rows16 = uint32_t[W / 16][4];
template <int N>
using Sums16 = float[N / 8][4];

template <int N>
TENET_GPU void clear(float (&c)[N][4]) {
  TENET_UNROLL
  for (int n = 0; n < N; ++n) c[n][0] = c[n][1] = c[n][2] = c[n][3] = 0;
}

/// Copies row `from`, or zeros if it is null, to row `to` of a tile: part `part` of W / 8. What is
/// aligned arrives with the thread's group of copies.
template <class M, class T>
TENET_GPU void load_part(T* to, const T* from, int part, int size, bool aligned, const T* any) {
  const int c = part * 8;
  if (aligned) {
    const bool valid = from != nullptr && c < size;
    M::copy_async(to + c, valid ? from + c : any, valid);
    return;
  }
  for (int e = 0; e < 8; ++e) to[c + e] = from != nullptr && c + e < size ? from[c + e] : T(0);
}

/// The left side that 16 rows of a tile make.
template <class M, class T, int W>
TENET_GPU void load_rows(const T* tile, Rows16<W>& to) {
  const mma::Place place = mma::straight_row(M::thread() % 32);
  TENET_UNROLL
  for (int k = 0; k < W; k += 16) {
    M::load_matrices(to[k / 16], tile + place.row * kStride<W> + place.column + k);
  }
}

/// c = A B^T, `b` a tile of kTile rows.
template <class M, class T, int W>
TENET_GPU void multiply_rows(const Rows16<W>& a, const T* b, Sums16<kTile>& c) {
  const mma::Place place = mma::turned_row(M::thread() % 32);
  clear(c);
  TENET_UNROLL
  for (int k = 0; k < W; k += 16) {
    TENET_UNROLL
    for (int n = 0; n < kTile; n += 16) {
      uint32_t of_b[4];
      M::load_matrices(of_b, b + (n + place.row) * kStride<W> + place.column + k);
      M::template multiply_add<T>(c[n / 8], a[k / 16], of_b[0], of_b[1]);
      M::template multiply_add<T>(c[n / 8 + 1], a[k / 16], of_b[2], of_b[3]);
    }
  }
}
/// The same, A read from 16 rows of a tile as it is needed.
template <class M, class T, int W>
TENET_GPU void multiply_tiles(const T* a, const T* b, Sums16<kTile>& c) {
  const mma::Place left = mma::straight_row(M::thread() % 32);
  const mma::Place right = mma::turned_row(M::thread() % 32);
  clear(c);
  TENET_UNROLL
  for (int k = 0; k < W; k += 16) {
    uint32_t of_a[4];
    M::load_matrices(of_a, a + left.row * kStride<W> + left.column + k);
    TENET_UNROLL
    for (int n = 0; n < kTile; n += 16) {
      uint32_t of_b[4];
      M::load_matrices(of_b, b + (n + right.row) * kStride<W> + right.column + k);
      M::template multiply_add<T>(c[n / 8], of_a, of_b[0], of_b[1]);
      M::template multiply_add<T>(c[n / 8 + 1], of_a, of_b[2], of_b[3]);
    }
  }
}

/// c += P B: P the 16 x kTile numbers of p, rounded to T; B the kTile x W tile.
template <class M, class T, int W>
TENET_GPU void multiply_sums(const Sums16<kTile>& p, const T* b, Sums16<W>& c) {
  const mma::Place right = mma::straight_row(M::thread() % 32);
  TENET_UNROLL
  for (int k = 0; k < kTile; k += 16) {
    const float(&low)[4] = p[k / 8], (&high)[4] = p[k / 8 + 1];
    const uint32_t of_a[4] = {
        M::template pack<T>(low[0], low[1]), M::template pack<T>(low[2], low[3]),
        M::template pack<T>(high[0], high[1]), M::template pack<T>(high[2], high[3])};
    TENET_UNROLL
    for (int n = 0; n < W; n += 16) {
      uint32_t of_b[4];
      M::load_matrices_transposed(of_b, b + (k + right.row) * kStride<W> + right.column + n);
      M::template multiply_add<T>(c[n / 8], of_a, of_b[0], of_b[1]);
      M::template multiply_add<T>(c[n / 8 + 1], of_a, of_b[2], of_b[3]);
    }
  }
}

/// Calls visit(n, e, column) for the elements of this thread in row `row`, 0 or 1, of 16 x N sums.
template <class M, int N, class Visit>
TENET_GPU void visit_row(int row, Visit&& visit) {
  TENET_UNROLL
  for (int n = 0; n < N / 8; ++n) {
    TENET_UNROLL
    for (int e = 0; e < 2; ++e) {
      visit(n, row * 2 + e, n * 8 + mma::c_place(M::thread() % 32, e).column);
    }
  }
}

/// Two neighbouring sums of a row.
struct alignas(8) Pair {
  float low = 0, high = 0;
};
/// Calls visit(n, column) for this thread's pairs of columns of 16 x N sums.
template <class M, int N, class Visit>
TENET_GPU void visit_pairs(Visit&& visit) {
  TENET_UNROLL
  for (int n = 0; n < N / 8; ++n) visit(n, n * 8 + mma::c_place(M::thread() % 32, 0).column);
}
/// The numbers of a row at `column`, 0 beyond `size`.
TENET_GPU Pair load_pair(const float* row, int column, int size, bool aligned) {
  if (aligned) return column < size ? *reinterpret_cast<const Pair*>(row + column) : Pair();
  return {column < size ? row[column] : 0.0f, column + 1 < size ? row[column + 1] : 0.0f};
}
template <class M>
TENET_GPU void store_pair(float* row, int column, int size, bool aligned, const Pair& value) {
  if (aligned) {
    if (column < size) *reinterpret_cast<Pair*>(row + column) = value;
    return;
  }
  if (column < size) row[column] = value.low;
  if (column + 1 < size) row[column + 1] = value.high;
}
/// The same, rounded to T.
template <class M, class T>
TENET_GPU void store_pair(T* row, int column, int size, bool aligned, const Pair& value) {
  if (aligned) {
    if (column < size) {
      *reinterpret_cast<uint32_t*>(row + column) = M::template pack<T>(value.low, value.high);
    }
    return;
  }
  if (column < size) row[column] = T(value.low);
  if (column + 1 < size) row[column + 1] = T(value.high);
}

/// Which weights of this thread's rows, at positions `own`, and a run's places, at `tokens`,
/// dropout keeps: bit n * 4 + e. A loop, for the sake of registers.
template <class M, class T>
TENET_GPU uint32_t kept_bits(const Task<T>& t, int64_t head, const int (&own)[2], const int* tokens,
                             bool own_is_key) {
  uint32_t bits = 0;
  TENET_ROLL
  for (int bit = 0; bit < kTile / 2; ++bit) {
    const mma::Place place = mma::c_place(M::thread() % 32, bit % 4);
    const int64_t mine = bit % 4 < 2 ? own[0] : own[1], other = tokens[bit / 4 * 8 + place.column];
    if (mine < 0) continue;
    const bool kept = own_is_key ? t.keeps(head, other, mine) : t.keeps(head, mine, other);
    bits |= kept ? 1u << bit : 0u;
  }
  return bits;
}

/// The places of a bucket that a block of threads works on, [first, last), and the end of the
/// bucket, or where the last of them sees no further. `shared` holds a number for each warp.
struct PlaceBlock {
  int64_t head = 0;
  int begin = 0, first = 0, last = 0, end = 0;
};
template <class M, class T>
TENET_GPU PlaceBlock place_block(const Task<T>& t, int64_t number, int most, int64_t after,
                                 int* shared) {
  PlaceBlock block;
  block.head = t.head_of(number);
  block.first = static_cast<int>(number % t.L);
  block.begin = static_cast<int>(t.begin_of(number));
  const int32_t* order = t.order_of(block.head);
  const auto limit = static_cast<int>(lesser(t.L, block.first + most + after));
  int end = limit;
  for (int64_t j = block.first + 1 + M::thread(); j < end; j += M::threads()) {
    if (order[j] < 0) end = static_cast<int>(j);
  }
  end = warp_least<M>(end);
  if (M::thread() % 32 == 0) shared[M::thread() / 32] = end;
  M::barrier();
  for (int w = 0; w < M::threads() / 32; ++w) end = static_cast<int>(lesser(end, shared[w]));
  block.end = end;
  block.last = static_cast<int>(lesser(end, block.first + most));
  return block;
}

}  // namespace tenet::cuda::lsh
