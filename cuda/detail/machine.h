/// What the bodies of kernels ask of the GPU, so that tests can run them on a machine of the CPU's.
///
/// A body is a function template <class Machine, ...>, marked TENET_GPU, in a header <name>_task.h
/// that includes nothing of CUDA's; its kernel runs it with Gpu, tests/cuda with an emulation.
#pragma once

#include <tenet/cuda/detail/mma.h>

#include <cstdint>

#if defined(__CUDACC__)
/// Stands before a function of the GPU that tests compile for the CPU.
#define TENET_GPU __device__ inline
/// Stands before a loop whose arrays are to be registers.
#define TENET_UNROLL _Pragma("unroll")
/// Stands before a loop that is to stay one, or to be unrolled so many times.
#define TENET_ROLL _Pragma("unroll 1")
#define TENET_PRAGMA(text) _Pragma(#text)
#define TENET_UNROLL_BY(count) TENET_PRAGMA(unroll count)
#else
#define TENET_GPU inline
#define TENET_UNROLL
#define TENET_ROLL
#define TENET_UNROLL_BY(count)
#endif

namespace tenet::cuda {

#if defined(__CUDACC__)

/// The GPU itself. Every thread of a warp calls the functions of warps, every thread of a block
/// barrier().
struct Gpu {
  static __device__ int thread() { return static_cast<int>(threadIdx.x); }
  static __device__ int threads() { return static_cast<int>(blockDim.x); }
  static __device__ int64_t block() { return blockIdx.x; }

  static __device__ void barrier() { __syncthreads(); }
  /// Whether any thread's `value` is set.
  static __device__ bool barrier_any(bool value) { return __syncthreads_or(value) != 0; }
  static __device__ void warp_barrier() { __syncwarp(); }
  template <class V>
  static __device__ V shuffle(V value, int lane) {
    return __shfl_sync(0xffffffffu, value, lane);
  }
  template <class V>
  static __device__ V shuffle_xor(V value, int mask) {
    return __shfl_xor_sync(0xffffffffu, value, mask);
  }

  /// 2^x within 2 ulp; 0 at -inf.
  static __device__ float exp2(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
  }

  template <class T>
  static __device__ void multiply_add(float (&c)[4], const uint32_t (&a)[4], uint32_t b0,
                                      uint32_t b1) {
    mma::multiply_add<T>(c, a, b0, b1);
  }
  template <class T>
  static __device__ uint32_t pack(float low, float high) {
    return mma::pack<T>(low, high);
  }
  static __device__ void load_matrices(uint32_t (&to)[4], const void* row) {
    mma::load_matrices(to, row);
  }
  static __device__ void load_matrices_transposed(uint32_t (&to)[4], const void* row) {
    mma::load_matrices_transposed(to, row);
  }
  static __device__ void copy_async(void* to, const void* from, bool valid) {
    mma::copy_async(to, from, valid);
  }
  static __device__ void commit_copies() { mma::commit_copies(); }
  template <int pending>
  static __device__ void wait_for_copies() {
    mma::wait_for_copies<pending>();
  }
};

#endif

}  // namespace tenet::cuda
