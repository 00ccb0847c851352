#include <tenet/nn/loss.h>

namespace tenet::nn {

CrossEntropyLoss::CrossEntropyLoss(CrossEntropyLossOptions o) : options(std::move(o)) {
  check(options.chunk >= 1, "cross_entropy_loss: a chunk of {} positions; at least 1 is needed",
        options.chunk);
}

Tensor CrossEntropyLoss::operator()(const Tensor& logits, const Tensor& targets) const {
  return cross_entropy(logits, targets,
                       {.ignore_index = options.ignore_index,
                        .reduction = options.reduction,
                        .weight = options.weight,
                        .label_smoothing = options.label_smoothing});
}

Tensor CrossEntropyLoss::operator()(const Tensor& hidden, const Linear& head,
                                    const Tensor& targets) const {
  check(!options.weight.defined() && options.label_smoothing == 0,
        "cross_entropy_loss: with a head there are no class weights and no label smoothing; call "
        "it with head(hidden)");
  return linear_cross_entropy(hidden, head.weight, head.bias, targets,
                              {.chunk_rows = options.chunk,
                               .ignore_index = options.ignore_index,
                               .reduction = options.reduction});
}

Tensor MseLoss::operator()(const Tensor& prediction, const Tensor& target) const {
  return mse_loss(prediction, target, reduction);
}

Tensor L1Loss::operator()(const Tensor& prediction, const Tensor& target) const {
  return l1_loss(prediction, target, reduction);
}

Tensor HuberLoss::operator()(const Tensor& prediction, const Tensor& target) const {
  return huber_loss(prediction, target, delta, reduction);
}

Tensor SmoothL1Loss::operator()(const Tensor& prediction, const Tensor& target) const {
  return smooth_l1_loss(prediction, target, beta, reduction);
}

Tensor BceWithLogitsLoss::operator()(const Tensor& logits, const Tensor& target) const {
  return binary_cross_entropy_with_logits(logits, target, options);
}

void BceWithLogitsLoss::fields(Fields& f) {
  f.buffer("weight", options.weight);
  f.buffer("pos_weight", options.pos_weight);
}

Tensor KlDivLoss::operator()(const Tensor& log_q, const Tensor& p) const {
  return kl_div(log_q, p, options);
}

Tensor NllLoss::operator()(const Tensor& log_p, const Tensor& targets) const {
  return nll_loss(log_p, targets, options);
}

}  // namespace tenet::nn
