/// Another number of positions for saved weights.
#pragma once

#include <tenet/models/checkpoint.h>

namespace tenet::detail {

/// The configuration with the positions that the options ask for; the rest is as before, so
/// num_buckets should be filled in. Error: positions that cannot be.
ReformerConfig with_positions(ReformerConfig config, const LoadOptions& options);

/// Puts into `state`, saved with the configuration `saved`, the tables of positions of `model`,
/// with the rows copied over that both have.
void resize_position_tables(nn::StateDict& state, const ReformerConfig& saved,
                            const Reformer& model);

}  // namespace tenet::detail
