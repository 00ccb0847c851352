#include <tenet/ops/gemm/detail/blocked.h>

namespace tenet::detail {
namespace {

/// Packs the rows of A in panels of tile_rows; the last one only as high as its kernel.
template <class T, class From>
void pack_rows(int64_t m, int64_t k, Strided<From> a, T* to) {
  for (int64_t i = 0; i < m; i += tile_rows) {
    const int64_t rows = std::min<int64_t>(tile_rows, m - i);
    pack_panel(a.at(i, 0), rows, k, TileKernel<T>::of(rows).rows, to + i * k);
  }
}

/// Adds a tile that sticks out of C by way of a whole one.
template <class T>
void run_edge(const TileKernel<T>& kernel, int64_t k, const T* a, const T* b, int64_t ldb,
              int64_t rows, int64_t columns, T* c, int64_t ldc, bool add, T* tile) {
  kernel.run(k, a, b, ldb, tile, tile_columns<T>, false);
  for (int64_t i = 0; i < rows; ++i) {
    const T* from = tile + i * tile_columns<T>;
    T* to = c + i * ldc;
    for (int64_t j = 0; j < columns; ++j) to[j] = add ? to[j] + from[j] : from[j];
  }
}

}  // namespace

template <class T, class From>
void blocked_product(int64_t m, int64_t n, int64_t k, Strided<From> a, Strided<From> b, T* c,
                     int64_t ldc, bool add, T* scratch) {
  T* const panel = scratch;
  T* const tile = panel + chain_block * tile_columns<T> + pack_slack<T>;
  T* const packed = tile + tile_rows * tile_columns<T>;
  pack_rows(m, k, a, packed);
  for (int64_t j = 0; j < n; j += tile_columns<T>) {
    const int64_t columns = std::min<int64_t>(tile_columns<T>, n - j);
    const T* right = panel;
    int64_t ldb = tile_columns<T>;
    bool direct = false;
    if constexpr (std::is_same_v<T, From>) {
      direct = b.column == 1 && columns == tile_columns<T> && m <= 2 * tile_rows;
      if (direct) right = b.at(0, j).data, ldb = b.row;
    }
    if (!direct) pack_panel(b.at(0, j).transposed(), columns, k, tile_columns<T>, panel);
    for (int64_t i = 0; i < m; i += tile_rows) {
      const int64_t rows = std::min<int64_t>(tile_rows, m - i);
      const auto kernel = TileKernel<T>::of(rows);
      T* const to = c + i * ldc + j;
      if (rows == kernel.rows && columns == tile_columns<T>) {
        kernel.run(k, packed + i * k, right, ldb, to, ldc, add);
      } else {
        run_edge(kernel, k, packed + i * k, right, ldb, rows, columns, to, ldc, add, tile);
      }
    }
  }
}

template void blocked_product(int64_t, int64_t, int64_t, Strided<float>, Strided<float>, float*,
                              int64_t, bool, float*);
template void blocked_product(int64_t, int64_t, int64_t, Strided<bf16>, Strided<bf16>, float*,
                              int64_t, bool, float*);
template void blocked_product(int64_t, int64_t, int64_t, Strided<f16>, Strided<f16>, float*,
                              int64_t, bool, float*);
template void blocked_product(int64_t, int64_t, int64_t, Strided<double>, Strided<double>, double*,
                              int64_t, bool, double*);
template void blocked_product(int64_t, int64_t, int64_t, Strided<uint8_t>, Strided<uint8_t>,
                              uint32_t*, int64_t, bool, uint32_t*);
template void blocked_product(int64_t, int64_t, int64_t, Strided<uint32_t>, Strided<uint32_t>,
                              uint32_t*, int64_t, bool, uint32_t*);
template void blocked_product(int64_t, int64_t, int64_t, Strided<uint64_t>, Strided<uint64_t>,
                              uint64_t*, int64_t, bool, uint64_t*);

}  // namespace tenet::detail
