#include <cublasLt.h>

#include <tenet/core/error.h>
#include <tenet/cuda/detail/cublas.h>
#include <tenet/cuda/detail/runtime.h>

#include <array>
#include <mutex>
#include <optional>
#include <unordered_map>

namespace tenet::cuda {
namespace {

void check(cublasStatus_t status, const char* what) {
  if (status != CUBLAS_STATUS_SUCCESS) [[unlikely]]
    tenet::fail("cuda: {}: {}", what, cublasLtGetStatusString(status));
}

cudaDataType_t data_type(DType type) {
  switch (type) {
    case DType::f64:
      return CUDA_R_64F;
    case DType::bf16:
      return CUDA_R_16BF;
    case DType::f16:
      return CUDA_R_16F;
    default:
      return CUDA_R_32F;
  }
}

template <class T>
void set(cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t name, const T& value) {
  check(cublasLtMatrixLayoutSetAttribute(layout, name, &value, sizeof(value)), "cublasLt layout");
}
template <class T>
void set(cublasLtMatmulDesc_t operation, cublasLtMatmulDescAttributes_t name, const T& value) {
  check(cublasLtMatmulDescSetAttribute(operation, name, &value, sizeof(value)), "cublasLt product");
}
template <class T>
void set(cublasLtMatmulPreference_t wish, cublasLtMatmulPreferenceAttributes_t name,
         const T& value) {
  check(cublasLtMatmulPreferenceSetAttribute(wish, name, &value, sizeof(value)), "cublasLt wish");
}

/// A product as cuBLASLt describes it. It knows matrices by columns only: what has its rows one
/// after another is to it the transposed matrix, so it makes C^T = B^T A^T, in which bias belongs
/// to the rows.
class Description {
 public:
  Description(const LtShape& s, const void* bias) {
    const bool wide = s.type == DType::f64;
    check(cublasLtMatmulDescInit(&operation_, wide ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F,
                                 wide ? CUDA_R_64F : CUDA_R_32F),
          "cublasLtMatmulDescInit");
    const auto transposed = [](bool yes) { return yes ? CUBLAS_OP_T : CUBLAS_OP_N; };
    set(&operation_, CUBLASLT_MATMUL_DESC_TRANSA, transposed(s.b.by_columns));
    set(&operation_, CUBLASLT_MATMUL_DESC_TRANSB, transposed(s.a.by_columns));
    if (s.bias) {
      set(&operation_, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
      set(&operation_, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
      set(&operation_, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, data_type(s.result));
    }
    init(b_, s.type, s.k, s.n, s.b, s.batch, s.b_step);
    init(a_, s.type, s.m, s.k, s.a, s.batch, s.a_step);
    init(c_, s.result, s.m, s.n, {false, s.ldc}, s.batch, s.c_step);
  }

  cublasLtMatmulDesc_t operation() { return &operation_; }
  cublasLtMatrixLayout_t a() { return &a_; }
  cublasLtMatrixLayout_t b() { return &b_; }
  cublasLtMatrixLayout_t c() { return &c_; }

 private:
  static void init(cublasLtMatrixLayoutOpaque_t& to, DType type, int64_t rows, int64_t columns,
                   const Layout& layout, int64_t batch, int64_t step) {
    if (!layout.by_columns) std::swap(rows, columns);
    check(cublasLtMatrixLayoutInit(&to, data_type(type), static_cast<uint64_t>(rows),
                                   static_cast<uint64_t>(columns), layout.ld),
          "cublasLtMatrixLayoutInit");
    if (batch == 1) return;
    set(&to, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, static_cast<int32_t>(batch));
    set(&to, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, step);
  }

  cublasLtMatmulDescOpaque_t operation_;
  cublasLtMatrixLayoutOpaque_t a_, b_, c_;
};

/// How a product of one shape is made.
struct Choice {
  bool found = false;
  cublasLtMatmulAlgo_t algorithm = {};
  size_t workspace_bytes = 0;
};

/// The algorithms chosen so far on one GPU. The handle lives as long as the program.
class Library {
 public:
  cublasLtHandle_t handle() const { return handle_; }

  Choice choose(const LtShape& shape, Rows rows, const void* bias) {
    const std::lock_guard lock(mutex_);
    if (handle_ == nullptr) check(cublasLtCreate(&handle_), "cublasLtCreate");
    auto& known = rows == Rows::alike ? alike_ : fixed_;
    if (const auto at = known.find(shape); at != known.end()) return at->second;
    Choice choice;
    if (rows == Rows::alike) choice = fitted(shape, bias);
    if (!choice.found) choice = asked(shape, bias);
    if (known.size() >= most_known) known.clear();
    return known[shape] = choice;
  }

 private:
  static constexpr size_t most_known = 4096;
  static constexpr int most_answers = 32;
  static constexpr uint64_t most_workspace = uint64_t{32} << 20;

  /// The algorithm of the canonical shape, if it supports this one.
  Choice fitted(const LtShape& shape, const void* bias) {
    const LtShape standard = canonical(shape);
    auto at = fixed_.find(standard);
    if (at == fixed_.end()) at = fixed_.emplace(standard, asked(standard, bias)).first;
    Choice choice = at->second;
    if (!choice.found) return choice;
    Description d(shape, bias);
    cublasLtMatmulHeuristicResult_t result{};
    const cublasStatus_t status = cublasLtMatmulAlgoCheck(handle_, d.operation(), d.b(), d.a(),
                                                          d.c(), d.c(), &choice.algorithm, &result);
    choice.found = status == CUBLAS_STATUS_SUCCESS && result.state == CUBLAS_STATUS_SUCCESS &&
                   result.workspaceSize <= most_workspace;
    choice.workspace_bytes = result.workspaceSize;
    return choice;
  }

  /// The first that cuBLASLt recommends among those that do not split sums over k, if possible one
  /// without a workspace, in which blocks could exchange parts of sums.
  Choice asked(const LtShape& shape, const void* bias) {
    Description d(shape, bias);
    cublasLtMatmulPreferenceOpaque_t wish;
    check(cublasLtMatmulPreferenceInit(&wish), "cublasLtMatmulPreferenceInit");
    set(&wish, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, most_workspace);
    set(&wish, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
        uint32_t{CUBLASLT_REDUCTION_SCHEME_NONE});
    const auto& [a, b, c] = shape.alignments;
    set(&wish, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, static_cast<uint32_t>(b));
    set(&wish, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, static_cast<uint32_t>(a));
    set(&wish, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, static_cast<uint32_t>(c));
    set(&wish, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, static_cast<uint32_t>(c));
    std::array<cublasLtMatmulHeuristicResult_t, most_answers> answers;
    int count = 0;
    const cublasStatus_t status =
        cublasLtMatmulAlgoGetHeuristic(handle_, d.operation(), d.b(), d.a(), d.c(), d.c(), &wish,
                                       most_answers, answers.data(), &count);
    if (status != CUBLAS_STATUS_SUCCESS) return {};
    Choice best;
    for (int i = 0; i < count; ++i) {
      const auto& answer = answers[static_cast<size_t>(i)];
      if (answer.state != CUBLAS_STATUS_SUCCESS || splits(answer.algo)) continue;
      if (best.found && answer.workspaceSize > 0) continue;
      best = {true, answer.algo, answer.workspaceSize};
      if (best.workspace_bytes == 0) break;
    }
    return best;
  }

  static bool splits(const cublasLtMatmulAlgo_t& algorithm) {
    int32_t parts = 1;
    size_t written = 0;
    const cublasStatus_t status = cublasLtMatmulAlgoConfigGetAttribute(
        &algorithm, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &parts, sizeof(parts), &written);
    return status == CUBLAS_STATUS_SUCCESS && parts > 1;
  }

  std::mutex mutex_;
  cublasLtHandle_t handle_ = nullptr;
  std::unordered_map<LtShape, Choice, LtShapeHash> alike_, fixed_;
};

Library& library() {
  static auto* all = new std::array<Library, kMaxDevices>;
  return (*all)[static_cast<size_t>(current_device().index)];
}

}  // namespace

bool lt_product(const LtShape& shape, Rows rows, const LtOperands& x) {
  Library& lt = library();
  const Choice choice = lt.choose(shape, rows, x.bias);
  if (!choice.found) return false;
  Description d(shape, x.bias);
  std::optional<Workspace<std::byte>> scratch;
  if (choice.workspace_bytes > 0) scratch.emplace(static_cast<int64_t>(choice.workspace_bytes));
  const double one_f64 = 1, beta_f64 = x.accumulate ? 1 : 0;
  const float one_f32 = 1, beta_f32 = x.accumulate ? 1 : 0;
  const bool wide = shape.type == DType::f64;
  const void* one = wide ? static_cast<const void*>(&one_f64) : &one_f32;
  const void* beta = wide ? static_cast<const void*>(&beta_f64) : &beta_f32;
  const cublasStatus_t status = cublasLtMatmul(
      lt.handle(), d.operation(), one, x.b, d.b(), x.a, d.a(), beta, x.c, d.c(), x.c, d.c(),
      &choice.algorithm, scratch ? scratch->data() : nullptr, choice.workspace_bytes, stream());
  check(status, "cublasLtMatmul");
  check_launch("matmul", cudaSuccess);
  return true;
}

}  // namespace tenet::cuda
