#pragma once

#include <cstdint>

namespace tenet::detail {

/// The smallest multiple of `unit` that is at least n, n >= 0.
constexpr int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

}  // namespace tenet::detail
