/// Attention over chunks by its definition, slot by slot, on complex numbers, whose imaginary parts
/// carry a derivative.
#pragma once

#include <tenet/ops/attention/chunked_attention.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstdint>
#include <numeric>
#include <vector>

namespace tenet::test {

using Complex = std::complex<double>;

/// A place in the sorted rounds: a position as some round sees it.
struct Slot {
  int64_t position, round, bucket;
};

/// The definition for one head, on numbers that may carry a derivative.
struct Definition {
  ChunkedLshOptions o;
  bool lsh = true;
  int64_t rounds = 1;
  std::vector<bool> used = {};  // of each position; empty: all

  using Row = std::vector<Complex>;
  using Rows = std::vector<Row>;

  static Complex dot(const Row& a, const Row& b) {
    return std::inner_product(a.begin(), a.end(), b.begin(), Complex());
  }
  static Complex log_sum(const Row& scores) {
    double top = -INFINITY;
    for (const Complex& s : scores) top = std::max(top, s.real());
    Complex total = 0;
    for (const Complex& s : scores) total += std::exp(s - top);
    return top + std::log(total);
  }
  Complex stored(Complex l) const {
    if (o.weighing == Weighing::softmax) return l;
    return {static_cast<double>(static_cast<float>(l.real())), l.imag()};
  }
  /// A score as a number and what is added to it, which would swallow its digits.
  struct Score {
    Complex number;
    double added = 0;
  };
  /// Weights of scores, and the log-sum-exp from which they are taken.
  Row weights(std::vector<Score> scores, Score& l) const {
    double top = -INFINITY;
    for (const Score& s : scores) top = std::max(top, s.added);
    Row numbers;
    for (const Score& s : scores) numbers.push_back(s.number + (s.added - top));
    const Complex exact = log_sum(numbers);
    l = {stored(exact), top};
    Row w;
    for (const Complex& s : numbers) {
      w.push_back(std::exp(s - (o.weighing == Weighing::rounded ? l.number : exact)));
    }
    return w;
  }
  Row key_of(const Row& k) const {
    const auto width = static_cast<double>(k.size());
    Row result = k;
    Complex squares = 0;
    for (const Complex& x : k) squares += x * x;
    for (Complex& x : result) {
      if (lsh) x /= std::sqrt(squares / width + 1e-6);
      x /= std::sqrt(width);
    }
    return result;
  }

  /// The slots of a round in the order of (bucket, position).
  std::vector<Slot> sorted(const std::vector<int64_t>& buckets, int64_t round) const {
    std::vector<Slot> slots;
    for (size_t i = 0; i < buckets.size(); ++i) {
      const int64_t bucket = lsh && !used.empty() && !used[i] ? INT32_MAX : buckets[i];
      slots.push_back({static_cast<int64_t>(i), round, bucket});
    }
    std::stable_sort(slots.begin(), slots.end(),
                     [](const Slot& a, const Slot& b) { return a.bucket < b.bucket; });
    return slots;
  }
  bool same_bucket(const Slot& a, const Slot& b) const {
    return a.bucket == b.bucket && a.round == b.round;
  }
  /// The slots that chunk c sees, with repetitions.
  std::vector<Slot> window(const std::vector<Slot>& slots, int64_t c) const {
    const int64_t n = std::ssize(slots) / o.chunk;
    std::vector<Slot> seen;
    for (int64_t s = -o.before; s <= o.after; ++s) {
      const int64_t from = std::abs(s) < n ? ((c + s) % n + n) % n : c;
      for (int64_t i = 0; i < o.chunk; ++i)
        seen.push_back(slots[static_cast<size_t>(from * o.chunk + i)]);
    }
    return seen;
  }
  /// In how many rounds i's chunk sees j.
  double meetings(const std::vector<Slot>& slots, int64_t i, int64_t j) const {
    int64_t count = 0;
    for (int64_t r = 0; r < rounds; ++r) {
      size_t at = 0;
      while (slots[at].position != i || slots[at].round != r) ++at;
      const std::vector<Slot> seen = window(slots, static_cast<int64_t>(at) / o.chunk);
      count += std::any_of(seen.begin(), seen.end(), [&](const Slot& key) {
        return key.position == j && key.round == r &&
               (!o.same_bucket || same_bucket(key, slots[at]));
      });
    }
    return static_cast<double>(std::max<int64_t>(count, 1));
  }

  Score score(const Row& q, const Row& k, const Slot& query, const Slot& key,
              const std::vector<Slot>* slots) const {
    Complex s = dot(q, key_of(k));
    const bool chunked = slots != nullptr;
    if (chunked && o.count_duplicates)
      s -= std::log(meetings(*slots, query.position, key.position));
    const bool hidden = (o.causal && key.position > query.position) ||
                        (!used.empty() && !used[static_cast<size_t>(key.position)]) ||
                        (chunked && o.same_bucket && !same_bucket(query, key));
    const bool self = lsh && key.position == query.position;
    if (o.hiding == Hiding::add) return {s, (hidden ? -1e9 : 0.0) + (self ? -1e5 : 0.0)};
    return {self ? -1e5 : hidden ? -1e9 : s};
  }

  /// y of all positions. buckets[r][i] are given.
  Rows run(const Rows& q, const Rows& k, const Rows& v,
           const std::vector<std::vector<int64_t>>& buckets) const {
    const auto length = std::ssize(q);
    const bool whole = length <= o.chunk;
    const int64_t count = whole || !lsh ? 1 : rounds;
    std::vector<Slot> slots;
    for (int64_t r = 0; r < count; ++r) {
      const std::vector<int64_t> none(static_cast<size_t>(length), 0);
      const auto round = sorted(lsh && !whole ? buckets[static_cast<size_t>(r)] : none, r);
      slots.insert(slots.end(), round.begin(), round.end());
    }
    if (whole)
      std::sort(slots.begin(), slots.end(),
                [](auto& a, auto& b) { return a.position < b.position; });
    std::vector<Rows> ys(static_cast<size_t>(length));
    std::vector<std::vector<Score>> ls(static_cast<size_t>(length));
    for (size_t at = 0; at < slots.size(); ++at) {
      const Slot& query = slots[at];
      const std::vector<Slot> seen =
          whole ? slots : window(slots, static_cast<int64_t>(at) / o.chunk);
      std::vector<Score> scores;
      for (const Slot& key : seen) {
        scores.push_back(score(q[static_cast<size_t>(query.position)],
                               k[static_cast<size_t>(key.position)], query, key,
                               whole ? nullptr : &slots));
      }
      Score l;
      const Row w = weights(scores, l);
      Row y(v[0].size());
      for (size_t j = 0; j < seen.size(); ++j) {
        for (size_t c = 0; c < y.size(); ++c)
          y[c] += w[j] * v[static_cast<size_t>(seen[j].position)][c];
      }
      ys[static_cast<size_t>(query.position)].push_back(y);
      ls[static_cast<size_t>(query.position)].push_back(l);
    }
    Rows result;
    for (size_t i = 0; i < ys.size(); ++i) {
      Score l;
      const Row w = ys[i].size() == 1 ? Row{1} : weights(ls[i], l);
      Row y(v[0].size());
      for (size_t r = 0; r < w.size(); ++r) {
        for (size_t c = 0; c < y.size(); ++c) y[c] += w[r] * ys[i][r][c];
      }
      result.push_back(y);
    }
    return result;
  }
};

}  // namespace tenet::test
