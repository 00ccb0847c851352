/// Initial values: new parameters, and (in nn::init) values for tensors that exist.
///
/// Parameters are f32 leaves on the CPU, counted under Category::parameter.
#pragma once

#include <tenet/core/generator.h>
#include <tenet/core/tensor.h>
#include <tenet/nn/activation.h>

namespace tenet::nn {

/// N(0, std^2).
Tensor normal_parameter(Shape shape, double std, Generator& generator = default_generator());
/// Uniform on [-bound, bound).
Tensor uniform_parameter(Shape shape, double bound, Generator& generator = default_generator());
/// Every element `value`.
Tensor constant_parameter(Shape shape, double value);

/// Each writes over a tensor of any floating type, parameter or not, outside the graph:
/// nn::init::kaiming_normal_(layer.weight).
///
/// fan_in and fan_out of a weight (out, in, kernel...) are in and out times the kernel's size.
namespace init {

/// Every element 0, 1 or `value`.
void zeros_(const Tensor& x);
void ones_(const Tensor& x);
void constant_(const Tensor& x, double value);
/// Ones on the diagonal of a matrix, zeros elsewhere. Error: x has not two axes.
void eye_(const Tensor& x);
/// Uniform on [low, high).
void uniform_(const Tensor& x, double low = 0, double high = 1,
              Generator& generator = default_generator());
/// N(mean, std^2).
void normal_(const Tensor& x, double mean = 0, double std = 1,
             Generator& generator = default_generator());

/// The distribution of truncated_normal_().
struct TruncatedNormal {
  double mean = 0, std = 1;   // of the distribution that is cut
  double low = -2, high = 2;  // the limits of the values
};
/// N(mean, std^2) given that it lies within [low, high]: values outside are drawn again. Error if
/// that is less than a hundredth of the distribution.
void truncated_normal_(const Tensor& x, TruncatedNormal options = {},
                       Generator& generator = default_generator());

/// Uniform with variance gain^2 2 / (fan_in + fan_out). Glorot and Bengio (2010).
void xavier_uniform_(const Tensor& x, double gain = 1, Generator& generator = default_generator());
/// Normal with that variance.
void xavier_normal_(const Tensor& x, double gain = 1, Generator& generator = default_generator());

/// Which side of a weight a variance goes by: inputs or outputs.
enum class Fan { in, out };
/// The variance of the kaiming initialisations: gain^2 / fan.
struct Kaiming {
  double gain = 1.4142135623730951;  // see gain_of(); relu's
  Fan fan = Fan::in;                 // in keeps the variance forwards, out backwards
};
/// Uniform with variance gain^2 / fan. He et al., "Delving Deep into Rectifiers" (2015).
void kaiming_uniform_(const Tensor& x, Kaiming options = {},
                      Generator& generator = default_generator());
/// Normal with that variance.
void kaiming_normal_(const Tensor& x, Kaiming options = {},
                     Generator& generator = default_generator());

/// gain times a random matrix with orthonormal rows or columns, whichever are fewer; further axes
/// are taken together as columns. Saxe et al. (2014). Error: x has fewer than two axes.
void orthogonal_(const Tensor& x, double gain = 1, Generator& generator = default_generator());

/// What the weights before an activation are multiplied by: sqrt(2) for relu, 5/3 for tanh, 3/4 for
/// selu, sqrt(2 / (1 + slope^2)) for leaky_relu, else 1.
double gain_of(Activation activation, double slope = 0.01);

}  // namespace init
}  // namespace tenet::nn
