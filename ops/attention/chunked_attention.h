/// Attention over chunks as the published Reformers compute it: for their checkpoints, and to
/// compare with. What they differ in is an option each.
///
/// lsh_attention() and local_attention() are what new models should use: any length, causal to the
/// bit, one kernel. Here later tokens move the borders of chunks and so change what earlier ones
/// see; a length above one chunk must be a multiple of it. These are made of other ops,
/// differentiable any number of times, with O(L R window) memory. Half types are computed in f32.
#pragma once

#include <tenet/core/generator.h>
#include <tenet/core/tensor.h>

#include <cstdint>
#include <vector>

namespace tenet {

/// What happens to the score of a hidden key (-1e9), of the query's own position (-1e5).
enum class Hiding {
  replace,  // the score becomes the number, the own position's last
  add       // the numbers are added to the score
};

/// How scores become weights.
enum class Weighing {
  softmax,
  rounded  // exp(s - l), l the log-sum-exp rounded to f32 and not divided by its sum, of keys and of
           // rounds: it differs from softmax where all scores are as large as -1e5 and -1e9 are
};

/// What chunked_local_attention() and chunked_lsh_attention() share.
struct ChunkOptions {
  int64_t chunk = 64;               // positions
  int64_t before = 1, after = 0;    // chunks seen beside the own one, around the ends
  bool causal = true;               // keys of later positions are hidden
  Tensor mask = {};                 // (B, L), boolean: keys not in use are hidden; undefined: none
  Hiding hiding = Hiding::replace;  // of keys, and of the own position
  Weighing weighing = Weighing::softmax;  // of the keys that are seen, and of rounds
  double dropout = 0;                     // probability of dropping an attention weight
  Generator* generator = nullptr;         // of the dropout; null: default_generator()
};

/// Attention of q, k, v (B, H, L, K) with scores q . k / sqrt(K). Chunk i of n sees, for s =
/// -before .. after in order, chunk i + s modulo n, or itself again where |s| >= n; what it sees
/// twice counts twice. L of at most one chunk: all positions see all.
///
/// Errors: shapes that differ, a length that is no multiple of the chunk, numbers out of range.
Tensor chunked_local_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                               const ChunkOptions& options = {});

/// What chunked_lsh_attention() needs beyond that.
struct ChunkedLshOptions : ChunkOptions {
  std::vector<int64_t> factors = {};  // even; their product is the number of buckets
  bool same_bucket = false;           // keys of other buckets are hidden
  /// N keys that are the same position, seen in N rounds, weigh as one: log N is taken from their
  /// scores, without a gradient.
  bool count_duplicates = false;
};

/// LSH attention with shared queries and keys, q = qk (B, H, L, K), k = qk / sqrt(mean(qk^2) +
/// 1e-6), scores q . k / sqrt(K). In each of R rounds the positions are sorted by (bucket,
/// position), those that the mask leaves out last, and cut into chunks; the chunks of all rounds
/// stand one after another, and each sees its neighbours as in chunked_local_attention(). With l_r
/// the log-sum-exp of round r's scores and y_r its weighted values, y = sum_r softmax_r(l_r) y_r. L
/// of at most one chunk: one window of all positions, not hashed.
///
/// rotations (H, K, R, sum(factors) / 2), as lsh_hash() has them. Buckets have no gradient. Errors:
/// as above, and lsh_hash()'s.
Tensor chunked_lsh_attention(const Tensor& qk, const Tensor& v, const Tensor& rotations,
                             const ChunkedLshOptions& options);

/// How chunked_lsh_attention() sorts.
struct LshOrder {
  Tensor buckets;  // (B, H, R L) i64: bucket + round * (buckets of a round), by round and position
  Tensor order;    // (B, H, R L) i64: round * L + position, by (bucket, position)
};
/// With positions that the mask leaves out in one more bucket than the factors give, if there are
/// any.
LshOrder lsh_order(const Tensor& qk, const Tensor& rotations, const std::vector<int64_t>& factors,
                   const Tensor& mask = {});

}  // namespace tenet
