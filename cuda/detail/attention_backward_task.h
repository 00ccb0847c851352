/// The backward pass of band attention of 16-bit types: a block of queries gives dq, one of keys dk
/// and dv, so that each sum has one order and no two blocks write to one place.
///
/// p = 2^(s - log_sum), dp = dy . v, ds = p (dp - delta); dq = ds k, dk = ds^T q, dv = p^T dy, with
/// scores, sums and factors in powers of 2.
#pragma once

#include <tenet/cuda/detail/attention_queries_task.h>

namespace tenet::cuda::attention {

template <class M, class T, int W>
class TileQueries : QueryTiles<M, T, W> {
  using Base = QueryTiles<M, T, W>;
  using Base::t_, Base::head_, Base::last_, Base::keys, Base::values, Base::query, Base::column;

 public:
  /// Bytes of shared memory of a block of `warps` warps.
  TENET_HD static constexpr int64_t bytes(int warps) {
    return Base::tile_bytes() + 2 * Base::row_bytes(warps);
  }

  TENET_GPU TileQueries(const Task<T>& t, void* shared)
      : Base(t, shared),
        queries_(reinterpret_cast<T*>(static_cast<char*>(shared) + Base::tile_bytes())),
        gradients_(queries_ + M::threads() / 2 * kStride<T, W>) {}

  TENET_GPU void run() {
    if (Base::empty()) return;
    clear(total_);
    for (int row = 0; row < 2; ++row) {
      const bool used = query(row) < last_;
      const int64_t at = head_ * t_.Lq + query(row);
      base_[row] = used ? base_of(t_.log_sum[at], kLog2E) : -nothing<float>;
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
    const int place = M::thread() / 32 * 16 * kStride<T, W>;
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
      if (query(row) >= last_) continue;
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

/// A block of four warps takes 16 keys for each, and walks over the queries that see any of them,
/// two tiles in flight.
template <class M, class T, int W>
class TileKeys : KeyBlock<M, T> {
  using Base = KeyBlock<M, T>;
  using Facts = QueryFacts<float>;
  using Base::t_, Base::head_, Base::sight_, Base::start_, Base::stop_, Base::first_, Base::last_;

 public:
  static constexpr int kElements = kTile * kStride<T, W>;
  static constexpr int kWarps = kTile / 16;
  /// Queries of one step: what fits in a thread's registers.
  static constexpr int kStep = W > 64 ? 32 : 64;
  TENET_HD static constexpr int64_t bytes() {
    return 6 * kElements * int64_t{sizeof(T)} + 2 * kTile * int64_t{sizeof(Facts)};
  }

  TENET_GPU TileKeys(const Task<T>& t, void* shared)
      : Base(t),
        keys_(static_cast<T*>(shared)),
        values_(keys_ + kElements),
        tiles_(values_ + kElements),
        facts_(reinterpret_cast<Facts*>(tiles_ + 4 * kElements)),
        lane_(M::thread() % 32) {}

  TENET_GPU void run() {
    if (Base::empty()) return;
    for (int row = 0; row < 2; ++row) factor_[row] = Base::factor(key(row));
    clear(dk_), clear(dv_);
    Base::template load_keys<W>(t_.k, keys_);
    Base::template load_keys<W>(t_.v, values_);
    load(first_, 0);
    int buffer = 0;
    for (int first = first_; first < last_; first += kTile, buffer ^= 1) {
      load(first + kTile, buffer ^ 1);
      M::template wait_for_copies<1>();
      M::barrier();
      const bool open = Base::all_visible(first);
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

  /// Starts to load the queries from `first` on, if there are any.
  TENET_GPU void load(int first, int buffer) const {
    if (first < last_) {
      Base::template load_queries<W>(first, queries(buffer), gradients(buffer), kLog2E,
                                     facts_ + buffer * kTile);
    }
    M::commit_copies();
  }

  TENET_GPU void step(int first, int buffer, int part, bool open) {
    const int place = M::thread() / 32 * 16 * kStride<T, W>, from = part * kStride<T, W>;
    const Facts* const facts = facts_ + buffer * kTile + part;
    float p[kStep / 8][4], ds[kStep / 8][4];
    clear(p), clear(ds);
    multiply_tiles<M, T, W>(keys_ + place, queries(buffer) + from, p);
    multiply_tiles<M, T, W>(values_ + place, gradients(buffer) + from, ds);
    const uint32_t kept = t_.drop > 0 ? kept_weights(first + part) : ~0u;
    TENET_UNROLL
    for (int n = 0; n < kStep / 8; ++n) {
      TENET_UNROLL
      for (int e = 0; e < 4; ++e) {
        const Facts& query = facts[n * 8 + column(e)];
        const bool sees = open || query.sees(key(e / 2));
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
  TENET_GPU uint32_t kept_weights(int first) const {
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
    return Base::along_key(row_sum<M>(product) * factor_[row], row_sum<M>(square));
  }

  TENET_GPU void write() const {
    TENET_UNROLL
    for (int row = 0; row < 2; ++row) {
      const T* const k = keys_ + (key(row) - start_) * kStride<T, W>;
      const float along = t_.factors ? along_key(row, k) : 0.0f;
      if (key(row) >= stop_) continue;
      const int64_t position = sight_.position(key(row));
      const int64_t alone = fallback_query(t_, head_, position);
      const T* const own = Base::dy_.at(alone < 0 ? 0 : alone);
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

  T *keys_, *values_, *tiles_;
  Facts* facts_;
  int lane_;
  float factor_[2];
  float dk_[W / 8][4], dv_[W / 8][4];
};

}  // namespace tenet::cuda::attention
