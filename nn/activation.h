/// Activation functions by name.
#pragma once

#include <tenet/core/tensor.h>

#include <string_view>

namespace tenet::nn {

enum class Activation { relu, gelu, gelu_tanh, silu, tanh, sigmoid };

Tensor activate(const Tensor& x, Activation activation);

/// The name that parse_activation() reads.
std::string_view to_string(Activation activation);

/// Hugging Face's names: relu, gelu, gelu_new (the tanh form), silu, swish, tanh, sigmoid. Error:
/// another name.
Activation parse_activation(std::string_view name);

}  // namespace tenet::nn
