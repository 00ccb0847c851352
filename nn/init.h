/// Initial values. Parameters are f32 leaves on the CPU, counted under Category::parameter.
#pragma once

#include <tenet/core/generator.h>
#include <tenet/core/tensor.h>

namespace tenet::nn {

/// N(0, std^2).
Tensor normal_parameter(Shape shape, double std, Generator& generator = default_generator());
/// Uniform on [-bound, bound).
Tensor uniform_parameter(Shape shape, double bound, Generator& generator = default_generator());
Tensor constant_parameter(Shape shape, double value);

}  // namespace tenet::nn
