/// Where the buckets of a round begin, and the blocks of places that kernels work on.
#pragma once

#include <tenet/core/macros.h>
#include <tenet/ops/attention/detail/lsh_order.h>

#include <cstdint>

namespace tenet::cuda::lsh {

/// Places of a bucket that a block of threads handles. Blocks start at the bucket's first member,
/// so that later positions change nothing of earlier blocks.
inline constexpr int block_places = 64;

/// The places of one round of `heads` heads from first_head on, numbered through: n is place n % L
/// of head first_head + n / L.
struct RoundPlaces {
  const int32_t* order = nullptr;  // (B, H, R, L)
  int64_t L = 0, R = 0, first_head = 0, heads = 0, round = 0;

  TENET_HD int64_t count() const { return heads * L; }
  TENET_HD int32_t entry(int64_t n) const {
    return order[((first_head + n / L) * R + round) * L + n % L];
  }
};

/// n where a bucket begins, 0 elsewhere: the largest up to a place is where its bucket begins.
struct BucketStart {
  RoundPlaces places;
  TENET_HD int32_t operator()(int32_t n) const {
    const int32_t entry = places.entry(n);
    return entry < 0 && entry != tenet::detail::tiles::kOrderEnd ? n : 0;
  }
};
/// Whether place n begins a block.
struct BlockStart {
  RoundPlaces places;
  const int32_t* begin = nullptr;
  TENET_HD bool operator()(int32_t n) const {
    return places.entry(n) != tenet::detail::tiles::kOrderEnd && (n - begin[n]) % block_places == 0;
  }
};
struct Larger {
  TENET_HD int32_t operator()(int32_t a, int32_t b) const { return a > b ? a : b; }
};

}  // namespace tenet::cuda::lsh
