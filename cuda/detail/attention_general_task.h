/// Band attention of any type and size: a warp for each query or key, 32 of the others at a time.
#pragma once

#include <tenet/cuda/detail/attention_task.h>

namespace tenet::cuda::attention {

/// Numbers of S in shared memory that a warp needs, as rows of K.
inline constexpr int general_rows = 4;

/// A warp's rows of shared memory; element n is lane n % 32's, but for those that it only reads.
template <class M, class S>
TENET_GPU S* warp_rows(S* shared, int size) {
  return shared + static_cast<int64_t>(M::thread() / 32) * general_rows * size;
}

template <class S, class T>
TENET_GPU S dot(const S* a, const T* b, int size) {
  S sum = 0;
  for (int n = 0; n < size; ++n) sum += a[n] * S(b[n]);
  return sum;
}

/// y and log_sum of query warp_number().
template <class M, class T>
TENET_GPU void general_forward(const Task<T>& t, Compute<T>* shared) {
  using S = Compute<T>;
  const int64_t row = warp_number<M>();
  if (row >= t.heads * t.Lq) return;
  const int64_t head = row / t.Lq, i = row % t.Lq, b = head / t.H, h = head % t.H;
  const int lane = M::thread() % 32;
  const Sight sight = t.sight_of(b);
  S *const q = warp_rows<M>(shared, t.size), *const o = q + t.size;
  for (int n = lane; n < t.size; n += 32) q[n] = S(t.q.at(b, h, i)[n]), o[n] = 0;
  M::warp_barrier();
  S top = nothing<S>, sum = 0;
  const int64_t end = sight.end(i), self = sight.self(i);
  for (int64_t start = sight.begin(i); start < end; start += 32) {
    const int64_t j = start + lane;
    const bool seen = j < end && j != self;
    const int64_t at = sight.position(seen ? j : start);
    const S x = seen ? dot(q, t.k.at(b, h, at), t.size) * t.factor(head, at) : nothing<S>;
    const S tile_top = warp_top<M>(x), larger = tile_top > top ? tile_top : top;
    const S base = larger == nothing<S> ? S(0) : larger;
    const S p = seen ? math::exp(x - base) : S(0), shrink = math::exp(top - base);
    sum = sum * shrink + warp_sum<M>(p);
    top = larger;
    const S weight = t.drop > 0 && seen ? (t.keeps(head, i, at) ? p * t.kept : S(0)) : p;
    for (int n = lane; n < t.size; n += 32) o[n] *= shrink;
    for (int64_t key = start; key < Sight::least(start + 32, end); ++key) {
      const S w = M::shuffle(weight, static_cast<int>(key - start));
      if (key == self) continue;
      const T* v = t.v.at(b, h, sight.position(key));
      for (int n = lane; n < t.size; n += 32) o[n] += w * S(v[n]);
    }
  }
  if (lane == 0) t.log_sum[row] = top + math::log(sum);
  const bool alone = sum == 0 && sight.falls_back(i);
  const T* own = t.v.at(b, h, alone ? i + sight.offset : 0);
  for (int n = lane; n < t.size; n += 32) {
    t.y.at(b, h, i)[n] = alone ? own[n] : T(o[n] * (sum == 0 ? S(0) : S(1) / sum) + S(0));
  }
}

/// What a query and a key that it sees give each other.
template <class S>
struct Link {
  S weight = 0;  // p, dropped out
  S slope = 0;   // ds times the key's factor
};
template <class T>
TENET_GPU Link<Compute<T>> link(const Task<T>& t, int64_t head, int64_t i, int64_t at,
                                Compute<T> score, Compute<T> dp) {
  using S = Compute<T>;
  const int64_t row = head * t.Lq + i;
  const S factor = t.factor(head, at), p = math::exp(score * factor - t.log_sum[row]);
  const S kept = t.drop > 0 ? (t.keeps(head, i, at) ? t.kept : S(0)) : S(1);
  return {p * kept, p * (dp * kept - t.delta[row]) * factor};
}

/// dq of query warp_number().
template <class M, class T>
TENET_GPU void general_queries(const Task<T>& t, Compute<T>* shared) {
  using S = Compute<T>;
  const int64_t row = warp_number<M>();
  if (row >= t.heads * t.Lq) return;
  const int64_t head = row / t.Lq, i = row % t.Lq, b = head / t.H, h = head % t.H;
  const int lane = M::thread() % 32;
  const Sight sight = t.sight_of(b);
  S *const q = warp_rows<M>(shared, t.size), *const dy = q + t.size, *const dq = dy + t.size;
  for (int n = lane; n < t.size; n += 32) {
    q[n] = S(t.q.at(b, h, i)[n]), dy[n] = S(t.dy.at(b, h, i)[n]), dq[n] = 0;
  }
  M::warp_barrier();
  const bool none = t.log_sum[row] == nothing<S>;
  const int64_t end = none ? 0 : sight.end(i), self = sight.self(i);
  for (int64_t start = sight.begin(i); start < end; start += 32) {
    const int64_t j = start + lane;
    Link<S> of;
    if (j < end && j != self) {
      const int64_t at = sight.position(j);
      of =
          link(t, head, i, at, dot(q, t.k.at(b, h, at), t.size), dot(dy, t.v.at(b, h, at), t.size));
    }
    for (int64_t key = start; key < Sight::least(start + 32, end); ++key) {
      const S slope = M::shuffle(of.slope, static_cast<int>(key - start));
      if (key == self) continue;
      const T* k = t.k.at(b, h, sight.position(key));
      for (int n = lane; n < t.size; n += 32) dq[n] += slope * S(k[n]);
    }
  }
  for (int n = lane; n < t.size; n += 32) t.dq.at(b, h, i)[n] = T(dq[n]);
}

/// dk and dv of the visible key of number warp_number().
template <class M, class T>
TENET_GPU void general_keys(const Task<T>& t, Compute<T>* shared) {
  using S = Compute<T>;
  const int64_t number = warp_number<M>();
  if (number >= t.heads * t.Lk) return;
  const int64_t head = number / t.Lk, j = number % t.Lk, b = head / t.H, h = head % t.H;
  const int lane = M::thread() % 32, size = t.size;
  const Sight sight = t.sight_of(b);
  if (j >= sight.keys()) return;
  const int64_t at = sight.position(j);
  S *const k = warp_rows<M>(shared, size), *const v = k + size;
  S *const dk = v + size, *const dv = dk + size;
  for (int n = lane; n < size; n += 32) {
    k[n] = S(t.k.at(b, h, at)[n]), v[n] = S(t.v.at(b, h, at)[n]), dk[n] = dv[n] = 0;
  }
  M::warp_barrier();
  const QueryRange range = queries_of(sight, t.Lq, j, j + 1);
  for (int64_t start = range.first; start < range.last; start += 32) {
    const int64_t i = start + lane;
    const bool seen =
        i < range.last && j != sight.self(i) && t.log_sum[head * t.Lq + i] != nothing<S>;
    Link<S> of;
    if (seen) {
      of = link(t, head, i, at, dot(k, t.q.at(b, h, i), size), dot(v, t.dy.at(b, h, i), size));
    }
    for (int64_t query = start; query < Sight::least(start + 32, range.last); ++query) {
      const int from = static_cast<int>(query - start);
      const S weight = M::shuffle(of.weight, from), slope = M::shuffle(of.slope, from);
      if (!M::shuffle(static_cast<int>(seen), from)) continue;
      const T *q = t.q.at(b, h, query), *dy = t.dy.at(b, h, query);
      for (int n = lane; n < size; n += 32) dk[n] += slope * S(q[n]), dv[n] += weight * S(dy[n]);
    }
  }
  S along = 0;  // of dk along k, over k's square
  if (t.factors) {
    S product = 0, square = 0;
    for (int n = lane; n < size; n += 32) product += k[n] * dk[n], square += k[n] * k[n];
    const S mean = warp_sum<M>(square) / S(size) + S(tenet::detail::tiles::kKeyEpsilon);
    along = warp_sum<M>(product) / (S(size) * mean);
  }
  const int64_t alone = fallback_query(t, head, at);
  for (int n = lane; n < size; n += 32) {
    t.dk.at(b, h, at)[n] = T(dk[n] - k[n] * along);
    t.dv.at(b, h, at)[n] = T(alone < 0 ? dv[n] : dv[n] + S(t.dy.at(b, h, alone)[n]));
  }
}

}  // namespace tenet::cuda::attention
