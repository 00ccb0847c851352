/// bf16 products by the tile registers of x86 processors.
#pragma once

#include <tenet/ops/detail/amx.h>
#include <tenet/ops/gemm/detail/engines.h>

namespace tenet::detail {

#if TENET_HAVE_AMX

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

/// 16 lines over a block of k, a tile for every 32 k.
struct TileRows {
  const bf16* tiles;
  int64_t row_bytes, step;  // step: elements from one tile to the next
};

/// An element's sum over a block of k adds, for 32 k after the other, (sum over even k) + (sum over
/// odd k). One operand is packed once into tiles, the other read in place where it can be: B and A,
/// but A and B where A has one tile of rows and B's columns are dense. Then C^T = B^T A^T, whose
/// sums are the same. f32 operands are rounded as they are packed.
class TileEngine {
 public:
  /// Packs each matrix once; its operand's offset in a task then counts packed elements.
  explicit TileEngine(Gemm& g);

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
  void many_rows(const GemmTask& task, int64_t begin, int64_t k, float* c, int64_t ldc,
                 bf16* space) const;
  void few_rows(const GemmTask& task, int64_t begin, int64_t k, float* c, int64_t ldc,
                bf16* space) const;

  const Gemm& g_;
  bool few_rows_;
  int64_t k_tiles_, line_tiles_;
  memory::Workspace<bf16> packed_;
};

#endif

}  // namespace tenet::detail
