/// bf16 products by the tile registers of x86 processors, or else by their vectors of pairs.
#pragma once

#include <tenet/ops/detail/amx.h>
#include <tenet/ops/gemm/detail/engines.h>

#include <array>
#include <optional>

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
/// even k) + (sum over odd k), by vectors what Note [Products of pairs] says. Subnormal numbers of
/// f32 operands are rounded to 0.
class Bf16Engine {
 public:
  /// May pack a matrix whole; its operand's offset in a task then counts packed elements.
  explicit Bf16Engine(Gemm& g);

  Tiling tiling(int threads) const;
  size_t scratch_bytes(const Tiling& tiling) const;
  static constexpr bool needs_tile = true;
  bool product(const GemmTask& task, int64_t begin, int64_t k, float* c, int64_t ldc,
               std::byte* scratch) const;

 private:
  /// One operand is packed into tiles, the other read in place where it can be.
  enum class Way {
    packed,   // B at first, for all rows of A
    strips,   // up to 32 rows: B's columns where they are met
    swapped,  // up to 16 rows and dense columns of B: A, for C^T = B^T A^T, whose sums are the same
  };
  /// A thread's space for up to 32 lines of each operand, and for their block of C.
  struct Scratch {
    float* sums;
    std::array<bf16*, 2> left;
    bf16* right;
  };

  static Way way_of(const Gemm& g);
  Lines rows_of_a(int64_t offset) const;
  Lines columns_of_b(int64_t offset) const;
  template <class T>
  void pack(const Shape& items, const Strides& strides);
  int64_t packed_place(int64_t line, int64_t k) const;
  const bf16* strip_of_b(int64_t offset, int64_t column, int64_t begin, int64_t k,
                         bf16* space) const;
  void straight(const GemmTask& task, int64_t begin, int64_t k, float* c, int64_t ldc,
                const Scratch& space) const;
  void swapped(const GemmTask& task, int64_t begin, int64_t k, float* c, int64_t ldc,
               const Scratch& space) const;

  const Gemm& g_;
  Way way_;
  int64_t k_tiles_, line_tiles_;  // of the packed operand
  std::optional<memory::Workspace<bf16>> packed_;
};

#endif

}  // namespace tenet::detail
