/// The kernels that a product is made of: each gives a block of A B over a stretch of k.
#pragma once

#include <tenet/core/memory.h>
#include <tenet/ops/gemm/detail/blocked.h>
#include <tenet/ops/gemm/detail/gemm.h>
#include <tenet/ops/gemm/detail/onednn.h>

#include <optional>
#include <utility>

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

/// bf16 products by oneDNN.
class Bf16Engine {
 public:
  /// Empty if oneDNN has no kernel for these products on this machine; whether it has does not
  /// depend on m. Where B is not dense, g.b becomes a dense copy that lives as long as the engine.
  static std::optional<Bf16Engine> make(Gemm& g, int threads);

  Tiling tiling(int) const { return {block_rows_, g_->n}; }
  size_t scratch_bytes(const Tiling& tiling) const;
  static constexpr bool needs_tile = true;
  bool product(const GemmTask& task, int64_t begin, int64_t k, float* c, int64_t ldc,
               std::byte* scratch) const;

 private:
  Bf16Engine(Gemm& g, int threads);
  bool prepare();
  void pack_b(Gemm& g);
  Bf16Shape shape(int64_t rows, int64_t k, bool add) const;
  const Bf16Product& prepared(const Bf16Shape& shape) const;
  const bf16* a_block(const GemmTask& task, int64_t begin, int64_t k, int64_t rows,
                      bf16* scratch) const;

  const Gemm* g_;
  int64_t block_rows_;
  bool a_transposed_, b_transposed_;
  std::vector<std::pair<Bf16Shape, std::shared_ptr<const Bf16Product>>> products_;
  std::optional<memory::Workspace<bf16>> packed_b_;
};

/// Rounds `count` up to a multiple of `unit`.
constexpr int64_t round_up(int64_t count, int64_t unit) { return (count + unit - 1) / unit * unit; }

}  // namespace tenet::detail
