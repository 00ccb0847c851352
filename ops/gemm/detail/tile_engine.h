/// bf16 products by the tile registers of x86 processors.
#pragma once

#include <tenet/ops/detail/amx.h>
#include <tenet/ops/gemm/detail/engines.h>

namespace tenet::detail {

#if TENET_HAVE_AMX

/// 16 rows of A over a block of k, a tile for every 32 k.
struct TileRows {
  const bf16* tiles;
  int64_t row_bytes, step;  // step: elements from one tile to the next
};

/// An element's sum over a block of k adds, for 32 k after the other, (sum over even k) + (sum over
/// odd k). B is packed once into tiles, A is read in place where it can be. f32 operands are
/// rounded as they are packed.
class TileEngine {
 public:
  /// Packs B, each matrix once; b_offset of a task then counts packed elements.
  explicit TileEngine(Gemm& g);

  Tiling tiling(int threads) const;
  size_t scratch_bytes(const Tiling& tiling) const;
  static constexpr bool needs_tile = true;
  bool product(const GemmTask& task, int64_t begin, int64_t k, float* c, int64_t ldc,
               std::byte* scratch) const;

 private:
  template <class T>
  void pack_b(const Shape& items);
  template <class T>
  void pack_b_tile(const T* item, int64_t k, int64_t n, bf16* to) const;
  template <class T>
  Strided<T> a_of(const GemmTask& task) const {
    return {static_cast<const T*>(g_.a.data) + task.a_offset, g_.a.row_stride, g_.a.column_stride};
  }
  TileRows rows_of(const GemmTask& task, int64_t row, int64_t begin, int64_t k, bf16* space) const;

  const Gemm& g_;
  int64_t k_tiles_, n_tiles_;
  memory::Workspace<bf16> packed_;
};

#endif

}  // namespace tenet::detail
