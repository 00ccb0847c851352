#include <fmt/format.h>

#include <tenet/core/autograd.h>
#include <tenet/nn/reversible_sequence.h>
#include <tenet/ops/stream.h>

namespace tenet::nn {

std::pair<Tensor, Tensor> ReversibleSequence::operator()(Tensor x,
                                                         const std::vector<LayerCall>& calls) {
  check(calls.size() <= 1 || calls.size() == blocks_.size(),
        "{}: {} calls for {} blocks; give one for all or one for each", options_.path, calls.size(),
        blocks_.size());
  const bool exact = options_.residual == Residual::exact;
  const DType dtype = x.dtype();
  // Each stream has a node of its own, so that gradients are added in the same order with and
  // without reversal.
  Tensors streams;
  if (exact) {
    x = x.to(DType::f32);
    streams = {encode(x, options_.fraction_bits), encode(x, options_.fraction_bits)};
  } else {
    streams = {detail::expand(x, x.shape()), detail::expand(x, x.shape())};
  }
  x = Tensor();
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const Block& block = blocks_[i];
    const LayerCall call = calls.empty() ? LayerCall() : calls[calls.size() == 1 ? 0 : i];
    const auto with_call = [&call](const Part& part) {
      return [layer = part.get().call, call](const Tensor& y) { return layer(y, call); };
    };
    auto coupling = std::make_shared<AdditiveCoupling>(with_call(block.f), with_call(block.g),
                                                       fmt::format("{}.{}", options_.path, i),
                                                       block.f_name, block.g_name, block.g_rows);
    coupling->take_fixed32(block.f.get().takes_fixed32, block.g.get().takes_fixed32);
    streams = options_.reversible ? reversible(std::move(coupling), std::move(streams))
                                  : coupling->forward(streams);
    if (!call.observe) continue;
    call.observe("x1", exact ? decode(streams[0]) : streams[0]);
    call.observe("x2", exact ? decode(streams[1]) : streams[1]);
  }
  if (!exact) return {streams[0], streams[1]};
  return {decode(streams[0]).to(dtype), decode(streams[1]).to(dtype)};
}

void ReversibleSequence::fields(Fields& f) {
  for (size_t i = 0; i < blocks_.size(); ++i) {
    blocks_[i].f.fields(f, fmt::format("{}.{}", i, blocks_[i].f_name));
    blocks_[i].g.fields(f, fmt::format("{}.{}", i, blocks_[i].g_name));
  }
}

}  // namespace tenet::nn
