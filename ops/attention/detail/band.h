/// What the forward and backward kernels of band attention share.
#pragma once

#include <tenet/ops/attention/detail/band_kernel.h>

namespace tenet::detail::tiles {

/// The keys that each query of a BandShape sees, before masks: [begin(i), end(i)) without self(i).
class Band {
 public:
  explicit Band(const BandShape& shape) : shape_(shape) {}

  int64_t begin(int64_t i) const {
    if (shape_.chunk == 0) return 0;
    const int64_t chunk = (i + shape_.offset) / shape_.chunk;
    return std::min(std::max<int64_t>(chunk - shape_.before, 0) * shape_.chunk, shape_.Lk);
  }
  int64_t end(int64_t i) const {
    const int64_t position = i + shape_.offset;
    int64_t end = shape_.Lk;
    if (shape_.chunk > 0) {
      const int64_t chunks =
          shape_.Lk / shape_.chunk + 1;  // bounds `after` before it is multiplied
      const int64_t last =
          std::min(position / shape_.chunk + std::min(shape_.after, chunks), chunks);
      end = std::min(end, (last + 1) * shape_.chunk);
    }
    if (shape_.causal) end = std::min(end, position + (shape_.exclude_self ? 0 : 1));
    return std::max(end, begin(i));
  }
  int64_t self(int64_t i) const { return shape_.exclude_self ? i + shape_.offset : -1; }

  /// The ranges of queries [first, first + count) within the strip of `keys` keys at `start`. Those
  /// whose log_sum (null if not known yet) is -inf see nothing.
  template <class T>
  void look(int64_t first, int64_t count, int64_t start, int64_t keys, const T* log_sum,
            Visibility<T>& see) const {
    see.count = count;
    for (int64_t lane = 0; lane < count; ++lane) {
      const int64_t i = first + lane;
      if (log_sum && log_sum[lane] == -std::numeric_limits<T>::infinity()) {
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
  /// Whether query i may take the value at its own position when it sees nothing else.
  bool falls_back(int64_t i, const uint8_t* mask) const {
    const int64_t position = i + shape_.offset;
    return shape_.exclude_self && position < shape_.Lk && (!mask || mask[position]);
  }

 private:
  const BandShape& shape_;
};

/// Copies keys [start, start + count) of one head.
template <class T>
inline void pack_band(const BandShape& shape, const BandInputs<T>& in, int64_t b, int64_t h,
                      int64_t start, int64_t count, Strip<T>& strip) {
  const Rows<const T> k = head_rows(in.k, b, h), v = head_rows(in.v, b, h);
  begin_keys(strip);
  for (int64_t j = start; j < start + count; ++j) {
    if (j + kPrefetchRows < start + count) {
      prefetch_row(k[j + kPrefetchRows], shape.size);
      prefetch_row(v[j + kPrefetchRows], shape.size);
    }
    const bool visible = !in.mask || in.mask[b * shape.Lk + j];
    append_key(strip, k[j], v[j], j, visible, shape.key_scale);
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
