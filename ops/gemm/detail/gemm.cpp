#include <omp.h>

#include <tenet/core/error.h>
#include <tenet/core/parallel.h>
#include <tenet/ops/detail/loop.h>
#include <tenet/ops/gemm/detail/bf16_engine.h>
#include <tenet/ops/gemm/detail/engines.h>
#include <tenet/ops/gemm/detail/round.h>

#include <atomic>

namespace tenet::detail {
namespace {

/// Multiply-adds below which another thread does not pay. With fewer rows than least_rows, reading
/// B takes as long as they would.
constexpr int64_t thread_work = int64_t{1} << 18, least_rows = 8;

/// Drops batch axes of size 1 and turns the last ones into rows where A and C go on as rows and B
/// is the same matrix.
void fold_batch(Gemm& g) {
  for (int axis = g.batch.dim() - 1; axis >= 0; --axis) {
    if (g.batch[axis] != 1) continue;
    g.batch.erase(axis);
    for (MatrixView* x : {&g.a, &g.b, &g.c}) x->batch_strides.erase(axis);
  }
  while (!g.batch.empty()) {
    const int last = g.batch.dim() - 1;
    const auto goes_on = [&](const MatrixView& x) {
      return x.batch_strides[last] == g.m * x.row_stride;
    };
    if (g.m == 1) {
      g.a.row_stride = g.a.batch_strides[last];
      g.c.row_stride = g.c.batch_strides[last];
    }
    if (g.b.batch_strides[last] != 0 || !goes_on(g.a) || !goes_on(g.c)) return;
    g.m *= g.batch[last];
    g.batch.erase(last);
    for (MatrixView* x : {&g.a, &g.b, &g.c}) x->batch_strides.erase(last);
  }
}

/// What becomes of a finished block of sums: bias, type, C's strides, and what relu leaves.
template <class Sum, class To>
struct Finish {
  const Sum* bias;  // null for none
  bool accumulate, relu;
  int64_t row_stride, column_stride;

  void operator()(const Sum* from, int64_t ld, int64_t rows, int64_t columns, int64_t first_column,
                  To* to) const {
    for (int64_t i = 0; i < rows; ++i) {
      const Sum* x = from + i * ld;
      To* y = to + i * row_stride;
      const Sum* extra = bias ? bias + first_column : nullptr;
#if TENET_HAVE_AVX512
      if constexpr (std::is_same_v<To, bf16>) {
        if (column_stride == 1 && !accumulate) {
          round_line(x, extra, relu, columns, y);
          continue;
        }
      }
#endif
      const auto line = [&](auto with_bias, auto adds, int64_t step) {
        for (int64_t j = 0; j < columns; ++j) {
          Sum value = x[j];
          if constexpr (with_bias) value += extra[j];
          if constexpr (adds) value = widen<Sum>(y[j * step]) + value;
          y[j * step] = static_cast<To>(value);
        }
      };
      using std::false_type, std::true_type;
      const auto choose = [&](int64_t step) {
        if (extra && accumulate) return line(true_type(), true_type(), step);
        if (extra) return line(true_type(), false_type(), step);
        if (accumulate) return line(false_type(), true_type(), step);
        line(false_type(), false_type(), step);
      };
      column_stride == 1 ? choose(1) : choose(column_stride);
      if (relu) column_stride == 1 ? rectify(y, columns, 1) : rectify(y, columns, column_stride);
    }
  }

 private:
  [[gnu::always_inline]] static void rectify(To* y, int64_t columns, int64_t step) {
    TENET_IVDEP
    for (int64_t j = 0; j < columns; ++j) {
      const To value = y[j * step];
      y[j * step] = widen<Sum>(value) < Sum(0) ? To(0) : value;
    }
  }
};

template <class Sum>
std::optional<memory::Workspace<Sum>> bias_row(const Gemm& g) {
  if (!g.bias) return {};
  std::optional<memory::Workspace<Sum>> row(g.n);
  dispatch(FloatTypes(), g.bias_dtype, "matmul", [&]<class T>() {
    const T* from = static_cast<const T*>(g.bias);
    for (int64_t j = 0; j < g.n; ++j) (*row)[j] = widen<Sum>(from[j * g.bias_stride]);
  });
  return row;
}

/// One product: blocks of C shared among threads, each block whole on one of them.
template <class Sum, class To, class Engine>
class Run {
 public:
  Run(const Gemm& g, const Engine& engine)
      : g_(g),
        engine_(engine),
        tiling_(engine.tiling(num_threads())),
        row_blocks_((g.m + tiling_.rows - 1) / tiling_.rows),
        column_blocks_((g.n + tiling_.columns - 1) / tiling_.columns),
        in_place_(std::is_same_v<Sum, To> && !Engine::needs_tile && g.c.column_stride == 1 &&
                  !g.accumulate),
        bias_(bias_row<Sum>(g)) {
    const int64_t block = round_up(tiling_.rows * tiling_.columns, 16);
    tile_elements_ = in_place_ ? 0 : block;
    const int64_t further = g.k > sum_block ? block : 0;
    engine_at_ = sizeof(Sum) * static_cast<size_t>(tile_elements_ + further);
    scratch_bytes_ = round_up(static_cast<int64_t>(engine_at_ + engine.scratch_bytes(tiling_)), 64);
  }

  void operator()() const {
    const int64_t tasks = g_.batch.numel() * row_blocks_ * column_blocks_;
    const int64_t rows = std::max(g_.m, least_rows);
    const int64_t work = g_.batch.numel() * rows * g_.n * std::max<int64_t>(g_.k, 1) / tasks;
    const int64_t grain = thread_work / std::max<int64_t>(work, 1) + 1;
    const int64_t parts = omp_in_parallel() ? 1 : std::min<int64_t>(num_threads(), tasks);
    const memory::Workspace<std::byte> scratch(parts * scratch_bytes_);
    std::atomic<bool> failed = false;
    parallel_for(tasks, grain, [&](int64_t begin, int64_t end) {
      const OneThread scope;
      std::byte* own = scratch.data() + thread_in_parallel() * scratch_bytes_;
      for (int64_t index = begin; index < end; ++index) {
        if (!block(task(index), own)) failed = true;
      }
    });
    check(!failed, "matmul: oneDNN has no memory for a {} x {} x {} product", g_.m, g_.n, g_.k);
  }

 private:
  GemmTask task(int64_t index) const {
    GemmTask t{};
    t.column = index % column_blocks_ * tiling_.columns;
    index /= column_blocks_;
    t.row = index % row_blocks_ * tiling_.rows;
    index /= row_blocks_;
    t.rows = std::min(tiling_.rows, g_.m - t.row);
    t.columns = std::min(tiling_.columns, g_.n - t.column);
    for (int axis = g_.batch.dim() - 1; axis >= 0; --axis) {
      const int64_t at = index % g_.batch[axis];
      index /= g_.batch[axis];
      t.a_offset += at * g_.a.batch_strides[axis];
      t.b_offset += at * g_.b.batch_strides[axis];
      t.c_offset += at * g_.c.batch_strides[axis];
    }
    return t;
  }

  bool block(const GemmTask& t, std::byte* scratch) const {
    To* const c = static_cast<To*>(g_.c.data) + t.c_offset + t.row * g_.c.row_stride +
                  t.column * g_.c.column_stride;
    auto* sum = reinterpret_cast<Sum*>(scratch);
    Sum* const further = sum + tile_elements_;
    int64_t ld = Engine::needs_tile ? t.columns : tiling_.columns;
    if constexpr (std::is_same_v<Sum, To>) {
      if (in_place_) sum = c, ld = g_.c.row_stride;
    }
    if (g_.k == 0) {
      for (int64_t i = 0; i < t.rows; ++i) std::fill_n(sum + i * ld, t.columns, Sum(0));
    }
    for (int64_t k = 0; k < g_.k; k += sum_block) {
      const int64_t length = std::min(sum_block, g_.k - k);
      Sum* const to = k == 0 ? sum : further;
      const int64_t to_ld = k == 0 ? ld : t.columns;
      if (!engine_.product(t, k, length, to, to_ld, scratch + engine_at_)) return false;
      for (int64_t i = 0; k > 0 && i < t.rows; ++i) {
        for (int64_t j = 0; j < t.columns; ++j) sum[i * ld + j] += further[i * t.columns + j];
      }
    }
    if (!in_place_ || bias_ || g_.relu) {
      const Finish<Sum, To> finish{bias_ ? bias_->data() : nullptr, g_.accumulate, g_.relu,
                                   g_.c.row_stride, g_.c.column_stride};
      finish(sum, ld, t.rows, t.columns, t.column, c);
    }
    return true;
  }

  const Gemm& g_;
  const Engine& engine_;
  Tiling tiling_;
  int64_t row_blocks_, column_blocks_;
  bool in_place_;
  std::optional<memory::Workspace<Sum>> bias_;
  int64_t tile_elements_;
  size_t engine_at_;
  int64_t scratch_bytes_;
};

template <class From, class Sum, class To>
void run_blocked(const Gemm& g) {
  const BlockedEngine<From, Sum> engine(g);
  Run<Sum, To, BlockedEngine<From, Sum>>{g, engine}();
}

template <class To>
void run_bf16(Gemm& g) {
#if TENET_HAVE_AVX512
  if (g.k > 0) {
    const Bf16Engine engine(g);
    Run<float, To, Bf16Engine>{g, engine}();
    return;
  }
#endif
  run_blocked<bf16, float, To>(g);
}

}  // namespace

bool gemm_rounds(DType type) { return multiplies_bf16 && type == DType::bf16; }

void gemm(Gemm g) {
  const DType from = g.type.value_or(g.a.dtype), to = g.c.dtype;
  const bool half = from == DType::bf16 || from == DType::f16;
  const auto fits = [&](DType x) { return x == from || (x == DType::f32 && gemm_rounds(from)); };
  check(fits(g.a.dtype) && fits(g.b.dtype) && (to == from || (half && to == DType::f32)),
        "matmul: {} x {} -> {} is not supported", to_string(g.a.dtype), to_string(g.b.dtype),
        to_string(to));
  if (g.m == 0 || g.n == 0 || g.batch.numel() == 0) return;
  fold_batch(g);
  switch (from) {
    case DType::f32:
      return run_blocked<float, float, float>(g);
    case DType::f64:
      return run_blocked<double, double, double>(g);
    case DType::bf16:
      return to == from ? run_bf16<bf16>(g) : run_bf16<float>(g);
    case DType::f16:
      return to == from ? run_blocked<f16, float, f16>(g) : run_blocked<f16, float, float>(g);
    case DType::u8:
      return run_blocked<uint8_t, uint32_t, uint8_t>(g);
    case DType::i32:
      return run_blocked<uint32_t, uint32_t, uint32_t>(g);
    case DType::i64:
      return run_blocked<uint64_t, uint64_t, uint64_t>(g);
    default:
      fail("matmul: dtype {} is not supported", to_string(from));
  }
}

}  // namespace tenet::detail
