#include <fmt/format.h>

#include <tenet/core/grad_mode.h>
#include <tenet/nn/init.h>
#include <tenet/nn/invertible_mixing.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/concatenate.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/matmul.h>
#include <tenet/ops/reduce.h>
#include <tenet/ops/views.h>

namespace tenet::nn {

InvertibleMixing::InvertibleMixing(int64_t channels, InvertibleMixingOptions options)
    : axis_(options.axis) {
  check(channels >= 1 && options.reflections >= 0,
        "invertible_mixing: {} channels and {} reflections; at least 1 and 0 are needed", channels,
        options.reflections);
  const int64_t count = options.reflections == 0 ? channels : options.reflections;
  vectors = normal_parameter({count, channels}, 1,
                             options.generator ? *options.generator : default_generator());
}

Tensor InvertibleMixing::matrix() const {
  Tensor q = eye(vectors.size(1), -1, {vectors.dtype(), vectors.device()});
  for (int64_t k = 0; k < vectors.size(0); ++k) {
    const Tensor v = slice(vectors, 0, k, k + 1);
    q = q - matmul(q, transpose(v, 0, 1)) * (v * (2 / sum(square(v))));
  }
  return q;
}

Tensors InvertibleMixing::apply(const Tensors& x, const Tensor& matrix) const {
  Tensors parts, y;
  for (const Tensor& stream : x) parts.push_back(transpose(stream, axis_, -1));
  const Tensor joined = parts.size() == 1 ? parts[0] : concatenate(parts, -1);
  check(joined.size(-1) == matrix.size(0),
        "invertible_mixing: the streams have {} channels together, {} are mixed", joined.size(-1),
        matrix.size(0));
  const Tensor mixed = matmul(joined, matrix).to(joined.dtype());
  int64_t start = 0;
  for (const Tensor& part : parts) {
    const int64_t stop = start + part.size(-1);
    y.push_back(transpose(slice(mixed, -1, start, stop), axis_, -1).contiguous());
    start = stop;
  }
  return y;
}

Tensors InvertibleMixing::forward(const Tensors& x) {
  const Autocast full(std::nullopt);  // the inverse of a rounded product is none
  return apply(x, matrix());
}

Tensors InvertibleMixing::inverse(const Tensors& y) {
  const Autocast full(std::nullopt);
  return apply(y, transpose(matrix(), 0, 1));
}

std::string InvertibleMixing::describe() const {
  return fmt::format("InvertibleMixing({}, {} reflections)", vectors.size(1), vectors.size(0));
}

}  // namespace tenet::nn
