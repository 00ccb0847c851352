#include <tenet/core/autograd.h>
#include <tenet/ops/attention/attention_cache.h>
#include <tenet/ops/attention/detail/cache_rows.h>
#include <tenet/ops/attention/detail/lsh_hash.h>
#include <tenet/ops/attention/detail/operand.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/inplace.h>
#include <tenet/ops/views.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

namespace tenet {

constexpr int64_t run = detail::tiles::kBucketRun;

using detail::check_cacheable;
using detail::collect;
using detail::part_of;

Tensor AttentionCache::Row::kept(const Tensor& all) const {
  return slice(all, 2, start - origin, length - origin);
}

/// How many of the call's positions each row has in use.
std::vector<int64_t> AttentionCache::begin(const Tensor& q, const Tensor& k, const Tensor& v,
                                           const Tensor& mask, const char* op) {
  detail::check_heads(k, "k", op);
  detail::check_alike(k, "k", q, "q", -1, op);
  detail::check_alike(k, "k", v, "v", -1, op);
  const int64_t B = k.size(0), L = k.size(2);
  if (rows_.empty()) rows_.resize(static_cast<size_t>(B));
  check(rows() == B, "{}: a batch of {}, the cache holds {} sequences", op, B, rows());
  for (const Row& row : rows_) {
    if (!row.k.defined()) continue;
    check(k.size(1) == row.k.size(1) && k.size(3) == row.k.size(3) && k.dtype() == row.k.dtype(),
          "{}: k is {} {}, the cache holds {} {}", op, k.dtype(), k.shape(), row.k.dtype(),
          row.kept(row.k).shape());
  }
  std::vector<int64_t> counts(static_cast<size_t>(B), L);
  if (!mask.defined()) return counts;
  const std::vector<int64_t> used = detail::checked_mask(mask, k, op).to_vector<int64_t>();
  for (int64_t b = 0; b < B; ++b) {
    const auto row = used.begin() + b * L;
    const auto end = std::find(row, row + L, 0);
    check(std::find_if(end, row + L, [](int64_t x) { return x != 0; }) == row + L,
          "{}: position {} of row {} is not in use and a later one is; with a cache those in use "
          "come first",
          op, end - row, b);
    counts[static_cast<size_t>(b)] = end - row;
  }
  return counts;
}

/// Adds each row's positions from its length on to its count.
void AttentionCache::keep(const Tensor& k, const Tensor& v, const std::vector<int64_t>& counts) {
  for (size_t b = 0; b < rows_.size(); ++b) {
    const auto at = static_cast<int64_t>(b);
    const int64_t first = rows_[b].length, count = counts[b] - first;
    append(rows_[b], part_of(k, at, first, count), part_of(v, at, first, count));
  }
}

/// Adds positions (1, H, n, K) behind the last one.
void AttentionCache::append(Row& row, const Tensor& k, const Tensor& v) {
  const int64_t more = k.size(2), end = row.length + more;
  if (more == 0) return;
  if (!row.k.defined() || end - row.origin > row.k.size(2)) {
    const int64_t kept = row.length - row.start;
    const Shape shape{1, k.size(1), std::max<int64_t>(2 * (kept + more), 16), k.size(3)};
    for (auto& [all, like] : {std::pair(&row.k, k), std::pair(&row.v, v)}) {
      const Tensor larger = empty_like(like, shape);
      if (kept > 0) copy_(slice(larger, 2, 0, kept), row.kept(*all));
      *all = larger;
    }
    row.origin = row.start;
  }
  copy_(slice(row.k, 2, row.length - row.origin, end - row.origin), k);
  copy_(slice(row.v, 2, row.length - row.origin, end - row.origin), v);
  row.length = end;
}

Tensor AttentionCache::attention(const Tensor& q_, const Tensor& k_, const Tensor& v_,
                                 const AttentionOptions& options) {
  const char* const op = "attention";
  check_cacheable(options, op);
  check(options.offset == 0, "{}: offset is {}; the cache knows it, give 0", op, options.offset);
  const Tensor q = detail::autocast(q_), k = detail::autocast(k_), v = detail::autocast(v_);
  const bool first = rows_.empty();
  Tensor y = first ? tenet::attention(q, k, v, options) : Tensor();
  const std::vector<int64_t> counts = begin(q, k, v, options.mask, op);
  if (first) {
    keep(k, v, counts);
    return y;
  }
  return collect(q, counts, [&](int64_t b, int64_t i) {
    Row& row = rows_[static_cast<size_t>(b)];
    append(row, part_of(k, b, i, 1), part_of(v, b, i, 1));
    AttentionOptions one = options;
    one.mask = Tensor();
    one.offset = row.length - 1;
    return tenet::attention(part_of(q, b, i, 1), row.kept(row.k), row.kept(row.v), one);
  });
}

Tensor AttentionCache::local_attention(const Tensor& q_, const Tensor& k_, const Tensor& v_,
                                       const LocalAttentionOptions& options) {
  const char* const op = "local_attention";
  check_cacheable(options, op);
  const Tensor q = detail::autocast(q_), k = detail::autocast(k_), v = detail::autocast(v_);
  const bool first = rows_.empty();
  Tensor y = first ? tenet::local_attention(q, k, v, options) : Tensor();
  const std::vector<int64_t> counts = begin(q, k, v, options.mask, op);
  const auto sight = [&](int64_t position) {  // the first that it sees
    return std::max<int64_t>(position / options.chunk - options.before, 0) * options.chunk;
  };
  if (first) {
    for (size_t b = 0; b < rows_.size(); ++b) {
      rows_[b].start = rows_[b].origin = rows_[b].length = sight(counts[b]);
    }
    keep(k, v, counts);
    return y;
  }
  return collect(q, counts, [&](int64_t b, int64_t i) {
    Row& row = rows_[static_cast<size_t>(b)];
    row.start = sight(row.length);
    append(row, part_of(k, b, i, 1), part_of(v, b, i, 1));
    return tenet::attention(part_of(q, b, i, 1), row.kept(row.k), row.kept(row.v),
                            {.scale = options.scale,
                             .causal = true,
                             .offset = row.length - 1 - row.start,
                             .normalize_keys = options.normalize_keys,
                             .exclude_self = options.exclude_self});
  });
}

/// Enters the last `count` positions, bucket (1, H, R, L), in their buckets.
void AttentionCache::enter(Row& row, const Tensor& bucket, int64_t count, int64_t buckets,
                           int64_t window) {
  const int64_t lists = bucket.size(1) * bucket.size(2), first = row.length - count;
  row.members.resize(static_cast<size_t>(lists * buckets));
  const std::vector<int32_t> all = bucket.to_vector<int32_t>();
  for (int64_t list = 0; list < lists; ++list) {
    const auto of_list = all.begin() + list * bucket.size(3);
    for (int64_t i = 0; i < count; ++i) {
      std::vector<int32_t>& members = row.members[static_cast<size_t>(list * buckets + of_list[i])];
      if (std::ssize(members) >= 2 * window + run) {  // whole runs go
        members.erase(members.begin(),
                      members.begin() + (std::ssize(members) - window) / run * run);
      }
      members.push_back(static_cast<int32_t>(first + i));
    }
  }
}

/// The positions that the next one, bucket (1, H, R, 1), sees, as LshStep::seen.
Tensor AttentionCache::seen(const Row& row, const Tensor& bucket, int64_t buckets, int64_t window) {
  const int64_t lists = bucket.size(1) * bucket.size(2);
  const int64_t room = window + run;
  std::vector<int32_t> all(static_cast<size_t>(lists * room), -1);
  const std::vector<int32_t> own = bucket.to_vector<int32_t>();
  for (int64_t list = 0; list < lists && !row.members.empty(); ++list) {
    const auto& members =
        row.members[static_cast<size_t>(list * buckets + own[static_cast<size_t>(list)])];
    const int64_t count = std::min(window, std::ssize(members));
    std::copy(members.end() - count, members.end(),
              all.begin() + list * room + (std::ssize(members) - count) % run);
  }
  return from_vector(all, {1, bucket.size(1), bucket.size(2), room}, {DType::i32, bucket.device()});
}

Tensor AttentionCache::lsh_attention(const Tensor& qk_, const Tensor& v_, const Tensor& rotations,
                                     const LshAttentionOptions& options) {
  const char* const op = "lsh_attention";
  check_cacheable(options, op);
  const Tensor qk = detail::autocast(qk_), v = detail::autocast(v_);
  const bool first = rows_.empty();
  if (first) rotations_ = rotations;
  Tensor y = first ? tenet::lsh_attention(qk, v, rotations, options) : Tensor();
  const std::vector<int64_t> counts = begin(qk, qk, v, options.mask, op);
  const Tensor bucket = lsh_hash(qk, rotations_, options.factors);
  const int64_t window = std::min<int64_t>(options.window, std::numeric_limits<int32_t>::max());
  const int64_t buckets = std::accumulate(options.factors.begin(), options.factors.end(),
                                          int64_t{1}, std::multiplies<>());
  if (first) {
    keep(qk, v, counts);
    for (size_t b = 0; b < rows_.size(); ++b) {
      const auto at = static_cast<int64_t>(b);
      enter(rows_[b], slice(bucket, 0, at, at + 1), counts[b], buckets, window);
    }
    return y;
  }
  detail::LshPlan plan;
  plan.scale = options.scale.value_or(1 / std::sqrt(static_cast<double>(qk.size(3))));
  return collect(qk, counts, [&](int64_t b, int64_t i) {
    Row& row = rows_[static_cast<size_t>(b)];
    const Tensor query = detail::with_contiguous_rows(part_of(qk, b, i, 1));
    const Tensor value = detail::with_contiguous_rows(part_of(v, b, i, 1));
    const Tensor own = slice(slice(bucket, 0, b, b + 1), 3, i, i + 1);
    plan.window = std::min(window, std::max<int64_t>(row.length, 1));
    const Tensor shown = seen(row, own, buckets, plan.window);
    append(row, query, value);
    enter(row, own, 1, buckets, window);
    Tensor one = detail::empty_heads(query, query.shape());
    detail::lsh_step_kernel(query.device(),
                            {view(one), view(query), view(value), view(row.kept(row.k)),
                             view(row.kept(row.v)), view(shown), plan});
    return one;
  });
}

void AttentionCache::select(const std::vector<int64_t>& rows) {
  std::vector<Row> chosen;
  for (size_t i = 0; i < rows.size(); ++i) {
    check(rows[i] >= 0 && rows[i] < this->rows(), "attention cache: row {} of {}", rows[i],
          this->rows());
    Row& row = chosen.emplace_back(rows_[static_cast<size_t>(rows[i])]);
    const bool last = std::find(rows.begin() + static_cast<std::ptrdiff_t>(i) + 1, rows.end(),
                                rows[i]) == rows.end();
    if (last || !row.k.defined()) continue;
    row.k = row.k.clone(), row.v = row.v.clone();
  }
  rows_ = std::move(chosen);
}

}  // namespace tenet
