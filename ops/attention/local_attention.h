/// Attention within chunks of the sequence and their neighbours.
#pragma once

#include <tenet/core/generator.h>
#include <tenet/core/tensor.h>

#include <optional>

namespace tenet {

/// How local_attention() cuts, weighs and masks.
struct LocalAttentionOptions {
  int64_t chunk = 64;                // positions
  int64_t before = 1;                // chunks looked back at
  int64_t after = 0;                 // chunks looked ahead at; 0 if causal
  bool causal = true;                // a query sees no key of a later position
  std::optional<double> scale = {};  // of the scores; 1 / sqrt(K) by default
  bool normalize_keys = false;       // as in AttentionOptions
  bool exclude_self = false;         // as in AttentionOptions
  Tensor mask = {};                // (B, L), boolean or u8: which keys may be seen; undefined: all
  double dropout = 0;              // probability of dropping an attention weight
  Generator* generator = nullptr;  // of the dropout; null: default_generator()
};

/// attention() of q, k, v (B, H, L, K) in which a position of chunk j sees the keys of chunks j -
/// before to j + after that exist (no wrap-around), if causal up to itself. Any L; the last chunk
/// may be short. O(L (before + 1 + after) chunk) time and O(L) memory. attention() of a query with
/// the keys from chunk j - before on gives the same bits.
Tensor local_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                       const LocalAttentionOptions& options = {});

}  // namespace tenet
