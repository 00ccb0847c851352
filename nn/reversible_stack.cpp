#include <tenet/nn/reversible_stack.h>
#include <tenet/ops/arithmetic.h>

namespace tenet::nn {

StackOutput ReversibleStack::operator()(Tensors x) const {
  StackOutput result{std::move(x), {}};
  Tensors& streams = result.y;
  const size_t count = streams.size();
  for (size_t i = 0; i < blocks_.size(); ++i) {
    std::shared_ptr<ReversibleFunction> block = blocks_[i].get();
    streams = reversible_ ? reversible(block, std::move(streams)) : block->forward(streams);
    check(streams.size() == count || streams.size() == count + 1,
          "reversible_stack: block {} gives {} tensors for {} streams; {} or, with a "
          "log-determinant, {} are needed",
          i, streams.size(), count, count, count + 1);
    if (streams.size() == count) continue;
    const Tensor log_det = std::move(streams.back());
    streams.pop_back();
    result.log_det = result.log_det.defined() ? result.log_det + log_det : log_det;
  }
  return result;
}

Tensors ReversibleStack::inverse(Tensors y) const {
  for (auto block = blocks_.rbegin(); block != blocks_.rend(); ++block) {
    y = block->get()->inverse(y);
  }
  return y;
}

void ReversibleStack::fields(Fields& f) {
  for (size_t i = 0; i < blocks_.size(); ++i) blocks_[i].fields(f, std::to_string(i));
}

}  // namespace tenet::nn
