/// The backward pass of band attention of 16-bit types: a block of queries gives dq, one of keys dk
/// and dv, so that each sum has one order and no two blocks write to one place.
///
/// p = 2^(s - log_sum), dp = dy . v, ds = p (dp - delta); dq = ds k, dk = ds^T q, dv = p^T dy, with
/// scores, sums and factors in powers of 2.
#pragma once

#include <tenet/cuda/detail/attention_queries_task.h>

namespace tenet::cuda::attention {

/// What a row's scores are measured against; where it saw nothing, infinity makes all weights 0.
TENET_HD inline float base_of(float log_sum) {
  return log_sum == nothing<float> ? -nothing<float> : log_sum * kLog2E;
}

template <class M, class T, int W>
class TileQueries : QueryTiles<M, T, W> {
  using Base = QueryTiles<M, T, W>;
  using Base::t_, Base::head_, Base::range_, Base::keys, Base::values, Base::query, Base::column;

 public:
  /// Bytes of shared memory of a block of `warps` warps.
  TENET_HD static constexpr int64_t bytes(int warps) {
    return Base::tile_bytes() + 2 * Base::row_bytes(warps);
  }

  TENET_GPU TileQueries(const Task<T>& t, void* shared)
      : Base(t, shared),
        queries_(reinterpret_cast<T*>(static_cast<char*>(shared) + Base::tile_bytes())),
        gradients_(queries_ + M::threads() / 2 * kStride<W>) {}

  TENET_GPU void run() {
    if (Base::empty()) return;
    Base::look();
    clear(total_);
    for (int row = 0; row < 2; ++row) {
      const bool used = query(row) < range_.last;
      const int64_t at = head_ * t_.Lq + query(row);
      base_[row] = used ? base_of(t_.log_sum[at]) : -nothing<float>;
      delta_[row] = used ? t_.delta[at] : 0.0f;
    }
    Base::load_queries(t_.q, queries_);
    Base::load_queries(t_.dy, gradients_);
    const auto arrive = [&](int start, int buffer) {  // no query meets what it does not see
      if (start + kTile <= Base::open_) return;
      for (T* tile : {keys(buffer), values(buffer)}) hide_faulty<M, W>(tile, [](int) {});
    };
    Base::walk(arrive, [&](int start, int buffer) { step(start, buffer); });
    write();
  }

 private:
  TENET_GPU void step(int start, int buffer) {
    const int place = M::thread() / 32 * 16 * kStride<W>;
    float s[kTile / 8][4], slope[kTile / 8][4];
    clear(s), clear(slope);
    multiply_tiles<M, T, W>(queries_ + place, keys(buffer), s);
    multiply_tiles<M, T, W>(gradients_ + place, values(buffer), slope);
    Base::finish_scores(s, start, buffer);
    const uint32_t kept = t_.drop > 0 ? Base::kept_weights(start) : ~0u;
    const float* const factors = Base::factors_ + buffer * kTile;
    TENET_UNROLL
    for (int n = 0; n < kTile / 8; ++n) {
      TENET_UNROLL
      for (int e = 0; e < 4; ++e) {
        const float p = M::exp2(s[n][e] - base_[e / 2]);
        const float dp = kept >> (n * 4 + e) & 1 ? slope[n][e] * t_.kept : 0.0f;
        slope[n][e] = p * (dp - delta_[e / 2]);
        if (t_.factors) slope[n][e] *= factors[n * 8 + column(e)];
      }
    }
    multiply_sums<M, T, W>(slope, keys(buffer), total_);
  }

  TENET_GPU void write() const {
    const float share = t_.factors ? kLn2 : t_.scale;
    TENET_UNROLL
    for (int row = 0; row < 2; ++row) {
      if (query(row) >= range_.last) continue;
      T* const dq = rows_of(t_, t_.dq, head_).at(query(row));
      TENET_UNROLL
      for (int n = 0; n < W / 8; ++n) {
        store_pair<M>(t_, dq, n * 8 + column(0), total_[n][row * 2] * share,
                      total_[n][row * 2 + 1] * share);
      }
    }
  }

  T *queries_, *gradients_;
  float base_[2], delta_[2];
  float total_[W / 8][4];
};

/// What a block of keys knows of a query.
struct QueryFacts {
  float base, delta;
  int begin, end, self;  // the keys that it sees
};

/// A block of four warps takes 16 keys for each, and walks over the queries that see any of them,
/// two tiles in flight.
template <class M, class T, int W>
class TileKeys {
 public:
  static constexpr int kElements = kTile * kStride<W>;
  static constexpr int kWarps = kTile / 16;
  /// Queries of one step: what fits in a thread's registers.
  static constexpr int kStep = W > 64 ? 32 : 64;
  TENET_HD static constexpr int64_t bytes() {
    return 6 * kElements * int64_t{sizeof(T)} + 2 * kTile * int64_t{sizeof(QueryFacts)};
  }
  /// Blocks of a head.
  TENET_HD static constexpr int64_t count(int64_t Lk) { return (Lk + kTile - 1) / kTile; }

  TENET_GPU TileKeys(const Task<T>& t, void* shared)
      : t_(t),
        keys_(static_cast<T*>(shared)),
        values_(keys_ + kElements),
        tiles_(values_ + kElements),
        facts_(reinterpret_cast<QueryFacts*>(tiles_ + 4 * kElements)),
        head_(M::block() / count(t.Lk)),
        sight_(t.sight_of(head_ / t.H)),
        q_(rows_of(t, t.q, head_)),
        dy_(rows_of(t, t.dy, head_)),
        lane_(M::thread() % 32),
        start_(static_cast<int>(M::block() % count(t.Lk)) * kTile),
        stop_(static_cast<int>(sight_.keys())) {}

  TENET_GPU void run() {
    if (start_ >= stop_) return;
    for (int row = 0; row < 2; ++row) {
      factor_[row] = key(row) < stop_ ? t_.factor(head_, sight_.position(key(row))) : 0.0f;
    }
    clear(dk_), clear(dv_);
    load_keys(rows_of(t_, t_.k, head_), keys_);
    load_keys(rows_of(t_, t_.v, head_), values_);
    range_ = queries_of(sight_, t_.Lq, start_, Sight::least(start_ + kTile, stop_));
    load(range_.first, 0);
    int buffer = 0;
    for (int64_t first = range_.first; first < range_.last; first += kTile, buffer ^= 1) {
      load(first + kTile, buffer ^ 1);
      M::template wait_for_copies<1>();
      M::barrier();
      const bool open = all_visible(first);
      TENET_UNROLL
      for (int part = 0; part < kTile; part += kStep) step(first, buffer, part, open);
      M::barrier();
    }
    M::template wait_for_copies<0>();
    M::barrier();
    write();
  }

 private:
  TENET_GPU int key(int row) const { return start_ + M::thread() / 32 * 16 + lane_ / 4 + row * 8; }
  TENET_GPU int column(int e) const { return mma::c_place(lane_, e).column; }
  TENET_GPU T* queries(int buffer) const { return tiles_ + buffer * 2 * kElements; }
  TENET_GPU T* gradients(int buffer) const { return queries(buffer) + kElements; }

  TENET_GPU void load_keys(const Rows<const T>& rows, T* tile) const {
    load_tile<M, W>(t_, tile, kTile, [&](int r) {
      return start_ + r < stop_ ? rows.at(sight_.position(start_ + r)) : nullptr;
    });
  }
  /// Starts to load the queries from `first` on, if there are any.
  TENET_GPU void load(int64_t first, int buffer) {
    if (first < range_.last) {
      const auto row = [&](const Rows<const T>& of, int r) {
        return first + r < range_.last ? of.at(first + r) : nullptr;
      };
      load_tile<M, W>(t_, queries(buffer), kTile, [&](int r) { return row(q_, r); });
      load_tile<M, W>(t_, gradients(buffer), kTile, [&](int r) { return row(dy_, r); });
      for (int r = M::thread(); r < kTile; r += M::threads()) {
        facts_[buffer * kTile + r] = facts(first + r);
      }
    }
    M::commit_copies();
  }
  TENET_GPU QueryFacts facts(int64_t i) const {
    if (i >= range_.last) return {-nothing<float>, 0, 0, 0, -1};
    const int64_t at = head_ * t_.Lq + i;
    return {base_of(t_.log_sum[at]), t_.delta[at], static_cast<int>(sight_.begin(i)),
            static_cast<int>(sight_.end(i)), static_cast<int>(sight_.self(i))};
  }
  /// Whether all queries of a tile see all keys of the block.
  TENET_GPU bool all_visible(int64_t first) const {
    const int64_t last = first + kTile - 1;
    return !sight_.exclude_self && last < range_.last && sight_.begin(last) <= start_ &&
           sight_.end(first) >= start_ + kTile;
  }

  TENET_GPU void step(int64_t first, int buffer, int part, bool open) {
    const int place = M::thread() / 32 * 16 * kStride<W>, from = part * kStride<W>;
    const QueryFacts* const facts = facts_ + buffer * kTile + part;
    float p[kStep / 8][4], ds[kStep / 8][4];
    clear(p), clear(ds);
    multiply_tiles<M, T, W>(keys_ + place, queries(buffer) + from, p);
    multiply_tiles<M, T, W>(values_ + place, gradients(buffer) + from, ds);
    const uint32_t kept = t_.drop > 0 ? kept_weights(first + part) : ~0u;
    TENET_UNROLL
    for (int n = 0; n < kStep / 8; ++n) {
      TENET_UNROLL
      for (int e = 0; e < 4; ++e) {
        const QueryFacts& query = facts[n * 8 + column(e)];
        const int j = key(e / 2);
        const bool sees = open || (j >= query.begin && j < query.end && j != query.self);
        const float x = p[n][e] * (factor_[e / 2] * kLog2E) - query.base;
        const float weight = M::exp2(sees ? x : nothing<float>);
        const bool keep = kept >> (n * 4 + e) & 1;
        const float dp = keep && sees ? ds[n][e] * t_.kept : 0.0f;
        ds[n][e] = weight * (dp - query.delta);
        p[n][e] = keep ? weight : 0.0f;
      }
    }
    multiply_sums<M, T, W>(p, gradients(buffer) + from, dv_);
    multiply_sums<M, T, W>(ds, queries(buffer) + from, dk_);
  }

  /// Which weights of this thread's keys and the queries from `first` on dropout keeps.
  TENET_GPU uint32_t kept_weights(int64_t first) const {
    uint32_t kept = 0;
    const int64_t at[2] = {sight_.position(Sight::least(key(0), stop_ - 1)),
                           sight_.position(Sight::least(key(1), stop_ - 1))};
    TENET_ROLL
    for (int n = 0; n < kStep / 8; ++n) {
      for (int e = 0; e < 4; ++e) {
        const int64_t i = first + n * 8 + column(e);
        kept |= (t_.keeps(head_, i, at[e / 2]) ? 1u : 0u) << (n * 4 + e);
      }
    }
    return kept;
  }

  /// What turns dk, as if the normalisation of a key were the factor alone, into its gradient: dk -
  /// k (k . dk) / (size mean(k^2)).
  TENET_GPU float along_key(int row, const T* k) const {
    float product = 0, square = 0;
    TENET_UNROLL
    for (int n = 0; n < W / 8; ++n) {
      TENET_UNROLL
      for (int e = 0; e < 2; ++e) {
        const float value = k[n * 8 + column(e)];
        product += value * dk_[n][row * 2 + e];
        square += value * value;
      }
    }
    const auto size = static_cast<float>(t_.size);
    const auto epsilon = static_cast<float>(tenet::detail::tiles::kKeyEpsilon);
    product = row_sum<M>(product) * factor_[row];
    return product / (size * (row_sum<M>(square) / size + epsilon));
  }

  TENET_GPU void write() const {
    TENET_UNROLL
    for (int row = 0; row < 2; ++row) {
      const T* const k = keys_ + (key(row) - start_) * kStride<W>;
      const float along = t_.factors ? along_key(row, k) : 0.0f;
      if (key(row) >= stop_) continue;
      const int64_t position = sight_.position(key(row));
      const int64_t alone = fallback_query(t_, head_, position);
      const T* const own = dy_.at(alone < 0 ? 0 : alone);
      T* const dk = rows_of(t_, t_.dk, head_).at(position);
      T* const dv = rows_of(t_, t_.dv, head_).at(position);
      TENET_UNROLL
      for (int n = 0; n < W / 8; ++n) {
        float to_k[2], to_v[2];
        TENET_UNROLL
        for (int e = 0; e < 2; ++e) {
          const int at = n * 8 + column(e);
          to_k[e] = dk_[n][row * 2 + e] * factor_[row] - float(k[at]) * along;
          to_v[e] = dv_[n][row * 2 + e] * t_.kept;
          if (alone >= 0 && at < t_.size) to_v[e] += float(own[at]);
        }
        store_pair<M>(t_, dk, n * 8 + column(0), to_k[0], to_k[1]);
        store_pair<M>(t_, dv, n * 8 + column(0), to_v[0], to_v[1]);
      }
    }
  }

  const Task<T>& t_;
  T *keys_, *values_, *tiles_;
  QueryFacts* facts_;
  int64_t head_;
  Sight sight_;
  Rows<const T> q_, dy_;
  int lane_, start_, stop_;
  QueryRange range_;
  float factor_[2];
  float dk_[W / 8][4], dv_[W / 8][4];
};

}  // namespace tenet::cuda::attention
