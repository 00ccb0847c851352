/// Tensors from nothing: constants, ranges and random numbers.
///
/// A draw takes its numbers from the Generator that it is given, or from this thread's
/// default_generator(). Element i of a draw depends on the generator's place and on i alone: the
/// same on any device, with any number of threads.
#pragma once

#include <tenet/core/generator.h>
#include <tenet/core/kernel.h>
#include <tenet/core/view.h>

namespace tenet {

/// Every element 0, 1 or `value`.
Tensor zeros(Shape shape, TensorOptions options = {});
Tensor ones(Shape shape, TensorOptions options = {});
Tensor full(Shape shape, Scalar value, TensorOptions options = {});
/// The same with the shape, type and device of `like`. zeros_like also makes fixed32.
Tensor zeros_like(const Tensor& like);
Tensor ones_like(const Tensor& like);
Tensor full_like(const Tensor& like, Scalar value);
/// start, start + step, ... before stop. Without options i64, or f32 if an argument is floating.
/// Error if step is 0.
Tensor arange(Scalar stop);
Tensor arange(Scalar stop, TensorOptions options);
Tensor arange(Scalar start, Scalar stop, Scalar step = 1);
Tensor arange(Scalar start, Scalar stop, Scalar step, TensorOptions options);
/// rows x columns with ones on the diagonal; columns = rows if negative.
Tensor eye(int64_t rows, int64_t columns = -1, TensorOptions options = {});

/// Uniform on [0, 1): multiples of 2^-24 (bf16: 2^-8, f16: 2^-11).
Tensor rand(Shape shape, Generator& generator, TensorOptions options = {});
Tensor rand(Shape shape, TensorOptions options = {});
/// Standard normal.
Tensor randn(Shape shape, Generator& generator, TensorOptions options = {});
Tensor randn(Shape shape, TensorOptions options = {});
/// Uniform integers low <= x < high. Error if the range is empty or wider than 2^32.
Tensor randint(Shape shape, int64_t low, int64_t high, Generator& generator,
               TensorOptions options = {.dtype = DType::i64});
Tensor randint(Shape shape, int64_t low, int64_t high,
               TensorOptions options = {.dtype = DType::i64});
/// True with probability p. Error unless 0 <= p <= 1.
Tensor bernoulli(Shape shape, double p, Generator& generator,
                 TensorOptions options = {.dtype = DType::boolean});
Tensor bernoulli(Shape shape, double p, TensorOptions options = {.dtype = DType::boolean});

namespace detail {

/// y[i] = start + i * step.
extern Kernel<void(View y, Scalar start, Scalar step)> arange_kernel;
/// y[i] from word i of the draw at `key`; y is contiguous.
extern Kernel<void(View y, PhiloxKey key)> rand_kernel;
extern Kernel<void(View y, PhiloxKey key)> randn_kernel;
/// y[i] = low + floor(word * range / 2^32).
extern Kernel<void(View y, PhiloxKey key, int64_t low, uint64_t range)> randint_kernel;
/// y[i] = uniform < p.
extern Kernel<void(View y, PhiloxKey key, double p)> bernoulli_kernel;

}  // namespace detail
}  // namespace tenet
