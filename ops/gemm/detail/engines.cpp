#include <tenet/core/parallel.h>
#include <tenet/ops/gemm/detail/engines.h>
#include <tenet/ops/gemm/detail/few_rows.h>

namespace tenet::detail {

template <class From, class Sum>
Tiling BlockedEngine<From, Sum>::tiling(int threads) const {
  constexpr int64_t most_rows = 256, most_columns = 512, least = 32;
  int64_t row_blocks = (g_.m + most_rows - 1) / most_rows;
  int64_t column_blocks = (g_.n + most_columns - 1) / most_columns;
  const int64_t tasks = g_.batch.numel() * row_blocks * column_blocks;
  if (tasks % threads != 0 && tasks < 8 * threads) {  // an equal share for every thread
    int64_t& longer = g_.m >= g_.n ? row_blocks : column_blocks;
    const int64_t length = std::max(g_.m, g_.n);
    longer = std::min(round_up(longer, threads), std::max<int64_t>(longer, length / least));
  }
  return {round_up((g_.m + row_blocks - 1) / row_blocks, 8),
          round_up((g_.n + column_blocks - 1) / column_blocks, tile_columns<Sum>)};
}

template <class From, class Sum>
bool BlockedEngine<From, Sum>::product(const GemmTask& task, int64_t begin, int64_t k, Sum* c,
                                       int64_t ldc, std::byte* scratch) const {
  const Strided<From> a{static_cast<const From*>(g_.a.data) + task.a_offset, g_.a.row_stride,
                        g_.a.column_stride};
  const Strided<From> b{static_cast<const From*>(g_.b.data) + task.b_offset, g_.b.row_stride,
                        g_.b.column_stride};
  for (int64_t done = 0; done < k; done += chain_block) {
    const int64_t length = std::min(chain_block, k - done);
    const auto left = a.at(task.row, begin + done);
    const auto right = b.at(begin + done, task.column);
    const bool add = done > 0;
    if constexpr (std::is_same_v<From, Sum> && std::is_floating_point_v<Sum>) {
      if (few_rows_takes(task.rows, right)) {
        few_rows_product(task.rows, task.columns, length, left, right, c, ldc, add);
        continue;
      }
    }
    if constexpr (std::is_same_v<From, float>) {
      if (sgemm_takes(task.rows, task.columns, length, left, right)) {
        if (!sgemm(task.rows, task.columns, length, left, right, c, ldc, add)) return false;
        continue;
      }
    }
    blocked_product(task.rows, task.columns, length, left, right, c, ldc, add,
                    reinterpret_cast<Sum*>(scratch));
  }
  return true;
}

template class BlockedEngine<float, float>;
template class BlockedEngine<double, double>;
template class BlockedEngine<bf16, float>;
template class BlockedEngine<f16, float>;
template class BlockedEngine<uint8_t, uint32_t>;
template class BlockedEngine<uint32_t, uint32_t>;
template class BlockedEngine<uint64_t, uint64_t>;

}  // namespace tenet::detail
