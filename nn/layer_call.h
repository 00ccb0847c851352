/// What one call of a model hands to its layers beside x.
#pragma once

#include <tenet/core/tensor.h>

#include <cstdint>
#include <functional>
#include <string_view>

namespace tenet {
class AttentionCache;
}

namespace tenet::nn {

/// Layers that have no use for a part ignore it.
struct LayerCall {
  Tensor mask = {};    // (B, L), boolean: positions in use; undefined: all
  int64_t hashes = 0;  // rounds of LSH attention; 0: as many as the module has
  Tensor rotations =
      {};  // of LSH attention, (H, K, R, sum(num_buckets) / 2), instead of drawn ones
  /// What attention keeps of earlier positions, which those of this call follow; null: there are
  /// none. Causal, in evaluation, under NoGrad, and of preset windowed, or, approximately,
  /// hugging_face.
  AttentionCache* cache = nullptr;
  /// Is shown what the layer computes, by name, for tests and teaching.
  std::function<void(std::string_view name, const Tensor& value)> observe = {};
};

}  // namespace tenet::nn
