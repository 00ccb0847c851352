/// One new position of attention over chunks, as transformers decodes it.
#pragma once

#include <tenet/ops/attention/chunked_attention.h>

namespace tenet::detail {

/// Attention of q (B, H, 1, K) to the keys and values (B, H, n, K) that are seen.
Tensor chunked_local_step(const Tensor& q, const Tensor& k, const Tensor& v,
                          const ChunkOptions& options);

/// The same with shared queries and keys, in each of R rounds to the positions index (B, H, R, m)
/// of qk and v (B, H, n, K); the last of them is the query's own.
Tensor chunked_lsh_step(const Tensor& q, const Tensor& qk, const Tensor& v, const Tensor& index,
                        const ChunkOptions& options);

}  // namespace tenet::detail
