#include <tenet/core/grad_mode.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/attention/chunked_attention.h>
#include <tenet/ops/attention/detail/chunked_step.h>
#include <tenet/ops/attention/lsh_attention.h>
#include <tenet/ops/concatenate.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/dropout.h>
#include <tenet/ops/elementwise.h>
#include <tenet/ops/index.h>
#include <tenet/ops/matmul.h>
#include <tenet/ops/reduce.h>
#include <tenet/ops/softmax.h>
#include <tenet/ops/sort.h>
#include <tenet/ops/views.h>

#include <cmath>
#include <functional>
#include <numeric>

namespace tenet {
namespace {

constexpr double hidden_score = -1e9, self_score = -1e5;

/// The chunks of an axis: how many, how long, and what each sees.
struct Chunks {
  int64_t count, length, before, after;

  /// Of `rounds` rounds of L positions.
  Chunks(int64_t L, int64_t rounds, const ChunkOptions& o)
      : count(L <= o.chunk ? 1 : rounds * L / o.chunk),
        length(L <= o.chunk ? L : o.chunk),
        before(L <= o.chunk ? 0 : o.before),
        after(L <= o.chunk ? 0 : o.after) {}

  /// (.., count * length, ...) along `axis` as (.., count, length, ...).
  Tensor cut(const Tensor& x, int axis) const {
    Shape shape = x.shape();
    shape[axis] = count;
    shape.insert(axis + 1, length);
    return reshape(x, shape);
  }
  /// (.., count, length, ...), `axis` that of the chunks -> (.., count, window, ...).
  Tensor look_around(const Tensor& x, int axis) const {
    Tensors seen;
    for (int64_t s = -before; s <= after; ++s) {
      seen.push_back(s == 0 || std::abs(s) >= count ? x : roll(x, -s, axis));
    }
    return seen.size() == 1 ? seen[0] : concatenate(seen, axis + 1);
  }
};

/// x / n rounded down, of integers below 2^53.
Tensor quotient(const Tensor& x, int64_t n) {
  return floor(x.to(DType::f64) / static_cast<double>(n)).to(DType::i64);
}

/// l = log_sum + level: beside the level's 1e9 the sum's digits would be lost.
struct Attended {
  Tensor y;               // (.., queries, K)
  Tensor log_sum, level;  // (.., queries)
};

/// The log-sum-exp along an axis, which stays, as the weights are taken from it. Rounding has the
/// gradient 1.
Tensor log_sum_of(const Tensor& scores, int axis, Weighing weighing) {
  Tensor l = logsumexp(scores, axis, true);
  const Tensor kept = l.detach();
  if (weighing == Weighing::softmax || l.dtype() == DType::f32) return l;
  return l + (kept.to(DType::f32).to(l.dtype()) - kept);
}

Tensor weights_of(const Tensor& scores, const Tensor& log_sum, int axis, Weighing weighing) {
  return weighing == Weighing::rounded ? exp(scores - log_sum) : softmax(scores, axis);
}

/// a or b, of which either may be undefined.
Tensor either(const Tensor& a, const Tensor& b) {
  if (!a.defined() || !b.defined()) return a.defined() ? a : b;
  return logical_or(a, b);
}

/// `hidden` and `self` broadcast to the scores and may be undefined, as may `less`, which is taken
/// from them. The level is undefined where it is 0.
Attended attend(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& hidden,
                const Tensor& self, const Tensor& less, const ChunkOptions& o) {
  const Autocast full(std::nullopt);  // weights need more bits, and hidden scores f16's range
  Tensor scores = matmul(q, transpose(k, -2, -1)), level;
  if (less.defined()) scores = scores - less;
  if (o.hiding == Hiding::add && either(hidden, self).defined()) {
    const Tensor zero = zeros({}, {scores.dtype(), scores.device()});
    Tensor added = zero;
    if (hidden.defined()) added = added + where(hidden, hidden_score, zero);
    if (self.defined()) added = added + where(self, self_score, zero);
    level = max(added, -1, true);
    scores = scores + (added - level);
  } else {
    if (hidden.defined()) scores = where(hidden, hidden_score, scores);
    if (self.defined()) scores = where(self, self_score, scores);
  }
  const Tensor l = log_sum_of(scores, -1, o.weighing);
  Tensor weights = weights_of(scores, l, -1, o.weighing);
  if (o.dropout > 0) {
    weights = dropout(weights, o.dropout, o.generator ? *o.generator : default_generator());
  }
  if (level.defined()) level = squeeze(expand(level, l.shape()), -1);
  return {matmul(weights, v), squeeze(l, -1), level};
}

/// y = sum_r softmax_r(l_r) y_r of (B, H, R, L, K) and (B, H, R, L).
Tensor combined(const Attended& each, Weighing weighing) {
  if (each.y.size(2) == 1) return select(each.y, 2, 0);
  Tensor l = each.log_sum;
  if (each.level.defined()) l = l + (each.level - max(each.level, 2, true));
  const Tensor weights = weights_of(l, log_sum_of(l, 2, weighing), 2, weighing);
  return sum(unsqueeze(weights, -1) * each.y, 2);
}

/// Whether something is hidden from a query at `at` in the key at `seen`, both i64 positions;
/// `used` (.., 1, window): the keys in use.
Tensor hidden_keys(const Tensor& at, const Tensor& seen, const Tensor& used, bool causal) {
  const Tensor later = causal ? less(unsqueeze(at, -1), unsqueeze(seen, -2)) : Tensor();
  const Tensor unused = used.defined() ? logical_not(unsqueeze(used, -2)) : Tensor();
  return either(later, unused);
}

void check_options(const Tensor& q, const ChunkOptions& o, const char* op) {
  check(o.chunk >= 1, "{}: chunk is {}, not positive", op, o.chunk);
  check(o.before >= 0 && o.after >= 0, "{}: before is {} and after is {}, below 0", op, o.before,
        o.after);
  check(o.dropout >= 0 && o.dropout < 1, "{}: dropout is {}, outside [0, 1)", op, o.dropout);
  check(is_floating(promote(q.dtype(), q.dtype(), op)), "{}: dtype {} is not supported", op,
        q.dtype());
  check(q.size(2) <= o.chunk || q.size(2) % o.chunk == 0,
        "{}: length {} is not a multiple of the chunk {}; pad it", op, q.size(2), o.chunk);
  if (!o.mask.defined()) return;
  check(o.mask.shape() == Shape{q.size(0), q.size(2)},
        "{}: mask has shape {}, tensors of shape {} need {}", op, o.mask.shape(), q.shape(),
        Shape{q.size(0), q.size(2)});
  check(o.mask.dtype() == DType::boolean, "{}: mask is {}, not boolean", op, o.mask.dtype());
}

void check_like(const Tensor& q, const Tensor& x, const char* q_name, const char* name,
                const char* op) {
  check(q.dim() == 4, "{}: {} has shape {}, not (B, H, L, K)", op, q_name, q.shape());
  check(x.shape() == q.shape(), "{}: {} has shape {}, {} has {}", op, q_name, q.shape(), name,
        x.shape());
  check(x.device() == q.device(), "{}: {} is on {}, {} on {}", op, q_name, q.device(), name,
        x.device());
}

/// k = qk / sqrt(mean(qk^2) + 1e-6) / sqrt(K)
Tensor keys_of(const Tensor& qk) {
  const double width = static_cast<double>(qk.size(-1));
  return qk * (rsqrt(mean(square(qk), -1, true) + 1e-6) / std::sqrt(width));
}

/// One round after another, each sorted: what a query and what its window hold.
class SortedRounds {
 public:
  SortedRounds(const Tensor& qk, const Tensor& rotations, const ChunkedLshOptions& o)
      : o_(o),
        length_(qk.size(2)),
        rounds_(rotations.size(2)),
        chunks_(length_, rounds_, o),
        sorted_(lsh_order(qk, rotations, o.factors, o.mask)) {
    const NoGrad scope;
    place_ = argsort(sorted_.order, -1);
    position_ = sorted_.order - quotient(sorted_.order, length_) * length_;
    at_ = chunks_.cut(position_, 2);
    seen_ = around(at_);
  }

  /// (B, H, L, K) in sorted order, in chunks: (B, H, n, c, K).
  Tensor gathered(const Tensor& x) const {
    return chunks_.cut(take_along(x, unsqueeze(position_, -1), 2), 2);
  }
  Tensor around(const Tensor& x) const { return chunks_.look_around(x, 2); }

  /// Which keys are hidden, (B, H, n, c, window); may be undefined.
  Tensor hidden() const {
    const NoGrad scope;
    Tensor used, other;
    if (o_.mask.defined()) {
      used = around(chunks_.cut(take_along(unsqueeze(o_.mask, 1), position_, 2), 2));
    }
    if (o_.same_bucket) {
      const Tensor bucket = chunks_.cut(take_along(sorted_.buckets, sorted_.order, 2), 2);
      other = not_equal(unsqueeze(bucket, -1), unsqueeze(around(bucket), -2));
    }
    return either(hidden_keys(at_, seen_, used, o_.causal), other);
  }
  /// Which keys are the query's own position.
  Tensor self() const {
    const NoGrad scope;
    return equal(unsqueeze(at_, -1), unsqueeze(seen_, -2));
  }
  /// log N, N the number of rounds in which the query sees the key's position.
  Tensor log_duplicates(DType dtype) const {
    const NoGrad scope;
    Tensor count = zeros({1}, {DType::i64, at_.device()});
    for (int64_t r = 0; r < rounds_; ++r) count = count + sees_in_round(r).to(DType::i64);
    return log(maximum(count, 1).to(dtype));
  }

  /// (B, H, n, c, ...) by round and position: (B, H, R, L, ...).
  Tensor unsorted(const Tensor& x) const {
    Shape flat{x.size(0), x.size(1), rounds_ * length_},
        result{x.size(0), x.size(1), rounds_, length_};
    Tensor place = place_;
    for (int axis = 4; axis < x.dim(); ++axis) {
      flat.push_back(x.size(axis));
      result.push_back(x.size(axis));
      place = unsqueeze(place, -1);
    }
    return reshape(take_along(reshape(x, flat), place, 2), result);
  }

 private:
  /// Whether the query's chunk of round r sees the key's position, which may be another slot of it.
  Tensor sees_in_round(int64_t r) const {
    const auto of_round = [&](const Tensor& x) {  // (B, H, R L) -> this round's, by position
      return slice(x, 2, r * length_, (r + 1) * length_);
    };
    const Tensor chunk = quotient(of_round(place_), chunks_.length);
    const Tensor away = unsqueeze(at(chunk, seen_), -2) - unsqueeze(at(chunk, at_), -1);
    Tensor sees = zeros(away.shape(), {DType::boolean, away.device()});
    for (int64_t s = -chunks_.before; s <= chunks_.after; ++s) {
      const int64_t shift = std::abs(s) >= chunks_.count ? 0 : s;
      sees = logical_or(sees, equal(wrapped(away - shift), 0));
    }
    if (!o_.same_bucket) return sees;
    const Tensor bucket = of_round(sorted_.buckets);
    return logical_and(sees,
                       equal(unsqueeze(at(bucket, seen_), -2), unsqueeze(at(bucket, at_), -1)));
  }
  /// x (B, H, L) at positions (B, H, n, m).
  static Tensor at(const Tensor& x, const Tensor& positions) {
    const Shape flat{x.size(0), x.size(1), positions.size(2) * positions.size(3)};
    return reshape(take_along(x, reshape(positions, flat), 2), positions.shape());
  }
  /// x modulo the number of chunks.
  Tensor wrapped(const Tensor& x) const { return x - quotient(x, chunks_.count) * chunks_.count; }

  const ChunkedLshOptions& o_;
  int64_t length_, rounds_;
  Chunks chunks_;
  LshOrder sorted_;
  Tensor place_;      // (B, H, R L): the slot of each position of each round
  Tensor position_;   // (B, H, R L): of each slot
  Tensor at_, seen_;  // positions of the queries (B, H, n, c), and of the keys (B, H, n, window)
};

}  // namespace

Tensor chunked_local_attention(const Tensor& q_, const Tensor& k_, const Tensor& v_,
                               const ChunkOptions& options) {
  constexpr const char* op = "chunked_local_attention";
  check_like(q_, k_, "q", "k", op);
  check_like(q_, v_, "q", "v", op);
  check_options(q_, options, op);
  const DType dtype = promote(promote(q_.dtype(), k_.dtype(), op), v_.dtype(), op);
  const DType wide = accumulate_dtype(dtype);
  const int64_t length = q_.size(2);
  const Chunks chunks(length, 1, options);
  const auto cut = [&](const Tensor& x) { return chunks.cut(x.to(wide), 2); };
  const auto around = [&](const Tensor& x) { return chunks.look_around(x, 2); };
  const Tensor at =
      reshape(arange(length, {DType::i64, q_.device()}), {1, 1, chunks.count, chunks.length});
  const Tensor used =
      options.mask.defined() ? around(chunks.cut(unsqueeze(options.mask, 1), 2)) : Tensor();
  const Tensor k = k_.to(wide) * (1 / std::sqrt(static_cast<double>(k_.size(3))));
  const Attended result =
      attend(cut(q_), around(chunks.cut(k, 2)), around(cut(v_)),
             hidden_keys(at, around(at), used, options.causal), {}, {}, options);
  return reshape(result.y, q_.shape()).to(dtype);
}

LshOrder lsh_order(const Tensor& qk, const Tensor& rotations, const std::vector<int64_t>& factors,
                   const Tensor& mask) {
  const NoGrad scope;
  const Tensor hashed = lsh_hash(qk, rotations, factors).to(DType::i64);  // (B, H, R, L)
  const int64_t rounds = hashed.size(2), length = hashed.size(3);
  int64_t buckets = std::reduce(factors.begin(), factors.end(), int64_t{1}, std::multiplies<>());
  Tensor bucket = hashed;
  if (mask.defined() && sum(logical_not(mask)).item<int64_t>() > 0) {
    bucket = where(unsqueeze(unsqueeze(mask, 1), 1), hashed, buckets);
    ++buckets;
  }
  const Tensor round = reshape(arange(rounds, {DType::i64, qk.device()}), {rounds, 1});
  const Tensor order = argsort(bucket, -1) + round * length;
  const Shape flat{qk.size(0), qk.size(1), rounds * length};
  return {reshape(bucket + round * buckets, flat), reshape(order, flat)};
}

Tensor chunked_lsh_attention(const Tensor& qk_, const Tensor& v_, const Tensor& rotations,
                             const ChunkedLshOptions& options) {
  constexpr const char* op = "chunked_lsh_attention";
  check_like(qk_, v_, "qk", "v", op);
  check_options(qk_, options, op);
  const DType dtype = promote(qk_.dtype(), v_.dtype(), op), wide = accumulate_dtype(dtype);
  const Tensor qk = qk_.to(wide), v = v_.to(wide);
  const int64_t length = qk.size(2);
  if (length <= options.chunk) {
    const Tensor at = arange(length, {DType::i64, qk.device()});
    const Tensor used = options.mask.defined() ? unsqueeze(options.mask, 1) : Tensor();
    const Tensor hidden = hidden_keys(at, at, used, options.causal);
    const Tensor self = equal(unsqueeze(at, -1), unsqueeze(at, -2));
    return attend(qk, keys_of(qk), v, hidden, self, {}, options).y.to(dtype);
  }
  const SortedRounds rounds(qk, rotations, options);
  const Tensor queries = rounds.gathered(qk);
  const Attended each = attend(
      queries, rounds.around(keys_of(queries)), rounds.around(rounds.gathered(v)), rounds.hidden(),
      rounds.self(), options.count_duplicates ? rounds.log_duplicates(wide) : Tensor(), options);
  const Tensor level = each.level.defined() ? rounds.unsorted(each.level) : Tensor();
  return combined({rounds.unsorted(each.y), rounds.unsorted(each.log_sum), level}, options.weighing)
      .to(dtype);
}

namespace detail {

Tensor chunked_local_step(const Tensor& q, const Tensor& k, const Tensor& v,
                          const ChunkOptions& options) {
  const DType wide = accumulate_dtype(q.dtype());
  const Tensor keys = k.to(wide) * (1 / std::sqrt(static_cast<double>(k.size(3))));
  return attend(q.to(wide), keys, v.to(wide), {}, {}, {}, options).y.to(q.dtype());
}

Tensor chunked_lsh_step(const Tensor& q, const Tensor& qk, const Tensor& v, const Tensor& index,
                        const ChunkOptions& options) {
  const DType wide = accumulate_dtype(q.dtype());
  const int64_t B = index.size(0), H = index.size(1), R = index.size(2), m = index.size(3);
  const auto gathered = [&](const Tensor& x) {
    const Tensor rows = take_along(x, reshape(index, {B, H, R * m, 1}), 2).to(wide);
    return reshape(rows, {B, H, R, m, x.size(3)});
  };
  const Tensor self = unsqueeze(equal(index, qk.size(2) - 1), -2);
  const Attended each =
      attend(unsqueeze(q.to(wide), 2), keys_of(gathered(qk)), gathered(v), {}, self, {}, options);
  return combined(each, options.weighing).to(q.dtype());
}

}  // namespace detail

}  // namespace tenet
