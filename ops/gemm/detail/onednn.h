/// What oneDNN does for Tenet's products: blocks of them, on the calling thread, in an order of
/// sums that is known.
#pragma once

#include <tenet/ops/gemm/detail/micro.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace tenet::detail {

/// While it lives, oneDNN runs on the calling thread alone.
class OneThread {
 public:
  OneThread();
  ~OneThread();
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int threads_;
};

/// Whether sgemm() takes this product: one stride of each operand is 1, and oneDNN's kernel for
/// these sizes adds in the order of Note [Order of products], which a comparison at first use
/// establishes for the running machine.
bool sgemm_takes(int64_t m, int64_t n, int64_t k, Strided<float> a, Strided<float> b);

/// c = A B, or c += A B, for k <= chain_block. False if oneDNN ran out of memory.
bool sgemm(int64_t m, int64_t n, int64_t k, Strided<float> a, Strided<float> b, float* c,
           int64_t ldc, bool add);

/// Longest sum over k that one bf16 primitive makes; the rows of a block are a multiple of
/// bf16_rows. Within these two limits no row of oneDNN 2.6.3's bf16 products depends on the others.
inline constexpr int64_t bf16_chain_block = 512;
inline constexpr int64_t bf16_rows = 64;

/// A dense m x k (or, with a_transposed, k x m) matrix in bf16 times a dense k x n (n x k) one, in
/// f32 and dense.
struct Bf16Shape {
  int64_t m, n, k;
  bool a_transposed, b_transposed, add;

  friend auto operator<=>(const Bf16Shape&, const Bf16Shape&) = default;  // NOLINT: not a null
};

/// A prepared product. Thread-safe; the caller brings scratch_bytes() of memory.
class Bf16Product {
 public:
  virtual ~Bf16Product() = default;
  virtual size_t scratch_bytes() const = 0;
  /// c = A B, or c += A B. False if oneDNN failed.
  virtual bool run(const bf16* a, const bf16* b, float* c, void* scratch) const = 0;
};

/// The product of this shape from the cache; null if oneDNN has only a reference loop for it on
/// this machine.
std::shared_ptr<const Bf16Product> bf16_product(const Bf16Shape& shape);

/// Adds a name to onednn_implementations(), which all levels of kernels share.
void note_implementation(const std::string& name);

}  // namespace tenet::detail
