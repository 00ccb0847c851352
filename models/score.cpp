#include <tenet/core/autograd.h>
#include <tenet/core/grad_mode.h>
#include <tenet/models/atomic_file.h>
#include <tenet/models/checkpoint.h>
#include <tenet/models/detail/reformer_input.h>
#include <tenet/models/score.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/cross_entropy.h>
#include <tenet/ops/views.h>

#include <fmt/format.h>

#include <set>

namespace tenet {
namespace {

using detail::is_index;
using Named = std::map<std::string, Tensor>;

Tensor find(const Named& tensors, const std::string& name) {
  const auto found = tensors.find(name);
  return found == tensors.end() ? Tensor() : found->second;
}

/// The input as the model takes it.
struct Input {
  Tensor ids, labels;
  ReformerCall call;

  Input(const Named& tensors, const ReformerConfig& config, Device device) {
    check_names(tensors, config.layers());
    ids = find(tensors, "input_ids");
    check(ids.defined(), "score: there are no input_ids");
    check(ids.dim() == 2 && is_index(ids.dtype()), "score: input_ids are {} {}, not i64 (B, L)",
          ids.dtype(), ids.shape());
    ids = ids.to(DType::i64);
    labels = like_ids(tensors, "labels");
    if (labels.defined()) detail::check_reformer_targets(labels, ids, config);
    call.positions = like_ids(tensors, "position_ids");
    if (const Tensor mask = find(tensors, "attention_mask"); mask.defined()) {
      check(
          mask.shape() == ids.shape() && (is_index(mask.dtype()) || mask.dtype() == DType::boolean),
          "score: attention_mask is {} {}, input_ids {} need i64 or boolean {}", mask.dtype(),
          mask.shape(), ids.shape(), ids.shape());
      call.mask = mask.dtype() == DType::boolean ? mask : not_equal(mask, 0);
    }
    for (int64_t i = 0; i < config.layers(); ++i) {
      call.rotations.push_back(find(tensors, fmt::format("rotation.{}", i)));
    }
    move(device);
  }

 private:
  void move(Device device) {
    const auto to = [device](Tensor& x) {
      if (x.defined()) x = x.to(device);
    };
    for (Tensor* x : {&ids, &labels, &call.positions, &call.mask}) to(*x);
    for (Tensor& rotations : call.rotations) to(rotations);
  }
  Tensor like_ids(const Named& tensors, const char* name) const {
    Tensor x = find(tensors, name);
    if (!x.defined()) return x;
    check(x.shape() == ids.shape() && is_index(x.dtype()),
          "score: {} are {} {}, not i64 {} as input_ids", name, x.dtype(), x.shape(), ids.shape());
    return x.to(DType::i64);
  }
  static void check_names(const Named& tensors, int64_t layers) {
    std::set<std::string> known{"input_ids", "labels", "attention_mask", "position_ids"};
    for (int64_t i = 0; i < layers; ++i) known.insert(fmt::format("rotation.{}", i));
    for (const auto& [name, tensor] : tensors) {
      check(known.contains(name),
            "score: the input has a tensor \"{}\"; input_ids, labels, attention_mask, position_ids "
            "and rotation.0 to rotation.{} are read",
            name, layers - 1);
    }
  }
};

Tensor written(const Tensor& x) {
  if (!is_floating(x.dtype()) || x.dtype() == DType::f64) return x.detach().contiguous();
  return x.detach().to(DType::f32).contiguous();
}

Tensor loss_of(const Tensor& logits, const Tensor& labels, bool causal) {
  if (!causal) return cross_entropy(logits, labels);
  const int64_t length = labels.size(1);
  return cross_entropy(slice(logits, 1, 0, length - 1), slice(labels, 1, 1, length));
}

}  // namespace

std::map<std::string, Tensor> score(const std::string& folder,
                                    const std::map<std::string, Tensor>& tensors,
                                    const ScoreOptions& options) {
  const AtomicFolder files(folder, checkpoint_files());
  const ReformerConfig config = read_reformer_config(files.path("config.json"));
  Input input(tensors, config, options.device);
  check(!options.grad || input.labels.defined(), "score: gradients need labels");
  const std::unique_ptr<Reformer> model =
      load_model(folder, {.length = input.ids.size(1), .new_head = true});
  const bool headless = !has_head(folder);
  check(!headless || !input.labels.defined(),
        "score: {} holds a model without a head, so labels cannot be scored", folder);
  model->to(options.dtype);
  model->to(options.device);
  model->eval();
  Named out;
  if (options.trace || headless) {
    const NoGrad scope;
    ReformerCall call = input.call;
    if (options.trace) {
      call.observe = [&](const std::string& name, const Tensor& x) { out[name] = written(x); };
    }
    out["last_hidden"] = written(model->hidden(input.ids, call));
  }
  if (headless) return out;
  const detail::GradModeScope mode({.enabled = options.grad});
  const Tensor logits = model->logits(input.ids, input.call);
  out["logits"] = written(logits);
  if (input.labels.defined()) {
    const Tensor loss = loss_of(logits, input.labels, config.is_decoder);
    out["loss"] = written(loss);
    if (options.grad) backward(loss);
  }
  if (options.grad) {
    for (const auto& [name, p] : model->named_parameters()) {
      out["grad." + name] = written(p.grad().defined() ? p.grad() : zeros_like(p));
    }
  }
  return out;
}

}  // namespace tenet
