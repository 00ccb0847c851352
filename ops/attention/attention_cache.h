/// Attention of sequences that grow at their end: what earlier positions left is kept, so that a
/// new one costs what it sees.
#pragma once

#include <tenet/ops/attention/attention.h>
#include <tenet/ops/attention/chunked_attention.h>
#include <tenet/ops/attention/local_attention.h>
#include <tenet/ops/attention/lsh_attention.h>

#include <cstdint>
#include <vector>

namespace tenet {

/// The keys and values that one attention layer keeps of a batch of sequences, each of its own
/// length.
///
///     AttentionCache cache;
///     y = cache.attention(q, k, v);     // of the prompts (B, H, L, K)
///     y = cache.attention(q1, k1, v1);  // of the position that follows each, (B, H, 1, K)
///
/// Every call gives the rows that the op of its name gives for the positions so far, to the bit in
/// f32 and f64, but for attention over chunks. `options.mask` (B, L): which of the call's positions
/// are in use, the first ones of each row; the others are not kept. A cache serves one of the ops,
/// with the same options in every call: causal, without dropout. Under NoGrad. Errors: otherwise,
/// or shapes that do not fit. After an exception a cache is good to be destroyed only.
class AttentionCache {
 public:
  /// attention(): keeps every key; O(length) time for a new position.
  Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v,
                   const AttentionOptions& options = {.causal = true});
  /// local_attention(): keeps the keys of the chunks in sight; O(chunks in sight) time.
  Tensor local_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                         const LocalAttentionOptions& options);
  /// lsh_attention(): keeps every key, and the last positions of each bucket; O(R window) time.
  /// `rotations` are kept from the first call and undefined in later ones.
  Tensor lsh_attention(const Tensor& qk, const Tensor& v, const Tensor& rotations,
                       const LshAttentionOptions& options);

  /// What transformers 4.57 takes for the next position of its Reformer, and not what the ops give
  /// for all positions: later tokens move the chunks, but here what earlier ones saw stays. LSH
  /// attention sees in each round the chunk that its place among all positions falls in and its
  /// neighbours, nothing hidden; local attention the chunks before its own. A first call gives what
  /// the ops give.
  Tensor chunked_local_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                 const ChunkOptions& options);
  Tensor chunked_lsh_attention(const Tensor& qk, const Tensor& v, const Tensor& rotations,
                               const ChunkedLshOptions& options);

  /// Sequences; 0 before the first call.
  int64_t rows() const { return static_cast<int64_t>(rows_.size()); }
  /// Positions of a sequence so far.
  int64_t length(int64_t row) const { return rows_.at(static_cast<size_t>(row)).length; }
  /// Sequence i becomes a copy of what sequence rows[i] is: beams that fork and end.
  void select(const std::vector<int64_t>& rows);

 private:
  /// The last positions of one sequence, from `start` on, in memory that may hold more.
  struct Row {
    Tensor k, v;  // (1, H, capacity, K); the first is of position `origin`
    int64_t origin = 0, start = 0, length = 0;
    std::vector<std::vector<int32_t>> members;  // the last, of each head, round and bucket
    /// Of each head and round: bucket * 2^32 + position of every position, rising; of attention
    /// over chunks.
    std::vector<std::vector<int64_t>> sorted;

    Tensor kept(const Tensor& all) const;
  };

  std::vector<int64_t> begin(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& mask,
                             const char* op);
  void keep(const Tensor& k, const Tensor& v, const std::vector<int64_t>& counts);
  static void append(Row& row, const Tensor& k, const Tensor& v);
  static void enter(Row& row, const Tensor& bucket, int64_t count, int64_t buckets, int64_t window);
  static Tensor seen(const Row& row, const Tensor& bucket, int64_t buckets, int64_t window);

  static void sort_in(Row& row, const Tensor& bucket, int64_t count);
  static Tensor chunks_around(const Row& row, int64_t heads, const ChunkOptions& options);
  Tensor chunked_step(Row& row, const Tensor& qk, const Tensor& v,
                      const ChunkedLshOptions& options);

  std::vector<Row> rows_;
  Tensor rotations_;
};

}  // namespace tenet
