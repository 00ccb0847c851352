/// Which keys of a strip each query of a panel sees.
#pragma once

#include <tenet/ops/attention/detail/tile.h>

#include <algorithm>
#include <limits>

namespace tenet::detail::tiles {

/// Which keys of a strip each query of a panel sees: begin <= key < end, and not `self`. Invariants
/// after close(): a vector of queries sees no key outside [first, last), and all of its lanes see
/// all of [open_first, open_last).
template <class T>
struct Visibility {
  Lane<T> begin[kPanel<T>], end[kPanel<T>], self[kPanel<T>];
  int64_t count = 0;                // queries; the lanes beyond see nothing
  int64_t lowest = 0, highest = 0;  // the union of all queries' ranges
  int64_t first[2], last[2], open_first[2], open_last[2];
  int64_t group_first[kPanel<T> / kRows<T>], group_last[kPanel<T> / kRows<T>];

  void set(int64_t lane, int64_t from, int64_t to, int64_t without) {
    begin[lane] = static_cast<Lane<T>>(from < to ? from : 0);
    end[lane] = static_cast<Lane<T>>(from < to ? to : 0);
    self[lane] = static_cast<Lane<T>>(without);
  }
  bool sees(int64_t lane, int64_t key) const {
    return key >= begin[lane] && key < end[lane] && key != self[lane];
  }
  bool any() const { return lowest < highest; }
  void close();
};

template <class T>
void Visibility<T>::close() {
  constexpr int64_t none = std::numeric_limits<int64_t>::max();
  for (int64_t lane = count; lane < kPanel<T>; ++lane) set(lane, 0, 0, -1);
  for (int n = 0; n < 2; ++n) {
    first[n] = open_last[n] = none;
    last[n] = open_first[n] = 0;
  }
  for (int64_t group = 0; group < kPanel<T> / kRows<T>; ++group) {
    int64_t low = none, high = 0;
    const int n = static_cast<int>(group * kRows<T> / kLanes<T>);
    for (int64_t lane = group * kRows<T>; lane < (group + 1) * kRows<T>; ++lane) {
      open_first[n] = std::max<int64_t>(open_first[n], begin[lane]);
      open_last[n] = std::min<int64_t>(open_last[n], end[lane]);
      if (self[lane] >= 0) open_last[n] = std::min<int64_t>(open_last[n], self[lane]);
      if (begin[lane] == end[lane]) continue;
      low = std::min<int64_t>(low, begin[lane]);
      high = std::max<int64_t>(high, end[lane]);
    }
    group_first[group] = std::min(low, high);
    group_last[group] = high;
    if (low >= high) continue;
    first[n] = std::min(first[n], low);
    last[n] = std::max(last[n], high);
  }
  lowest = std::min(first[0], first[1]);
  highest = std::max(last[0], last[1]);
  for (int n = 0; n < 2; ++n) first[n] = std::min(first[n], last[n]);
}

}  // namespace tenet::detail::tiles
