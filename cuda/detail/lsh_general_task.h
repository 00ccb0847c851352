/// LSH attention of any type and size: a warp for each place, a run of 32 keys at a time.
#pragma once

#include <tenet/cuda/detail/lsh_task.h>

namespace tenet::cuda::lsh {

/// Rows of K numbers in shared memory that a warp needs. Element n is lane n % 32's, but for those
/// that it only reads.
inline constexpr int forward_rows = 2, backward_rows = 6;

template <class S, class T>
TENET_GPU S dot(const S* a, const T* b, int size) {
  S sum = 0;
  for (int n = 0; n < size; ++n) sum = multiply_add(a[n], S(b[n]), sum);
  return sum;
}

/// The online softmax of one query: its row and the sum of its weights times values, in shared
/// memory; the largest score so far and the sum of exp(score - largest), alike in all lanes.
template <class S>
struct QueryState {
  S *q, *o;
  S top = nothing<S>, sum = 0;
};
/// A lane's key of a run.
template <class T>
struct RunKey {
  const T *k = nullptr, *v = nullptr;  // null: it has none
  Compute<T> factor = 0, dropped = 1;
};

/// Takes a run of keys in, those that no lane has being terms of 0. The order of all sums is that
/// of the places in the run.
template <class M, class T>
TENET_GPU void take_run(QueryState<Compute<T>>& query, const RunKey<T>& key, int size) {
  using S = Compute<T>;
  const int lane = M::thread() % 32;
  const bool seen = key.k != nullptr;
  const S x = seen ? times(dot(query.q, key.k, size), key.factor) : nothing<S>;
  const S run_top = warp_top<M>(x), top = run_top > query.top ? run_top : query.top;
  const S base = top == nothing<S> ? S(0) : top;
  const S p = seen ? math::exp(x - base) : S(0), shrink = math::exp(query.top - base);
  query.sum = multiply_add(query.sum, shrink, warp_sum<M>(p));
  query.top = top;
  for (int n = lane; n < size; n += 32) query.o[n] *= shrink;
  for (int c = 0; c < 32; ++c) {
    const auto row = M::shuffle(reinterpret_cast<unsigned long long>(key.v), c);
    const S weight = M::shuffle(p * key.dropped, c);
    if (row == 0) continue;
    const T* v = reinterpret_cast<const T*>(row);
    for (int n = lane; n < size; n += 32) query.o[n] = multiply_add(weight, S(v[n]), query.o[n]);
  }
}

/// y of a query: o / sum, or its own value if it sees nothing.
template <class M, class T>
TENET_GPU void write_output(const QueryState<Compute<T>>& query, const T* own, T* y, int size) {
  using S = Compute<T>;
  const S inverse = S(1) / query.sum;
  for (int n = M::thread() % 32; n < size; n += 32) {
    y[n] = query.sum == 0 ? own[n] : T(query.o[n] * inverse);
  }
}

/// Round t.round of place warp_number() of the group.
template <class M, class T>
TENET_GPU void general_forward(const Task<T>& t, Compute<T>* shared) {
  using S = Compute<T>;
  const int64_t number = warp_number<M>(), place = number % t.L, head = t.head_of(number);
  if (number >= t.heads * t.L || t.order_of(head)[place] == kOrderEnd) return;
  const int32_t* order = t.order_of(head);
  const int64_t b = head / t.H, h = head % t.H, i = position_of(order[place]);
  const int lane = M::thread() % 32;
  QueryState<S> query;
  query.q = shared + static_cast<int64_t>(M::thread() / 32) * forward_rows * t.size;
  query.o = query.q + t.size;
  S *const sums = t.y_sums.at(b, h, i), *const top_at = t.log_sum + head * t.L + i;
  S* const sum_at = t.sum + number - place + i;
  if (!t.opens()) query.top = *top_at, query.sum = *sum_at;
  for (int n = lane; n < t.size; n += 32) {
    query.q[n] = S(t.q.at(b, h, i)[n]), query.o[n] = t.opens() ? S(0) : sums[n];
  }
  M::warp_barrier();
  const int64_t begin = t.begin_of(number);
  int64_t high = t.causal ? place : lesser(t.L, place + t.window + 1);
  for (int64_t start = t.first_run(place, begin); start < high; start += 32) {
    const int64_t j = start + lane;
    const bool ends = j > place && j < high && order[j] < 0;
    high = warp_least<M>(static_cast<int>(ends ? j : high));
    RunKey<T> key;
    if (j < high && t.sees(place, j)) {
      const int64_t at = position_of(order[j]);
      key = {t.q.at(b, h, at), t.v.at(b, h, at), t.factor[number - place + at]};
      if (t.drop > 0) key.dropped = t.dropped(head, i, at);
    }
    take_run<M>(query, key, t.size);
  }
  if (t.closes()) write_output<M>(query, t.v.at(b, h, i), t.out.at(b, h, i), t.size);
  for (int n = lane; n < t.size && !t.closes(); n += 32) sums[n] = query.o[n];
  M::warp_barrier();
  if (lane == 0) *top_at = t.closes() ? query.top + math::log(query.sum) : query.top;
  if (lane == 0) *sum_at = query.sum;
}

/// The row that general_forward() gives a query which sees those positions; of head warp_number().
template <class M, class T>
TENET_GPU void general_step(const StepTask<T>& t, Compute<T>* shared) {
  using S = Compute<T>;
  const int64_t head = warp_number<M>(), b = head / t.H, h = head % t.H;
  if (head >= t.heads) return;
  const int lane = M::thread() % 32;
  QueryState<S> query;
  query.q = shared + static_cast<int64_t>(M::thread() / 32) * forward_rows * t.size;
  query.o = query.q + t.size;
  for (int n = lane; n < t.size; n += 32) query.q[n] = S(t.q.at(b, h, 0)[n]), query.o[n] = 0;
  M::warp_barrier();
  for (int64_t r = 0; r < t.R; ++r) {
    const int32_t* seen = t.seen + (head * t.R + r) * t.room;
    for (int64_t start = 0; start < t.room; start += 32) {
      const int32_t at = start + lane < t.room ? seen[start + lane] : -1;
      RunKey<T> key;
      if (at >= 0) {
        const S factor = t.factor[seen + start + lane - t.seen];
        key = {t.k.at(b, h, at), t.v.at(b, h, at), factor};
      }
      take_run<M>(query, key, t.size);
    }
  }
  write_output<M>(query, t.own.at(b, h, 0), t.y.at(b, h, 0), t.size);
}

/// What a query and a key that it sees give each other.
template <class S>
struct Link {
  S weight = 0;  // p, dropped out
  S slope = 0;   // ds times the key's factor
};
/// i and j are the positions of query and key, `row` and `key` their numbers in the group.
template <class T>
TENET_GPU Link<Compute<T>> link(const Task<T>& t, int64_t head, int64_t i, int64_t j,
                                Compute<T> score, Compute<T> dp) {
  using S = Compute<T>;
  const S log_sum = t.log_sum[head * t.L + i];
  if (log_sum == nothing<S>) return {};
  const int64_t group = (head - t.first_head) * t.L;
  const S factor = t.factor[group + j], p = math::exp(score * factor - log_sum);
  const S kept = t.drop > 0 ? t.dropped(head, i, j) : S(1);
  return {p * kept, p * (dp * kept - t.delta[group + i]) * factor};
}

/// A place's rows in shared memory: what it reads, and the gradients of its query, key and value.
template <class S>
struct PlaceRows {
  S *q, *v, *dy, *dq, *dk, *dv;
};

/// Adds what the place's queries and keys, one in each lane, give its gradients; `query` is the
/// link in which the place is the query.
template <class M, class T>
TENET_GPU void add_links(const Task<T>& t, int64_t b, int64_t h, const PlaceRows<Compute<T>>& rows,
                         int at, const Link<Compute<T>>& query, const Link<Compute<T>>& key) {
  using S = Compute<T>;
  for (int c = 0; c < 32; ++c) {
    const int other = M::shuffle(at, c);
    const S down = M::shuffle(query.slope, c), slope = M::shuffle(key.slope, c);
    const S weight = M::shuffle(key.weight, c);
    if (other < 0) continue;
    const T *q = t.q.at(b, h, other), *dy = t.dy.at(b, h, other);
    for (int n = M::thread() % 32; n < t.size; n += 32) {
      rows.dq[n] = multiply_add(down, S(q[n]), rows.dq[n]);
      rows.dk[n] = multiply_add(slope, S(q[n]), rows.dk[n]);
      rows.dv[n] = multiply_add(weight, S(dy[n]), rows.dv[n]);
    }
  }
}

/// Adds the round's gradients to the sums over rounds; the last round writes them.
/// dqk = dq + dk - k (k . dk) / (K mean)
template <class M, class T>
TENET_GPU void add_round(const Task<T>& t, int64_t head, int64_t i,
                         const PlaceRows<Compute<T>>& rows) {
  using S = Compute<T>;
  const int64_t b = head / t.H, h = head % t.H;
  S along = 0;
  for (int n = M::thread() % 32; n < t.size; n += 32) {
    along = multiply_add(rows.q[n], rows.dk[n], along);
  }
  along = warp_sum<M>(along) / (S(t.size) * t.mean[(head - t.first_head) * t.L + i]);
  const bool alone = t.log_sum[head * t.L + i] == nothing<S>;
  S *const dqk_sum = t.dqk_sums.at(b, h, i), *const dv_sum = t.dv_sums.at(b, h, i);
  T *const dqk = t.dqk.at(b, h, i), *const dv = t.dv.at(b, h, i);
  for (int n = M::thread() % 32; n < t.size; n += 32) {
    S of_qk = multiply_add(-along, rows.q[n], rows.dk[n]) + rows.dq[n], of_v = rows.dv[n];
    if (t.opens()) {
      of_v += alone ? rows.dy[n] : S(0);
    } else {
      of_qk += dqk_sum[n], of_v += dv_sum[n];
    }
    if (t.closes()) {
      dqk[n] = T(of_qk), dv[n] = T(of_v);
    } else {
      dqk_sum[n] = of_qk, dv_sum[n] = of_v;
    }
  }
}

/// Round t.round of place warp_number() of the group, as a query and as a key.
template <class M, class T>
TENET_GPU void general_backward(const Task<T>& t, Compute<T>* shared) {
  using S = Compute<T>;
  const int64_t number = warp_number<M>(), place = number % t.L, head = t.head_of(number);
  if (number >= t.heads * t.L || t.order_of(head)[place] == kOrderEnd) return;
  const int32_t* order = t.order_of(head);
  const int64_t b = head / t.H, h = head % t.H, i = position_of(order[place]);
  const int lane = M::thread() % 32;
  S* const base = shared + static_cast<int64_t>(M::thread() / 32) * backward_rows * t.size;
  const PlaceRows<S> rows{base,
                          base + t.size,
                          base + int64_t{2} * t.size,
                          base + int64_t{3} * t.size,
                          base + int64_t{4} * t.size,
                          base + int64_t{5} * t.size};
  for (int n = lane; n < t.size; n += 32) {
    rows.q[n] = S(t.q.at(b, h, i)[n]), rows.v[n] = S(t.v.at(b, h, i)[n]);
    rows.dy[n] = S(t.dy.at(b, h, i)[n]);
    rows.dq[n] = rows.dk[n] = rows.dv[n] = 0;
  }
  M::warp_barrier();
  int64_t high = lesser(t.L, place + t.window + 1);
  for (int64_t start = greater(t.begin_of(number), place - t.window); start < high; start += 32) {
    const int64_t j = start + lane;
    const bool ends = j > place && j < high && order[j] < 0;
    high = warp_least<M>(static_cast<int>(ends ? j : high));
    Link<S> query, key;
    int at = -1;
    if (j < high && j != place) {
      at = position_of(order[j]);
      const S score = dot(rows.q, t.q.at(b, h, at), t.size);
      if (t.sees(place, j))
        query = link(t, head, i, at, score, dot(rows.dy, t.v.at(b, h, at), t.size));
      if (t.sees(j, place))
        key = link(t, head, at, i, score, dot(rows.v, t.dy.at(b, h, at), t.size));
    }
    add_links<M>(t, b, h, rows, at, query, key);
  }
  add_round<M>(t, head, i, rows);
}

}  // namespace tenet::cuda::lsh
