/// What the forward and backward kernels of band attention share.
#pragma once

#include <tenet/core/memory.h>
#include <tenet/ops/attention/detail/band_kernel.h>

#include <algorithm>

namespace tenet::detail::tiles {

/// The keys that a mask shows, numbered without the others: what hidden keys hold and where they
/// lie then changes nothing. Without a mask a key's number is its position.
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
  /// How many visible keys lie before a position, 0 <= position <= Lk.
  int64_t before(int64_t b, int64_t position) const {
    return masked_ ? space_[b * (2 * L_ + 1) + position] : position;
  }
  int64_t position(int64_t b, int64_t key) const {
    return masked_ ? space_[b * (2 * L_ + 1) + L_ + 1 + key] : key;
  }
  bool visible(int64_t b, int64_t position) const {
    return before(b, position) < before(b, position + 1);
  }
  int64_t count(int64_t b) const { return before(b, L_); }

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

/// The visible keys that each query of a batch element sees: [begin(i), end(i)) without self(i).
class Band {
 public:
  Band(const BandShape& shape, const VisibleKeys& keys, int64_t b)
      : shape_(shape), keys_(keys), b_(b) {}

  int64_t begin(int64_t i) const { return keys_.before(b_, first_position(i)); }
  int64_t end(int64_t i) const {
    const int64_t position = i + shape_.offset;
    int64_t end = shape_.Lk;
    if (shape_.chunk > 0) {
      const int64_t chunks = shape_.Lk / shape_.chunk + 1;  // bounds `after` before it multiplies
      const int64_t last =
          std::min(position / shape_.chunk + std::min(shape_.after, chunks), chunks);
      end = std::min(end, (last + 1) * shape_.chunk);
    }
    if (shape_.causal) end = std::min(end, position + (shape_.exclude_self ? 0 : 1));
    return keys_.before(b_, std::max(end, first_position(i)));
  }
  /// -1 if the query may see its own position.
  int64_t self(int64_t i) const { return falls_back(i) ? keys_.before(b_, i + shape_.offset) : -1; }
  /// Whether query i takes the value at its own position when it sees nothing else.
  bool falls_back(int64_t i) const {
    const int64_t position = i + shape_.offset;
    return shape_.exclude_self && position < shape_.Lk && keys_.visible(b_, position);
  }
  int64_t keys() const { return keys_.count(b_); }
  int64_t position(int64_t key) const { return keys_.position(b_, key); }

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

 private:
  int64_t first_position(int64_t i) const {
    if (shape_.chunk == 0) return 0;
    const int64_t chunk = (i + shape_.offset) / shape_.chunk;
    return std::min(std::max<int64_t>(chunk - shape_.before, 0) * shape_.chunk, shape_.Lk);
  }

  const BandShape& shape_;
  const VisibleKeys& keys_;
  int64_t b_;
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
