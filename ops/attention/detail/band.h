/// What the forward and backward kernels of band attention share.
#pragma once

#include <tenet/core/memory.h>
#include <tenet/ops/attention/detail/band_kernel.h>
#include <tenet/ops/attention/detail/sight.h>

#include <algorithm>

namespace tenet::detail::tiles {

/// Sight::ranks of each batch element.
class VisibleKeys {
 public:
  VisibleKeys(const BandShape& shape, const uint8_t* mask)
      : L_(shape.Lk), space_(mask ? shape.B * (2 * shape.Lk + 1) : 0), masked_(mask != nullptr) {
    for (int64_t b = 0; masked_ && b < shape.B; ++b) {
      int32_t* const rank = space_.data() + b * (2 * L_ + 1);
      int32_t* const position = rank + L_ + 1;
      rank[0] = 0;
      for (int64_t j = 0; j < L_; ++j) {
        position[rank[j]] = static_cast<int32_t>(j);
        rank[j + 1] = rank[j] + (mask[b * L_ + j] != 0);
      }
    }
  }
  const int32_t* ranks(int64_t b) const {
    return masked_ ? space_.data() + b * (2 * L_ + 1) : nullptr;
  }

 private:
  int64_t L_;
  memory::Workspace<int32_t> space_;
  bool masked_;
};

/// About how many keys a query sees.
inline int64_t band_keys(const BandShape& shape) {
  if (shape.chunk == 0) return shape.Lk;
  return std::min(shape.Lk, (shape.before + 1 + shape.after) * shape.chunk);
}

/// What the queries of a batch element see.
class Band : public Sight {
 public:
  Band(const BandShape& shape, const VisibleKeys& keys, int64_t b)
      : Sight{.Lk = shape.Lk,
              .offset = shape.offset,
              .chunk = shape.chunk,
              .before = shape.before,
              .after = shape.after,
              .causal = shape.causal,
              .exclude_self = shape.exclude_self,
              .ranks = keys.ranks(b)} {}

  /// The ranges of queries [first, first + count) within the strip of `keys` keys from `start` on.
  /// Queries whose log_sum (null if not known yet) is -inf see nothing.
  template <class T>
  void look(int64_t first, int64_t count, int64_t start, int64_t keys, const Compute<T>* log_sum,
            Visibility<T>& see) const {
    see.count = count;
    for (int64_t lane = 0; lane < count; ++lane) {
      const int64_t i = first + lane;
      if (log_sum && log_sum[lane] == -std::numeric_limits<Compute<T>>::infinity()) {
        see.set(lane, 0, 0, -1);
        continue;
      }
      const int64_t without = self(i) - start;
      see.set(lane, std::clamp<int64_t>(begin(i) - start, 0, keys),
              std::clamp<int64_t>(end(i) - start, 0, keys),
              without >= 0 && without < keys ? without : -1);
    }
    see.close();
  }
};

/// Copies keys [start, start + count) of one head.
template <class T>
inline void pack_band(const BandShape& shape, const Band& band, const Rows<const T>& k,
                      const Rows<const T>& v, int64_t start, int64_t count, Strip<T>& strip) {
  begin_keys(strip);
  for (int64_t j = start; j < start + count; ++j) {
    if (j + kPrefetchRows < start + count) {
      prefetch_row(k[band.position(j + kPrefetchRows)], shape.size);
      prefetch_row(v[band.position(j + kPrefetchRows)], shape.size);
    }
    const int64_t position = band.position(j);
    append_key(strip, k[position], v[position], position, shape.key_scale);
  }
  finish_keys(strip);
}

template <class T>
inline void set_dropout(const BandShape& shape, const BandInputs<T>& in, int64_t head,
                        int64_t first, PanelDropout<T>& dropout) {
  dropout.dropout = in.dropout;
  for (int64_t lane = 0; lane < kPanel<T>; ++lane) {
    dropout.base[lane] = static_cast<uint64_t>((head * shape.Lq + first + lane) * shape.Lk);
  }
}

}  // namespace tenet::detail::tiles
