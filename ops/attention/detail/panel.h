/// One panel of queries against one strip of keys: the step that full, local and LSH attention
/// share.
///
/// Scores lie transposed, s[key * kPanel + query]: the statistics of a query then run down one
/// lane, in the order of the keys, and are a function of the keys that it sees, not of how they
/// fall into tiles.
#pragma once

#include <tenet/core/philox.h>
#include <tenet/ops/attention/detail/strip.h>

#include <algorithm>
#include <limits>

namespace tenet::detail::tiles {

/// Probability p of dropping an attention weight; the weight of query i and key j in round r of
/// head h of batch b is element (((b * H + h) * R + r) * Lq + i) * Lk + j of `key`, kept if its
/// uniform number is at least p.
struct AttentionDropout {
  double p = 0;
  PhiloxKey key = {};
};

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

/// A panel's online softmax: the largest score so far, the sum of exp(score - largest), and the
/// factor by which the latest step shrank what was added up before it.
template <class T>
struct PanelState {
  alignas(64) T top[kPanel<T>];
  alignas(64) T sum[kPanel<T>];
  alignas(64) T shrink[kPanel<T>];

  void clear() {
    std::fill(top, top + kPanel<T>, -std::numeric_limits<T>::infinity());
    std::fill(sum, sum + kPanel<T>, T(0));
  }
};

/// The dropout of one panel: the element of each query's key 0, and the factors of a key's row of
/// weights.
template <class T>
struct PanelDropout {
  AttentionDropout dropout;
  uint64_t base[kPanel<T>] = {};

  bool on() const { return dropout.p > 0; }
  void factors(int32_t token, T* factor) const {
    const T kept = static_cast<T>(1 / (1 - dropout.p));
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
      factor[lane] = uniform_of_word(word) >= p ? kept : T(0);
    }
  }
};

/// s[j][i] = rows[j] . columns[i] for every key j and vector of queries that sees one of the kRows
/// keys around j. `columns` is a panel [width][kPanel].
template <class T>
inline void panel_scores(const Strip<T>& keys, const T* rows, const T* columns,
                         const Visibility<T>& see, T* s) {
  constexpr int64_t P = kPanel<T>;
  const auto block = [&]<int count>(int64_t j, bool low, bool high) {
    const T* a = rows + j * keys.width;
    T* c = s + j * P;
    if (low && high) {
      tile_product<count, 2, Start::zero>(keys.size, a, keys.width, 1, columns, P, c, P);
    } else {
      const int64_t n = low ? 0 : kLanes<T>;
      tile_product<count, 1, Start::zero>(keys.size, a, keys.width, 1, columns + n, P, c + n, P);
    }
  };
  for (int64_t j = see.lowest - see.lowest % kRows<T>; j < see.highest; j += kRows<T>) {
    const bool low = see.first[0] < j + kRows<T> && j < see.last[0];
    const bool high = see.first[1] < j + kRows<T> && j < see.last[1];
    if (!low && !high) continue;
    if (see.highest - j <= kRows<T> / 2) {
      block.template operator()<kRows<T> / 2>(j, low, high);
    } else {
      block.template operator()<kRows<T>>(j, low, high);
    }
  }
}

/// Calls visit(row of s, key, mask of the lanes that see it, whether all do) for the keys of vector
/// n in [first, last).
template <class T, class Visit>
[[gnu::always_inline]] inline void visit_keys(const Visibility<T>& see, int n, int64_t first,
                                              int64_t last, T* s, Visit&& visit) {
  const IndexVector<T> begin = load_index<T>(see.begin + n * kLanes<T>);
  const IndexVector<T> end = load_index<T>(see.end + n * kLanes<T>);
  const IndexVector<T> self = load_index<T>(see.self + n * kLanes<T>);
  for (int64_t j = first; j < last; ++j) {
    T* row = s + j * kPanel<T> + n * kLanes<T>;
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
inline void softmax_step(const Strip<T>& keys, const Visibility<T>& see, int n, T* s,
                         PanelState<T>& state) {
  using V = Vector<T>;
  const V nothing = splat(-std::numeric_limits<T>::infinity());
  T* const top_at = state.top + n * kLanes<T>;
  T* const sum_at = state.sum + n * kLanes<T>;
  const V before = load(top_at);
  V top = before;
  visit_keys(see, n, see.first[n], see.last[n], s,
             [&](T* row, int64_t j, IndexVector<T> mask, bool all) {
               V x = load(row) * splat(keys.scale[j]);
               if (!all) x = mask ? x : nothing;
               store(row, x);
               top = larger(x, top);
             });
  const V base = top == nothing ? V{} : top;
  V sum{};
  for (int64_t j = see.first[n]; j < see.last[n]; ++j) {
    T* row = s + j * kPanel<T> + n * kLanes<T>;
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
inline void add_faulty(const Strip<T>& keys, const Visibility<T>& see, const T* s, T* o) {
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
/// [count rounded up to kRows][kPanel].
template <class T>
inline void forward_step(const Strip<T>& keys, const T* queries, const Visibility<T>& see,
                         const PanelDropout<T>& dropout, PanelState<T>& state, T* s, T* o) {
  constexpr int64_t P = kPanel<T>;
  panel_scores(keys, keys.k, queries, see, s);
  for (int n = 0; n < 2; ++n) softmax_step(keys, see, n, s, state);
  if (dropout.on()) {
    alignas(64) T factor[P];
    for (int64_t j = see.lowest; j < see.highest; ++j) {
      dropout.factors(keys.token[j], factor);
      for (int n = 0; n < 2; ++n) {
        if (j < see.first[n] || j >= see.last[n]) continue;
        T* row = s + j * P + n * kLanes<T>;
        store(row, load(row) * load(factor + n * kLanes<T>));
      }
    }
  }
  for (int64_t group = 0; group * kRows<T> < see.count; ++group) {
    const int64_t j = see.group_first[group], i = group * kRows<T>;
    row_product<Start::zero>(see.group_last[group] - j, s + j * P + i, 1, P,
                             keys.v + j * keys.width, keys.width, o + i * keys.width, keys.width,
                             keys.width);
  }
  if (keys.faulty_count > 0) add_faulty(keys, see, s, o);
}

/// What the backward step knows of a panel of queries.
template <class T>
struct PanelGradient {
  const T* q = nullptr;        // [count][width]
  const T* dy = nullptr;       // [count][width], the output's gradient
  const T* q_panel = nullptr;  // [width][kPanel]
  const T* dy_panel = nullptr;
  alignas(64) T log_sum[kPanel<T>];  // log of the sum of exp(score) over all keys
  alignas(64) T delta[kPanel<T>];    // dy . y
};

/// s = p and t = ds * scale of vector n, 0 where not seen, for the keys of whole blocks of kRows
/// around its range.
template <class T>
inline void softmax_gradient(const Strip<T>& keys, const Visibility<T>& see, int n,
                             const PanelDropout<T>& dropout, const PanelGradient<T>& panel, T* s,
                             T* t) {
  using V = Vector<T>;
  const int64_t first = see.first[n] - see.first[n] % kRows<T>;
  const int64_t last = see.last[n] > first ? round_up(see.last[n], kRows<T>) : first;
  const V log_sum = load(panel.log_sum + n * kLanes<T>);
  const V delta = load(panel.delta + n * kLanes<T>);
  visit_keys(see, n, first, last, s, [&](T* row, int64_t j, IndexVector<T> mask, bool all) {
    T* const slope = t + (row - s);
    const V scale = splat(keys.scale[j]);
    V p = exp(load(row) * scale - log_sum), dp = load(slope), kept = p;
    if (dropout.on()) {
      alignas(64) T factor[kPanel<T>];
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
                          const Visibility<T>& see, const PanelDropout<T>& dropout, T* s, T* t,
                          T* dq, T* dk, T* dv) {
  constexpr int64_t P = kPanel<T>;
  const int64_t width = keys.width;
  panel_scores(keys, keys.k, panel.q_panel, see, s);
  panel_scores(keys, keys.v, panel.dy_panel, see, t);
  for (int n = 0; n < 2; ++n) softmax_gradient(keys, see, n, dropout, panel, s, t);
  for (int64_t group = 0; dq && group * kRows<T> < see.count; ++group) {
    const int64_t j = see.group_first[group], i = group * kRows<T>;
    row_product<Start::zero>(see.group_last[group] - j, t + j * P + i, 1, P, keys.k + j * width,
                             width, dq + i * width, width, width);
  }
  if (!dk) return;
  for (int64_t j = see.lowest - see.lowest % kRows<T>; j < see.highest; j += kRows<T>) {
    int64_t from = 0, to = see.count;
    const auto blind = [&](int64_t i) { return see.end[i] <= j || see.begin[i] >= j + kRows<T>; };
    while (from < to && blind(from)) ++from;
    while (to > from && blind(to - 1)) --to;
    if (from == to) continue;
    row_product<Start::add>(to - from, s + j * P + from, P, 1, panel.dy + from * width, width,
                            dv + j * width, width, width);
    row_product<Start::add>(to - from, t + j * P + from, P, 1, panel.q + from * width, width,
                            dk + j * width, width, width);
  }
}

}  // namespace tenet::detail::tiles
