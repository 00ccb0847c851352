/// What a Reformer asks of its input: one error each, which names the value and where it stands.
#pragma once

#include <tenet/models/reformer.h>

#include <string_view>

namespace tenet::detail {

/// Whether ids, positions and the like may be of this type.
inline bool is_index(DType dtype) { return dtype == DType::i64 || dtype == DType::i32; }

/// Errors: `reformer: token 29 at (1, 3) is outside 0..28, the vocabulary`; tokens that are not
/// i64 or i32 (B, L) with L at least 1, or longer than the positions; a mask, positions or
/// rotations of another shape or type, positions outside the table, rotations that are not finite
/// or of a layer without hashes.
void check_reformer_input(const Tensor& tokens, const ReformerCall& call,
                          const ReformerConfig& config);

/// Error unless targets (B, L) are of the tokens' shape, integers, and in the vocabulary or -100:
/// `reformer: target -5 at (1, 1) is outside 0..28, the vocabulary, and not -100`.
void check_reformer_targets(const Tensor& targets, const Tensor& tokens,
                            const ReformerConfig& config);

}  // namespace tenet::detail
