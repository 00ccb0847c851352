/// bf16 products by the tile registers of x86 processors, or else by their vectors of pairs.
#pragma once

#include <tenet/ops/detail/amx.h>
#include <tenet/ops/gemm/detail/engines.h>

namespace tenet::detail {

#if TENET_HAVE_AVX512

/// Vectors along k of one batch item: rows of A or columns of B.
struct Lines {
  const void* data;
  DType dtype;
  int64_t count, stride, k_stride;

  template <class T>
  Strided<T> at(int64_t line, int64_t k) const {
    return Strided<T>{static_cast<const T*>(data), stride, k_stride}.at(line, k);
  }
};

/// 16 lines over a block of k, a tile for every 32 k. Strides count numbers.
struct TileRows {
  const bf16* tiles;
  int64_t row, step;  // from one line, and from one tile, to the next
};

/// An element's sum over a block of k adds, by tile registers, for 32 k after the other (sum over
/// even k) + (sum over odd k), by vectors what Note [Products of pairs] says. One operand is packed
/// once into tiles, the other read in place where it can be: B and A, but A and B where A has one
/// tile of rows and B's columns are dense. Then C^T = B^T A^T, whose sums are the same. f32
/// operands are rounded as they are packed, subnormal ones to 0.
class Bf16Engine {
 public:
  /// Packs each matrix once; its operand's offset in a task then counts packed elements.
  explicit Bf16Engine(Gemm& g);

  Tiling tiling(int threads) const;
  size_t scratch_bytes(const Tiling& tiling) const;
  static constexpr bool needs_tile = true;
  bool product(const GemmTask& task, int64_t begin, int64_t k, float* c, int64_t ldc,
               std::byte* scratch) const;

 private:
  Lines rows_of_a(int64_t offset) const;
  Lines columns_of_b(int64_t offset) const;
  template <class T>
  void pack(const Shape& items, const Strides& strides);
  const bf16* packed_tiles(int64_t offset, int64_t line, int64_t begin) const;
  void many_rows(const GemmTask& task, int64_t begin, int64_t k, float* c, int64_t ldc,
                 bf16* space) const;
  void few_rows(const GemmTask& task, int64_t begin, int64_t k, float* c, int64_t ldc,
                bf16* space) const;

  const Gemm& g_;
  bool few_rows_;
  int64_t k_tiles_, line_tiles_;  // of the packed operand
  memory::Workspace<bf16> packed_;
};

#endif

}  // namespace tenet::detail
