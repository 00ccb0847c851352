#include <tenet/core/parallel.h>
#include <tenet/ops/gemm/detail/engines.h>
#include <tenet/ops/gemm/detail/few_rows.h>

namespace tenet::detail {

// --- Blocked -------------------------------------------------------------------------------------

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

// --- bf16 ----------------------------------------------------------------------------------------

namespace {

int64_t bf16_block_rows(const Gemm& g, int threads) {
  constexpr int64_t most_rows = 256, tile_elements = 256 * 1024;
  const int64_t fitting = tile_elements / g.n / bf16_rows * bf16_rows;
  const int64_t share = g.batch.numel() < threads ? (g.m + threads - 1) / threads : g.m;
  return std::clamp(std::min(fitting, round_up(share, bf16_rows)), bf16_rows, most_rows);
}

}  // namespace

Bf16Engine::Bf16Engine(Gemm& g, int threads)
    : g_(&g),
      block_rows_(bf16_block_rows(g, threads)),
      a_transposed_(g.a.row_stride == 1 && g.a.column_stride != 1),
      b_transposed_(g.b.row_stride == 1 && g.b.column_stride != 1) {}

std::optional<Bf16Engine> Bf16Engine::make(Gemm& g, int threads) {
  std::optional<Bf16Engine> engine(Bf16Engine(g, threads));
  if (!bf16_product(engine->shape(bf16_rows, std::min(g.k, bf16_chain_block), false))) return {};
  if (!engine->prepare()) return {};
  const bool dense = engine->b_transposed_ ? g.b.column_stride == g.k && g.k <= bf16_chain_block
                                           : g.b.column_stride == 1 && g.b.row_stride == g.n;
  if (!dense) engine->pack_b(g);
  return engine;
}

Bf16Shape Bf16Engine::shape(int64_t rows, int64_t k, bool add) const {
  return {round_up(rows, bf16_rows), g_->n, k, a_transposed_, b_transposed_, add};
}

/// Fetches every primitive that the tasks will need, because parallel regions must not throw.
bool Bf16Engine::prepare() {
  for (const int64_t rows : {std::min(block_rows_, g_->m), g_->m % block_rows_}) {
    for (const int64_t k : {std::min(bf16_chain_block, g_->k), g_->k % bf16_chain_block}) {
      for (const bool add : {false, true}) {
        if (rows == 0 || k == 0 || (add && g_->k <= bf16_chain_block)) continue;
        products_.emplace_back(shape(rows, k, add), bf16_product(shape(rows, k, add)));
        if (!products_.back().second) return false;
      }
    }
  }
  return true;
}

const Bf16Product& Bf16Engine::prepared(const Bf16Shape& shape) const {
  const auto found = std::find_if(products_.begin(), products_.end(),
                                  [&](const auto& product) { return product.first == shape; });
  return *found->second;
}

/// Copies B, without the repetitions along axes of stride 0, as the primitives want it: k rows of
/// n, or, where B comes transposed, for each chain of k after the other n rows of its length.
void Bf16Engine::pack_b(Gemm& g) {
  Shape items, item_strides, packed_strides;
  for (int axis = 0; axis < g.batch.dim(); ++axis) {
    const bool repeats = g.b.batch_strides[axis] == 0;
    items.push_back(repeats ? 1 : g.batch[axis]);
    item_strides.push_back(g.b.batch_strides[axis]);
  }
  packed_strides = contiguous_strides(items);
  for (int axis = 0; axis < items.dim(); ++axis) {
    packed_strides[axis] = items[axis] == 1 ? 0 : packed_strides[axis] * g.k * g.n;
  }
  packed_b_.emplace(items.numel() * g.k * g.n);
  const auto* from = static_cast<const bf16*>(g.b.data);
  bf16* const to = packed_b_->data();
  const int64_t lines = b_transposed_ ? g.n : g.k;
  parallel_for(items.numel() * lines, 16, [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t line = unit % lines;
      int64_t rest = unit / lines;
      bf16* const item = to + rest * g.k * g.n;
      const bf16* source = from;
      for (int axis = items.dim() - 1; axis >= 0; --axis) {
        source += rest % items[axis] * item_strides[axis];
        rest /= items[axis];
      }
      if (b_transposed_) {
        source += line * g.b.column_stride;
        for (int64_t k = 0; k < g.k; k += bf16_chain_block) {
          const int64_t length = std::min(bf16_chain_block, g.k - k);
          std::memcpy(item + k * g.n + line * length, source + k, sizeof(bf16) * length);
        }
      } else {
        source += line * g.b.row_stride;
        for (int64_t j = 0; j < g.n; ++j) item[line * g.n + j] = source[j * g.b.column_stride];
      }
    }
  });
  g.b.data = to;
  g.b.batch_strides = packed_strides;
}

size_t Bf16Engine::scratch_bytes(const Tiling& tiling) const {
  size_t most = 0;
  for (const auto& [shape, product] : products_) most = std::max(most, product->scratch_bytes());
  const auto block = tiling.rows * std::min(g_->k, bf16_chain_block);
  return sizeof(bf16) * static_cast<size_t>(round_up(block, 32)) + most;
}

/// The block of A that starts at the task's first row and `begin`, dense: in place, or copied with
/// rows of zeros.
const bf16* Bf16Engine::a_block(const GemmTask& task, int64_t begin, int64_t k, int64_t rows,
                                bf16* scratch) const {
  const MatrixView& a = g_->a;
  const bf16* from = static_cast<const bf16*>(a.data) + task.a_offset + task.row * a.row_stride +
                     begin * a.column_stride;
  const bool whole = rows == task.rows;
  if (a_transposed_) {
    if (whole && a.column_stride == rows) return from;
    for (int64_t j = 0; j < k; ++j) {
      bf16* to = std::copy_n(from + j * a.column_stride, task.rows, scratch + j * rows);
      std::fill_n(to, rows - task.rows, bf16());
    }
    return scratch;
  }
  if (whole && a.column_stride == 1 && (a.row_stride == k || rows == 1)) return from;
  for (int64_t i = 0; i < task.rows; ++i) {
    const bf16* line = from + i * a.row_stride;
    if (a.column_stride == 1) {
      std::memcpy(scratch + i * k, line, sizeof(bf16) * k);
    } else {
      for (int64_t j = 0; j < k; ++j) scratch[i * k + j] = line[j * a.column_stride];
    }
  }
  std::fill_n(scratch + task.rows * k, (rows - task.rows) * k, bf16());
  return scratch;
}

bool Bf16Engine::product(const GemmTask& task, int64_t begin, int64_t k, float* c, int64_t,
                         std::byte* scratch) const {
  const int64_t rows = round_up(task.rows, bf16_rows);
  auto* const a_scratch = reinterpret_cast<bf16*>(scratch);
  void* const rest = a_scratch + round_up(block_rows_ * std::min(g_->k, bf16_chain_block), 32);
  const auto* b = static_cast<const bf16*>(g_->b.data) + task.b_offset;
  for (int64_t done = 0; done < k; done += bf16_chain_block) {
    const int64_t length = std::min(bf16_chain_block, k - done);
    const bf16* left = a_block(task, begin + done, length, rows, a_scratch);
    const bf16* right = b + (begin + done) * g_->n;
    if (!prepared(shape(rows, length, done > 0)).run(left, right, c, rest)) return false;
  }
  return true;
}

}  // namespace tenet::detail
