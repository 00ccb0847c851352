/// Products of 16-bit matrices on tensor cores, mma.sync m16n8k16 with f32 sums, and the copies
/// that feed them.
///
/// C (16 x 8) += A (16 x 16) B (16 x 8). The functions without __device__ say which element a lane
/// of the warp holds; tests rebuild the products from them.
#pragma once

#include <tenet/core/half.h>
#include <tenet/core/macros.h>

#include <cstdint>

namespace tenet::cuda::mma {

/// A place in a matrix.
struct Place {
  int row = 0, column = 0;
};

/// Element e of a lane's eight of A: register e / 2, its lower half first.
TENET_HD constexpr Place a_place(int lane, int e) {
  const int part = e / 2;
  return {lane / 4 + part % 2 * 8, lane % 4 * 2 + part / 2 * 8 + e % 2};
}
/// Element e of a lane's four of B.
TENET_HD constexpr Place b_place(int lane, int e) {
  return {lane % 4 * 2 + e / 2 * 8 + e % 2, lane / 4};
}
/// Element e of a lane's four of C.
TENET_HD constexpr Place c_place(int lane, int e) {
  return {lane / 4 + e / 2 * 8, lane % 4 * 2 + e % 2};
}

/// Whose eight elements, from this place on, a lane points load_matrices() at, in row-major memory
/// that holds
///   A itself, 16 x 16; with load_matrices_transposed(), two B's side by side, 16 x 16:
TENET_HD constexpr Place straight_row(int lane) { return {lane % 16, lane / 16 * 8}; }
///   two transposed B's below each other, 16 x 16; with load_matrices_transposed(), A transposed:
TENET_HD constexpr Place turned_row(int lane) {
  return {lane % 8 + lane / 16 * 8, lane / 8 % 2 * 8};
}

/// Elements of a row of `width` elements in shared memory: whole products wide, and eight rows of
/// 16 bytes lie in 32 different banks.
TENET_HD constexpr int padded(int width) { return (width + 15) / 16 * 16 + 8; }

#if defined(__CUDACC__)

/// Two numbers rounded to T, as one register.
template <class T>
__device__ inline uint32_t pack(float low, float high);
template <>
__device__ inline uint32_t pack<bf16>(float low, float high) {
  uint32_t word;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
  return word;
}
template <>
__device__ inline uint32_t pack<f16>(float low, float high) {
  uint32_t word;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
  return word;
}

/// c += a b.
template <class T>
__device__ inline void multiply_add(float (&c)[4], const uint32_t (&a)[4], uint32_t b0,
                                    uint32_t b1);
template <>
__device__ inline void multiply_add<bf16>(float (&c)[4], const uint32_t (&a)[4], uint32_t b0,
                                          uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
template <>
__device__ inline void multiply_add<f16>(float (&c)[4], const uint32_t (&a)[4], uint32_t b0,
                                         uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/// The 16 x 8 sums of two neighbouring C's as the A of a product over their 16 columns.
template <class T>
__device__ inline void sums_as_a(uint32_t (&a)[4], const float (&left)[4],
                                 const float (&right)[4]) {
  a[0] = pack<T>(left[0], left[1]);
  a[1] = pack<T>(left[2], left[3]);
  a[2] = pack<T>(right[0], right[1]);
  a[3] = pack<T>(right[2], right[3]);
}

__device__ inline uint32_t shared_address(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

/// Four 8 x 8 matrices: straight_row() gives the registers of an A, turned_row() those of two B's,
/// {0, 1} and {2, 3}. Each lane's `row` is 16-byte aligned.
__device__ inline void load_matrices(uint32_t (&to)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(shared_address(row))
               : "memory");
}
/// The same, each matrix transposed: turned_row() gives an A, straight_row() two B's.
__device__ inline void load_matrices_transposed(uint32_t (&to)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(shared_address(row))
               : "memory");
}

/// Starts to copy 16 bytes from global to shared memory, both aligned; zeros if not `valid`.
__device__ inline void copy_async(void* to, const void* from, bool valid) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from),
               "r"(valid ? 16 : 0)
               : "memory");
}
/// Ends a group of copies.
__device__ inline void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/// Waits until at most `pending` of this thread's groups are still under way.
template <int pending>
__device__ inline void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}

#endif

}  // namespace tenet::cuda::mma
