#include <tenet/core/checkpoint.h>
#include <tenet/nn/feed_forward.h>
#include <tenet/ops/concatenate.h>
#include <tenet/ops/dropout.h>
#include <tenet/ops/matmul.h>
#include <tenet/ops/views.h>

namespace tenet::nn {
namespace {

/// activate(dropout(linear(x, weight, bias))), in one op where nothing is dropped.
Tensor inner(const Tensor& x, const Tensor& weight, const Tensor& bias, Activation activation,
             double dropout, Generator& generator) {
  if (activation == Activation::relu && dropout == 0) return linear_relu(x, weight, bias);
  return activate(tenet::dropout(linear(x, weight, bias), dropout, generator), activation);
}

/// The layer on some positions. Holds the tensors, not the module, which may be moved before the
/// backward pass.
struct Part {
  Tensor up, up_bias, down, down_bias;
  Activation activation;
  double dropout;
  PhiloxKey masks;  // where the dropout numbers of these positions begin

  Tensor operator()(const Tensor& x) const {
    Generator generator(masks.seed, masks.stream);
    generator.set_offset(masks.offset);
    return linear(inner(x, up, up_bias, activation, dropout, generator), down, down_bias);
  }
};

}  // namespace

FeedForward::FeedForward(FeedForwardOptions options, Generator& generator)
    : options_(options),
      up_(options.d_model, options.d_ff, {.std = options.std, .generator = &generator}),
      down_(options.d_ff, options.d_model, {.std = options.std, .generator = &generator}) {
  check(options.dropout >= 0 && options.dropout < 1,
        "feed_forward: dropout is {}; it must be at least 0 and below 1", options.dropout);
  check(options.chunk >= 0, "feed_forward: a chunk of {} positions; it must not be negative",
        options.chunk);
}

Tensor FeedForward::operator()(const Tensor& x) const {
  check(x.dim() >= 2 && x.shape().back() == options_.d_model,
        "feed_forward: input has shape {}, expected (.., L, {})", x.shape(), options_.d_model);
  if (options_.chunk > 0 && options_.chunk < x.size(-2) && x.numel() > 0) return chunked(x);
  const double dropout = training() ? options_.dropout : 0;
  return down_(inner(x, up_.weight, up_.bias, options_.activation, dropout, default_generator()));
}

// Chunks are runs of whole rows, so that their dropout masks are runs of the whole one. A mask can
// begin only at a block of four random numbers: a chunk begins at a multiple of four rows.
Tensor FeedForward::chunked(const Tensor& x) const {
  const Tensor rows = reshape(x, {-1, options_.d_model});
  const int64_t count = rows.size(0), step = (options_.chunk * (count / x.size(-2)) + 3) / 4 * 4;
  Part part{up_.weight, up_.bias, down_.weight, down_.bias, options_.activation, 0, {}};
  if (training() && options_.dropout > 0) {
    part.dropout = options_.dropout;
    part.masks = default_generator().take(static_cast<uint64_t>(count * options_.d_ff));
  }
  Tensors parts;
  for (int64_t first = 0; first < count; first += step) {
    parts.push_back(checkpoint(part, slice(rows, 0, first, std::min(first + step, count))));
    part.masks.offset += static_cast<uint64_t>(step / 4 * options_.d_ff);
  }
  return reshape(concatenate(parts, 0), x.shape());
}

void FeedForward::fields(Fields& f) {
  f("dense.dense", up_);
  f("output.dense", down_);
}

std::string FeedForward::describe() const {
  return fmt::format("FeedForward({} -> {} -> {}, {})", options_.d_model, options_.d_ff,
                     options_.d_model, nn::to_string(options_.activation));
}

}  // namespace tenet::nn
