/// The keys by which positions are sorted, and the order that the sorted ones give.
#pragma once

#include <tenet/core/macros.h>
#include <tenet/ops/attention/detail/lsh_order.h>

#include <cstdint>

namespace tenet::cuda::lsh {

/// `rounds` rounds of L positions from round `first` of (B, H, R) on, HR rounds to a batch element.
/// A position's key is its round's number times (buckets + 1) plus its bucket, `buckets` where the
/// mask leaves it out.
struct SortTask {
  int64_t L = 0, HR = 0, buckets = 0, first = 0, rounds = 0;
  const int32_t* bucket = nullptr;  // (B, H, R, L)
  const uint8_t* mask = nullptr;    // (B, L), or null
  int32_t* order = nullptr;         // (B, H, R, L)

  TENET_HD int64_t count() const { return rounds * L; }
  TENET_HD uint32_t key(int64_t n) const {
    const int64_t round = n / L, i = n % L;
    const bool used = !mask || mask[(first + round) / HR * L + i];
    const int64_t own = used ? bucket[first * L + n] : buckets;
    return static_cast<uint32_t>(round * (buckets + 1) + own);
  }
  TENET_HD int32_t position(int64_t n) const { return static_cast<int32_t>(n % L); }
  /// The entry of place n, where `keys` are sorted and `position` is that of the n-th.
  TENET_HD int32_t entry(int64_t n, const uint32_t* keys, int32_t position) const {
    const int64_t round = n / L, own = int64_t{keys[n]} - round * (buckets + 1);
    if (own == buckets) return tenet::detail::tiles::kOrderEnd;
    const bool begins = n % L == 0 || keys[n - 1] != keys[n];
    return begins ? tenet::detail::tiles::mark_first(position) : position;
  }
  /// How many bits of the keys differ.
  int bits() const {
    int result = 1;
    while (result < 32 && (int64_t{1} << result) < rounds * (buckets + 1)) ++result;
    return result;
  }
};

}  // namespace tenet::cuda::lsh
