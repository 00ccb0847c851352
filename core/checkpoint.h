/// Trading time for memory: activations of a part of the graph are recomputed in the backward pass.
#pragma once

#include <tenet/core/tensor.h>

#include <functional>

namespace tenet {

/// y = f(xs), keeping only xs and what f captures; f runs once more in the backward pass, with the
/// same random numbers and settings. Chen et al., "Training Deep Nets with Sublinear Memory Cost"
/// (2016).
Tensors checkpoint(std::function<Tensors(const Tensors&)> f, const Tensors& xs);
Tensor checkpoint(std::function<Tensor(const Tensor&)> f, const Tensor& x);

}  // namespace tenet
