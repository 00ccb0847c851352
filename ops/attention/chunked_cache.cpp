/// Attention over chunks of sequences that grow at their end, as transformers approximates it.
#include <tenet/core/autograd.h>
#include <tenet/ops/attention/attention_cache.h>
#include <tenet/ops/attention/detail/cache_rows.h>
#include <tenet/ops/attention/detail/chunked_step.h>
#include <tenet/ops/creation.h>

#include <algorithm>

namespace tenet {

using detail::part_of;

Tensor AttentionCache::chunked_local_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                               const ChunkOptions& options) {
  const char* const op = "chunked_local_attention";
  detail::check_cacheable(options, op);
  const bool first = rows_.empty();
  Tensor y = first ? tenet::chunked_local_attention(q, k, v, options) : Tensor();
  const std::vector<int64_t> counts = begin(q, k, v, options.mask, op);
  if (first) {
    keep(k, v, counts);
    return y;
  }
  return detail::collect(q, counts, [&](int64_t b, int64_t i) {
    Row& row = rows_[static_cast<size_t>(b)];
    const int64_t position = row.length;
    const int64_t sight = (position / options.chunk - options.before) * options.chunk;
    row.start = std::max<int64_t>(sight, 0);
    append(row, part_of(k, b, i, 1), part_of(v, b, i, 1));
    // Before the start there are fewer chunks: transformers then counts from the end.
    const int64_t seen = sight >= 0 ? sight : std::max<int64_t>(position + sight, 0);
    const auto from_sight = [&](const Tensor& all) {
      return slice(row.kept(all), 2, seen - row.start, row.length - row.start);
    };
    return detail::chunked_local_step(part_of(q, b, i, 1), from_sight(row.k), from_sight(row.v),
                                      options);
  });
}

/// Enters the last `count` positions, bucket (1, H, R, L), in the order of their buckets.
void AttentionCache::sort_in(Row& row, const Tensor& bucket, int64_t count) {
  const int64_t lists = bucket.size(1) * bucket.size(2), length = bucket.size(3);
  row.sorted.resize(static_cast<size_t>(lists));
  const std::vector<int64_t> all = bucket.to_vector<int64_t>();
  for (int64_t list = 0; list < lists; ++list) {
    std::vector<int64_t>& places = row.sorted[static_cast<size_t>(list)];
    for (int64_t i = 0; i < count; ++i) {
      const int64_t position = row.length - count + i;
      const int64_t key = (all[static_cast<size_t>(list * length + i)] << 32) + position;
      places.insert(std::upper_bound(places.begin(), places.end(), key), key);
    }
  }
}

/// The positions (1, H, R, m) in the chunks around the place of the last one.
Tensor AttentionCache::chunks_around(const Row& row, int64_t heads, const ChunkOptions& options) {
  const int64_t seen = (options.before + 1 + options.after) * options.chunk;
  std::vector<int64_t> index;
  for (const std::vector<int64_t>& places : row.sorted) {
    const auto position = [](int64_t key) { return key & 0xffffffff; };
    const auto own = std::find_if(places.begin(), places.end(),
                                  [&](int64_t key) { return position(key) == row.length - 1; });
    const int64_t start = ((own - places.begin()) / options.chunk - options.before) * options.chunk;
    for (int64_t i = 0; i < seen; ++i) {
      const int64_t place = ((start + i) % row.length + row.length) % row.length;
      index.push_back(position(places[static_cast<size_t>(place)]));
    }
  }
  const int64_t rounds = std::ssize(row.sorted) / heads;
  return from_vector(index, {1, heads, rounds, seen});
}

Tensor AttentionCache::chunked_step(Row& row, const Tensor& qk, const Tensor& v,
                                    const ChunkedLshOptions& options) {
  const bool hashed = !row.sorted.empty();
  append(row, qk, v);
  if (hashed) sort_in(row, lsh_hash(qk, rotations_, options.factors), 1);
  const Tensor index = hashed ? chunks_around(row, qk.size(1), options)
                              : expand(reshape(arange(row.length), {1, 1, 1, row.length}),
                                       {1, qk.size(1), 1, row.length});
  const Tensor all = row.kept(row.k);
  if (!hashed && row.length >= options.chunk) {
    sort_in(row, lsh_hash(all, rotations_, options.factors), row.length);
  }
  return detail::chunked_lsh_step(qk, all, row.kept(row.v), index.to(qk.device()), options);
}

Tensor AttentionCache::chunked_lsh_attention(const Tensor& qk, const Tensor& v,
                                             const Tensor& rotations,
                                             const ChunkedLshOptions& options) {
  const char* const op = "chunked_lsh_attention";
  detail::check_cacheable(options, op);
  const bool first = rows_.empty();
  if (first) rotations_ = rotations;
  Tensor y = first ? tenet::chunked_lsh_attention(qk, v, rotations, options) : Tensor();
  const std::vector<int64_t> counts = begin(qk, qk, v, options.mask, op);
  if (first) {
    const bool hashed = qk.size(2) > options.chunk;
    const Tensor bucket = hashed ? lsh_hash(qk, rotations, options.factors) : Tensor();
    keep(qk, v, counts);
    for (size_t b = 0; hashed && b < rows_.size(); ++b) {
      const auto at = static_cast<int64_t>(b);
      sort_in(rows_[b], slice(bucket, 0, at, at + 1), counts[b]);
    }
    return y;
  }
  return detail::collect(qk, counts, [&](int64_t b, int64_t i) {
    return chunked_step(rows_[static_cast<size_t>(b)], part_of(qk, b, i, 1), part_of(v, b, i, 1),
                        options);
  });
}

}  // namespace tenet
