/// What a sorted round of positions looks like, for the CPU and CUDA.
#pragma once

#include <tenet/core/macros.h>

#include <cstdint>
#include <limits>

namespace tenet::detail::tiles {

/// The places of a bucket, from its first position on, are numbered in runs of this length: the
/// terms of one run may be added up together.
inline constexpr int64_t kBucketRun = 32;

/// The mark of the first position of a bucket, and what fills the order behind the last position.
TENET_HD inline int32_t mark_first(int32_t position) { return ~position; }
TENET_HD inline int32_t position_of(int32_t entry) { return entry < 0 ? ~entry : entry; }
inline constexpr int32_t kOrderEnd = std::numeric_limits<int32_t>::min();

}  // namespace tenet::detail::tiles
