#include <omp.h>

#include <oneapi/dnnl/dnnl.h>
#include <tenet/core/cpu_level.h>
#include <tenet/ops/gemm/detail/blocked.h>
#include <tenet/ops/gemm/detail/onednn.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <vector>

namespace tenet::detail {
namespace {

// A lower level than the processor's holds for oneDNN too. It listens before its first use only.
const bool limited = [] {
  if (cpu_level_lowered()) {
    const bool v2 = std::string_view(cpu_level()) == "x86-64-v2";
    dnnl_set_max_cpu_isa(v2 ? dnnl_cpu_isa_sse41 : dnnl_cpu_isa_avx2);
  }
  return true;
}();

/// Whether the rows of a rows x columns operand are dense enough to be BLAS's "no transpose".
bool plain(const Strided<float>& x, int64_t columns) { return x.column == 1 && x.row >= columns; }

/// Where oneDNN's sgemm finds its scratch memory, which it takes from the C library at each call,
/// aligned to a page. glibc leaves the bytes before it to the next small object; afterwards the gap
/// is too short for the next call's, and the heap grows by half a megabyte a call while small
/// objects live on. A block that is free during calls only keeps the gap whole.
class ScratchPlace {
 public:
  ScratchPlace() { block().reset(); }
  ~ScratchPlace() { block().reset(std::malloc(2 << 20)); }
  ScratchPlace(const ScratchPlace&) = delete;
  ScratchPlace& operator=(const ScratchPlace&) = delete;

 private:
  struct Free {
    void operator()(void* data) const { std::free(data); }
  };
  static std::unique_ptr<void, Free>& block() {
    thread_local std::unique_ptr<void, Free> kept;
    return kept;
  }
};

bool call_sgemm(int64_t m, int64_t n, int64_t k, Strided<float> a, Strided<float> b, float* c,
                int64_t ldc, bool add) {
  const bool a_plain = plain(a, k), b_plain = plain(b, n);
  const ScratchPlace place;
  return dnnl_sgemm(a_plain ? 'N' : 'T', b_plain ? 'N' : 'T', m, n, k, 1.0F, a.data,
                    a_plain ? a.row : a.column, b.data, b_plain ? b.row : b.column,
                    add ? 1.0F : 0.0F, c, ldc) == dnnl_success;
}

/// oneDNN turns products that are narrower than this into dot products, in another order.
bool narrow(int64_t m, int64_t n, bool a_plain, bool b_plain) {
  return n < 2 || m < (a_plain && !b_plain ? 16 : 2);
}

/// Whether oneDNN gives the blocked kernel's bits in this layout.
bool agrees(int64_t m, int64_t n, int64_t k, bool a_transposed, bool b_transposed) {
  std::vector<float> a(static_cast<size_t>(m * k)), b(static_cast<size_t>(k * n));
  uint32_t state = 1;
  for (auto* operand : {&a, &b}) {
    for (float& x : *operand) {
      state = state * 1664525U + 1013904223U;
      x = static_cast<float>(state >> 8) * 0x1p-23F - 1.0F;
    }
  }
  const Strided<float> left{a.data(), a_transposed ? 1 : k, a_transposed ? m : 1};
  const Strided<float> right{b.data(), b_transposed ? 1 : n, b_transposed ? k : 1};
  std::vector<float> expected(static_cast<size_t>(m * n)), got(expected.size());
  std::vector<float> scratch(static_cast<size_t>(blocked_scratch<float>(m)));
  blocked_product(m, n, k, left, right, expected.data(), n, false, scratch.data());
  return call_sgemm(m, n, k, left, right, got.data(), n, false) && got == expected;
}

bool sgemm_keeps_the_order() {
  static const bool keeps = [] {
    const OneThread scope;
    bool all = true;
    for (const auto [m, n, k] : {std::array<int64_t, 3>{150, 70, 256},
                                 {64, 128, 64},
                                 {17, 33, 100},
                                 {16, 2, 256},
                                 {31, 300, 3},
                                 {2, 40, 70}}) {
      for (int layout = 0; layout < 4 && all; ++layout) {
        if (narrow(m, n, (layout & 1) == 0, (layout & 2) == 0)) continue;
        all = agrees(m, n, k, (layout & 1) != 0, (layout & 2) != 0);
      }
    }
    return all;
  }();
  return keeps;
}

}  // namespace

OneThread::OneThread() : threads_(omp_in_parallel() ? 0 : omp_get_max_threads()) {
  if (threads_ > 0) omp_set_num_threads(1);
}

OneThread::~OneThread() {
  if (threads_ > 0) omp_set_num_threads(threads_);
}

bool sgemm_takes(int64_t m, int64_t n, int64_t k, Strided<float> a, Strided<float> b) {
  const bool a_plain = plain(a, k), b_plain = plain(b, n);
  const bool a_fits = a_plain || plain(a.transposed(), m);
  const bool b_fits = b_plain || plain(b.transposed(), k);
  return a_fits && b_fits && !narrow(m, n, a_plain, b_plain) && sgemm_keeps_the_order();
}

bool sgemm(int64_t m, int64_t n, int64_t k, Strided<float> a, Strided<float> b, float* c,
           int64_t ldc, bool add) {
  return call_sgemm(m, n, k, a, b, c, ldc, add);
}

}  // namespace tenet::detail
