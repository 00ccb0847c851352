/// Beam search.
#pragma once

#include <tenet/models/generation.h>

#include <vector>

namespace tenet::detail {

/// The new tokens of the best continuation found, without a stop token.
std::vector<int64_t> beam_search(Reformer& model, const std::vector<int64_t>& prompt,
                                 const GenerationOptions& options);

}  // namespace tenet::detail
