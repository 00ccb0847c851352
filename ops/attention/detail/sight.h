/// Which keys the queries of band attention see: index arithmetic that the CPU and CUDA share.
#pragma once

#include <tenet/core/macros.h>

#include <cstdint>

namespace tenet::detail::tiles {

/// What is added to the mean square of a key before the root, as in the authors' code.
inline constexpr double kKeyEpsilon = 1e-6;

/// The visible keys that each query of a batch element sees: [begin(i), end(i)) without self(i).
/// Keys that a mask hides have no number: what they hold and where they lie changes nothing.
struct Sight {
  int64_t Lk = 0, offset = 0;
  int64_t chunk = 0, before = 0, after = 0;  // chunk 0: all keys are of one chunk
  bool causal = false, exclude_self = false;
  /// How many visible keys lie before each of the positions 0 to Lk, then the visible keys'
  /// positions; null: all are visible.
  const int32_t* ranks = nullptr;

  /// How many visible keys lie before a position, 0 <= position <= Lk.
  TENET_HD int64_t number(int64_t position) const { return ranks ? ranks[position] : position; }
  TENET_HD int64_t position(int64_t key) const { return ranks ? ranks[Lk + 1 + key] : key; }
  TENET_HD bool visible(int64_t position) const { return number(position) < number(position + 1); }
  TENET_HD int64_t keys() const { return number(Lk); }

  TENET_HD int64_t begin(int64_t i) const { return number(first_position(i)); }
  TENET_HD int64_t end(int64_t i) const {
    const int64_t position = i + offset;
    int64_t end = Lk;
    if (chunk > 0) {
      const int64_t chunks = Lk / chunk + 1;  // bounds `after` before it multiplies
      const int64_t last = least(position / chunk + least(after, chunks), chunks);
      end = least(end, (last + 1) * chunk);
    }
    if (causal) end = least(end, position + (exclude_self ? 0 : 1));
    return number(most(end, first_position(i)));
  }
  /// -1 if the query may see its own position.
  TENET_HD int64_t self(int64_t i) const { return falls_back(i) ? number(i + offset) : -1; }
  /// Whether query i takes the value at its own position when it sees nothing else.
  TENET_HD bool falls_back(int64_t i) const {
    const int64_t position = i + offset;
    return exclude_self && position < Lk && visible(position);
  }

  TENET_HD static constexpr int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
  TENET_HD static constexpr int64_t most(int64_t a, int64_t b) { return a < b ? b : a; }

 private:
  TENET_HD int64_t first_position(int64_t i) const {
    if (chunk == 0) return 0;
    return least(most((i + offset) / chunk - before, 0) * chunk, Lk);
  }
};

}  // namespace tenet::detail::tiles
