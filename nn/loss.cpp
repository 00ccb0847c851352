#include <tenet/nn/loss.h>

namespace tenet::nn {

CrossEntropyLoss::CrossEntropyLoss(CrossEntropyLossOptions o) : options(o) {
  check(o.chunk >= 1, "cross_entropy_loss: a chunk of {} positions; at least 1 is needed", o.chunk);
}

Tensor CrossEntropyLoss::operator()(const Tensor& logits, const Tensor& targets) const {
  return cross_entropy(logits, targets,
                       {.ignore_index = options.ignore_index, .reduction = options.reduction});
}

Tensor CrossEntropyLoss::operator()(const Tensor& hidden, const Linear& head,
                                    const Tensor& targets) const {
  return linear_cross_entropy(hidden, head.weight, head.bias, targets,
                              {.chunk_rows = options.chunk,
                               .ignore_index = options.ignore_index,
                               .reduction = options.reduction});
}

}  // namespace tenet::nn
