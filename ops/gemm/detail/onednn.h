/// What oneDNN does for Tenet's products: blocks of them, on the calling thread, in an order of
/// sums that is known.
#pragma once

#include <tenet/ops/gemm/detail/micro.h>

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

}  // namespace tenet::detail
