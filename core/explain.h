/// explain(): where a tensor came from, in words.
#pragma once

#include <tenet/core/graph.h>

#include <string>

namespace tenet {

/// A few sentences for a person: shape, type, device, bytes; what made the tensor, and from what;
/// what that op saved, what of it is freed, and what gives it back; whose gradients depend on it.
/// `names` are for leaves: a module's named_parameters(). Works on any tensor.
std::string explain(const Tensor& tensor, const graph::Names& names = {});

}  // namespace tenet
