#include <fmt/format.h>
#include <tenet/nn/reversible_sequence.h>
#include <tenet/ops/stream.h>

namespace tenet::nn {

std::pair<Tensor, Tensor> ReversibleSequence::operator()(Tensor x) {
  const bool exact = options_.residual == Residual::exact;
  const DType dtype = x.dtype();
  Tensors streams;
  {
    Tensor start = exact ? encode(x.to(DType::f32), options_.fraction_bits) : std::move(x);
    x = Tensor();
    streams = {start, start};
  }
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const Block& block = blocks_[i];
    auto coupling = std::make_shared<AdditiveCoupling>(
        block.f.function(), block.g.function(), fmt::format("{}.{}", options_.path, i), block.f_name,
        block.g_name);
    streams = options_.reversible ? reversible(std::move(coupling), std::move(streams))
                                  : coupling->forward(streams);
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
