/// Buckets of locality-sensitive hashing, and the order of positions by bucket.
#pragma once

#include <tenet/ops/attention/detail/lsh_order.h>
#include <tenet/ops/attention/detail/pack.h>

#include <span>

namespace tenet::detail::tiles {

/// Sizes of the hash: R rounds, each a product of even `factors`.
struct HashShape {
  int64_t B = 0, H = 0, L = 0, size = 0, R = 0;
  std::span<const int64_t> factors;
};

/// bucket [B, H, R, L] = a_0 + f_0 (a_1 + f_1 (a_2 + ...)), a_j = argmax(concat(z, -z)), first
/// index on ties, over factor j's f_j / 2 columns of z = q . rotation; rotation is [H, size, R,
/// sum(factors) / 2].
/// T is float, double, or bf16 where multiplies_bf16: rotations then count with 16 bits.
template <class T>
void lsh_hash(const HashShape& shape, HeadView<const T> q, const Compute<T>* rotation,
              int32_t* bucket);

/// order [B, H, R, L] = the positions by (bucket, position), each bucket's first one marked;
/// positions that `mask` [B, L] (1 = in use; null: all) leaves out are missing, and kOrderEnd fills
/// the rest. O(L) memory for any `buckets`.
void lsh_sort(int64_t B, int64_t H, int64_t R, int64_t L, int64_t buckets, const int32_t* bucket,
              const uint8_t* mask, int32_t* order);

}  // namespace tenet::detail::tiles
