#include <tenet/core/checkpoint.h>
#include <tenet/nn/feed_forward.h>
#include <tenet/ops/concatenate.h>
#include <tenet/ops/dropout.h>
#include <tenet/ops/matmul.h>
#include <tenet/ops/views.h>

namespace tenet::nn {

FeedForward::FeedForward(FeedForwardOptions options, Generator& generator)
    : options_(options),
      up_(options.d_model, options.d_ff, {.std = options.std, .generator = &generator}),
      down_(options.d_ff, options.d_model, {.std = options.std, .generator = &generator}) {
  check(options.chunk >= 0, "feed_forward: a chunk of {} positions", options.chunk);
}

FeedForward::Part FeedForward::part() const {
  return {up_.weight, up_.bias, down_.weight, down_.bias, options_, training()};
}

Tensor FeedForward::Part::operator()(const Tensor& x) const {
  const Tensor inner = dropout(linear(x, up, up_bias), options.dropout, training);
  return linear(activate(inner, options.activation), down, down_bias);
}

Tensor FeedForward::operator()(const Tensor& x) const {
  check(x.dim() >= 2 && x.shape().back() == options_.d_model,
        "feed_forward: input has shape {}, expected (.., L, {})", x.shape(), options_.d_model);
  const int axis = x.dim() - 2;
  const int64_t length = x.size(axis);
  if (options_.chunk == 0 || options_.chunk >= length) return part()(x);
  Tensors parts;
  for (int64_t start = 0; start < length; start += options_.chunk) {
    parts.push_back(
        checkpoint(part(), slice(x, axis, start, std::min(start + options_.chunk, length))));
  }
  return concatenate(parts, axis);
}

void FeedForward::fields(Fields& f) {
  f("dense.dense", up_);
  f("output.dense", down_);
}

}  // namespace tenet::nn
