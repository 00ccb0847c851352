/// The kernels that a product is made of: each gives a block of A B over a stretch of k.
#pragma once

#include <tenet/core/detail/round_up.h>
#include <tenet/core/memory.h>
#include <tenet/ops/gemm/detail/blocked.h>
#include <tenet/ops/gemm/detail/gemm.h>
#include <tenet/ops/gemm/detail/onednn.h>

namespace tenet::detail {

/// Outer block of a sum over k; see Note [Order of products].
inline constexpr int64_t sum_block = 1024;

/// A block of C: `rows` rows from `row` and `columns` columns from `column`, of the batch item at
/// these offsets.
struct GemmTask {
  int64_t a_offset, b_offset, c_offset;
  int64_t row, rows, column, columns;
};

struct Tiling {
  int64_t rows, columns;
};

/// Products by the blocked kernel, in f32 by oneDNN wherever that gives the same bits.
template <class From, class Sum>
class BlockedEngine {
 public:
  explicit BlockedEngine(const Gemm& g) : g_(g) {}

  Tiling tiling(int threads) const;
  size_t scratch_bytes(const Tiling& tiling) const {
    return sizeof(Sum) * static_cast<size_t>(blocked_scratch<Sum>(tiling.rows));
  }
  /// Whether product() needs c dense, in a tile with room for Tiling::rows rows.
  static constexpr bool needs_tile = false;
  /// c = the task's block of A B over [begin, begin + k), k <= sum_block. False if oneDNN failed.
  bool product(const GemmTask& task, int64_t begin, int64_t k, Sum* c, int64_t ldc,
               std::byte* scratch) const;

 private:
  const Gemm& g_;
};

}  // namespace tenet::detail
