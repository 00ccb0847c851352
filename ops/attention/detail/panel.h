/// One panel of queries against one strip of keys: the step that full, local and LSH attention
/// share.
///
/// Scores lie transposed, s[key * kPanel + query]: the statistics of a query then run down one
/// lane, in the order of the keys, and are a function of the keys that it sees, not of how they
/// fall into tiles.
#pragma once

#include <tenet/core/philox.h>
#include <tenet/ops/attention/detail/bf16_products.h>
#include <tenet/ops/attention/detail/products.h>

namespace tenet::detail::tiles {

/// Probability p of dropping an attention weight; the weight of query i and key j in round r of
/// head h of batch b is element (((b * H + h) * R + r) * Lq + i) * Lk + j of `key`, kept if its
/// uniform number is at least p.
struct AttentionDropout {
  double p = 0;
  PhiloxKey key = {};
};

/// A panel's online softmax: the largest score so far, the sum of exp(score - largest), and the
/// factor by which the latest step shrank what was added up before it.
template <class T>
struct PanelState {
  alignas(64) Compute<T> top[kPanel<T>];
  alignas(64) Compute<T> sum[kPanel<T>];
  alignas(64) Compute<T> shrink[kPanel<T>];

  void clear() {
    using S = Compute<T>;
    std::fill(top, top + kPanel<T>, -std::numeric_limits<S>::infinity());
    std::fill(sum, sum + kPanel<T>, S(0));
  }
};

/// The dropout of one panel: the element of each query's key 0, and the factors of a key's row of
/// weights.
template <class T>
struct PanelDropout {
  AttentionDropout dropout;
  uint64_t base[kPanel<T>] = {};

  bool on() const { return dropout.p > 0; }
  void factors(int32_t token, Compute<T>* factor) const {
    using S = Compute<T>;
    const S kept = static_cast<S>(1 / (1 - dropout.p));
    const auto p = static_cast<float>(dropout.p);
    const PhiloxKey key = dropout.key;
#pragma omp simd
    for (int64_t lane = 0; lane < kPanel<T>; ++lane) {
      const uint64_t element = base[lane] + static_cast<uint64_t>(token);
      const PhiloxBlock block = philox_block(key, element / 4);
      const uint64_t at = element % 4;
      const uint32_t word = at == 0   ? block.word[0]
                            : at == 1 ? block.word[1]
                            : at == 2 ? block.word[2]
                                      : block.word[3];
      factor[lane] = uniform_of_word(word) >= p ? kept : S(0);
    }
  }
};

/// Calls visit(row of s, key, mask of the lanes that see it, whether all do) for the keys of vector
/// n in [first, last).
template <class T, class Visit>
[[gnu::always_inline]] inline void visit_keys(const Visibility<T>& see, int n, int64_t first,
                                              int64_t last, Compute<T>* s, Visit&& visit) {
  const IndexVector<T> begin = load_index<T>(see.begin + n * kLanes<T>);
  const IndexVector<T> end = load_index<T>(see.end + n * kLanes<T>);
  const IndexVector<T> self = load_index<T>(see.self + n * kLanes<T>);
  for (int64_t j = first; j < last; ++j) {
    Compute<T>* row = s + j * kPanel<T> + n * kLanes<T>;
    if (j >= see.open_first[n] && j < see.open_last[n]) {
      visit(row, j, IndexVector<T>{}, true);
    } else {
      const IndexVector<T> key = splat_index<T>(j);
      visit(row, j, (key >= begin) & (key < end) & (key != self), false);
    }
  }
}

/// One step of the online softmax of vector n: s becomes exp(score - top), `state` takes the strip
/// in.
template <class T>
inline void softmax_step(const Strip<T>& keys, const Visibility<T>& see, int n, Compute<T>* s,
                         PanelState<T>& state) {
  using V = Vector<T>;
  using S = Compute<T>;
  const V nothing = splat(-std::numeric_limits<S>::infinity());
  S* const top_at = state.top + n * kLanes<T>;
  S* const sum_at = state.sum + n * kLanes<T>;
  const V before = load(top_at);
  V top = before;
  visit_keys(see, n, see.first[n], see.last[n], s,
             [&](S* row, int64_t j, IndexVector<T> mask, bool all) {
               V x = load(row) * splat(keys.scale[j]);
               if (!all) x = mask ? x : nothing;
               store(row, x);
               top = larger(x, top);
             });
  const V base = top == nothing ? V{} : top;
  V sum{};
  for (int64_t j = see.first[n]; j < see.last[n]; ++j) {
    S* row = s + j * kPanel<T> + n * kLanes<T>;
    const V p = exp(load(row) - base);
    store(row, p);
    sum += p;
  }
  const V shrink = exp(before - base);
  store(top_at, top);
  store(sum_at, fma(load(sum_at), shrink, sum));
  store(state.shrink + n * kLanes<T>, shrink);
}

/// o[i] += p v for the values that are not finite, which only the queries that see them may meet.
template <class T>
inline void add_faulty(const Strip<T>& keys, const Visibility<T>& see, const Compute<T>* s,
                       Compute<T>* o) {
  for (int64_t f = 0; f < keys.faulty_count; ++f) {
    const int64_t j = keys.faulty[f];
    for (int64_t i = 0; i < see.count; ++i) {
      if (!see.sees(i, j)) continue;
      for (int64_t n = 0; n < keys.size; ++n) {
        o[i * keys.width + n] += s[j * kPanel<T> + i] * keys.faulty_value[f][n];
      }
    }
  }
}

/// Takes a strip of keys into a panel's softmax. o[i] = sum_j exp(score_ij - top_i) v_j over this
/// strip, dropped out; what earlier strips gave is to be multiplied by state.shrink. s is scratch,
/// [count rounded up to kKeyUnit][kPanel].
template <class T>
inline void forward_step(const Strip<T>& keys, const T* queries, const Visibility<T>& see,
                         const PanelDropout<T>& dropout, PanelState<T>& state, Compute<T>* s,
                         Compute<T>* o) {
  constexpr int64_t P = kPanel<T>;
  panel_scores(keys, keys.k, queries, see, s);
  for (int n = 0; n < 2; ++n) softmax_step(keys, see, n, s, state);
  if (dropout.on()) {
    alignas(64) Compute<T> factor[P];
    for (int64_t j = see.lowest; j < see.highest; ++j) {
      dropout.factors(keys.token[j], factor);
      for (int n = 0; n < 2; ++n) {
        if (j < see.first[n] || j >= see.last[n]) continue;
        Compute<T>* row = s + j * P + n * kLanes<T>;
        store(row, load(row) * load(factor + n * kLanes<T>));
      }
    }
  }
  weigh(keys, keys.v_sum, see, s, o);
  if (keys.faulty_count > 0) add_faulty(keys, see, s, o);
}

/// What the backward step knows of a panel of queries.
template <class T>
struct PanelGradient {
  PanelRows<T> q, dy;                         // the queries, and the gradient of the output
  alignas(64) Compute<T> log_sum[kPanel<T>];  // log of the sum of exp(score) over all keys
  alignas(64) Compute<T> delta[kPanel<T>];    // dy . y
};

/// s = p and t = ds * scale of vector n, 0 where not seen, for the keys of whole blocks of kRows
/// around its range.
template <class T>
inline void softmax_gradient(const Strip<T>& keys, const Visibility<T>& see, int n,
                             const PanelDropout<T>& dropout, const PanelGradient<T>& panel,
                             Compute<T>* s, Compute<T>* t) {
  using V = Vector<T>;
  using S = Compute<T>;
  const int64_t first = see.first[n] - see.first[n] % kRows<T>;
  const int64_t last = see.last[n] > first ? round_up(see.last[n], kRows<T>) : first;
  const V log_sum = load(panel.log_sum + n * kLanes<T>);
  const V delta = load(panel.delta + n * kLanes<T>);
  visit_keys(see, n, first, last, s, [&](S* row, int64_t j, IndexVector<T> mask, bool all) {
    S* const slope = t + (row - s);
    const V scale = splat(keys.scale[j]);
    V p = exp(load(row) * scale - log_sum), dp = load(slope), kept = p;
    if (dropout.on()) {
      alignas(64) S factor[kPanel<T>];
      dropout.factors(keys.token[j], factor);
      kept = p * load(factor + n * kLanes<T>);
      dp = dp * load(factor + n * kLanes<T>);
    }
    V ds = p * (dp - delta) * scale;
    if (!all) {
      kept = mask ? kept : V{};
      ds = mask ? ds : V{};
    }
    store(row, kept);
    store(slope, ds);
  });
}

/// Adds a strip's share of a panel's gradients: dq[i] = sum_j ds_ij k_j (overwritten, null to
/// skip), and dk[j] += sum_i ds_ij q_i, dv[j] += sum_i p_ij dy_i (null to skip). Here k and dk are
/// before the keys' normalisation, as if it were a constant factor. s and t are scratch like
/// forward_step's.
template <class T>
inline void backward_step(const Strip<T>& keys, const PanelGradient<T>& panel,
                          const Visibility<T>& see, const PanelDropout<T>& dropout, Compute<T>* s,
                          Compute<T>* t, Compute<T>* dq, Compute<T>* dk, Compute<T>* dv) {
  panel_scores(keys, keys.k, panel.q.panel, see, s);
  panel_scores(keys, keys.v, panel.dy.panel, see, t);
  for (int n = 0; n < 2; ++n) softmax_gradient(keys, see, n, dropout, panel, s, t);
  if (dq) weigh(keys, keys.k_sum, see, t, dq);
  if (!dk) return;
  spread(keys, panel.dy.sum, see, s, dv);
  spread(keys, panel.q.sum, see, t, dk);
}

}  // namespace tenet::detail::tiles
