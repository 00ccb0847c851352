/// `reformer score`: every number of a forward and backward pass on given tokens.
#include <tenet/core/autograd.h>
#include <tenet/core/grad_mode.h>
#include <tenet/core/safetensors.h>
#include <tenet/models/checkpoint.h>
#include <tenet/models/detail/commands.h>
#include <tenet/models/text_model.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/cross_entropy.h>
#include <tenet/ops/views.h>

namespace tenet::commands {
namespace {

struct ScoreFlags {
  std::string model, io, out, text, dtype = "f32";
  bool grad = false, trace = false;
};

using Named = std::map<std::string, Tensor>;

Tensor find(const Named& tensors, const std::string& name) {
  const auto found = tensors.find(name);
  return found == tensors.end() ? Tensor() : found->second;
}

/// What the file says, checked as far as the model does not.
struct Input {
  Tensor ids, labels;
  ReformerCall call;

  Input(const std::string& path, const ReformerConfig& config) {
    const Named tensors = safetensors::load(path).tensors;
    ids = find(tensors, "input_ids");
    check(ids.defined() && ids.dim() == 2 && ids.dtype() == DType::i64,
          "score: \"{}\" has no input_ids, i64 (B, L)", path);
    labels = find(tensors, "labels");
    check(!labels.defined() || labels.shape() == ids.shape(),
          "score: labels have shape {}, input_ids {}", labels.defined() ? labels.shape() : Shape(),
          ids.shape());
    if (const Tensor mask = find(tensors, "attention_mask"); mask.defined()) {
      call.mask = not_equal(mask, 0);
    }
    call.positions = find(tensors, "position_ids");
    for (int64_t i = 0; i < config.layers(); ++i) {
      call.rotations.push_back(find(tensors, fmt::format("rotation.{}", i)));
    }
    for (const auto& [name, tensor] : tensors) check_name(name, path, config.layers());
  }

 private:
  static void check_name(const std::string& name, const std::string& path, int64_t layers) {
    bool known = name == "input_ids" || name == "labels" || name == "attention_mask" ||
                 name == "position_ids";
    for (int64_t i = 0; i < layers; ++i) known = known || name == fmt::format("rotation.{}", i);
    check(known,
          "score: \"{}\" has a tensor \"{}\"; input_ids, labels, attention_mask, position_ids and "
          "rotation.0 to rotation.{} are read",
          path, name, layers - 1);
  }
};

DType parse_dtype(const std::string& name) {
  return name == "f64" ? DType::f64 : name == "bf16" ? DType::bf16 : DType::f32;
}

/// Results are written as f32, or f64 of a model in f64.
Tensor written(const Tensor& x) {
  if (!is_floating(x.dtype()) || x.dtype() == DType::f64) return x.detach().contiguous();
  return x.detach().to(DType::f32).contiguous();
}

Tensor loss_of(const Tensor& logits, const Tensor& labels, bool shifted) {
  if (!shifted) return cross_entropy(logits, labels);
  const int64_t length = labels.size(1);
  return cross_entropy(slice(logits, 1, 0, length - 1), slice(labels, 1, 1, length));
}

void score_tokens(const ScoreFlags& flags) {
  const ReformerConfig config = read_reformer_config(flags.model + "/config.json");
  Input input(flags.io, config);
  const std::unique_ptr<Reformer> model = load_model(flags.model, input.ids.size(1));
  model->to(parse_dtype(flags.dtype));
  model->eval();
  Named out;
  const detail::GradModeScope mode({.enabled = flags.grad});
  const Tensor logits = model->logits(input.ids, input.call);
  out["logits"] = written(logits);
  if (input.labels.defined()) {
    const Tensor loss = loss_of(logits, input.labels, config.is_decoder);
    out["loss"] = written(loss);
    if (flags.grad) {
      backward(loss);
      for (const auto& [name, p] : model->named_parameters()) {
        out["grad." + name] = written(p.grad().defined() ? p.grad() : zeros_like(p));
      }
    }
  }
  check(!flags.grad || input.labels.defined(), "score: --grad needs labels in \"{}\"", flags.io);
  if (flags.trace) {
    const NoGrad scope;
    input.call.observe = [&](const std::string& name, const Tensor& value) {
      out[name] = written(value);
    };
    model->logits(input.ids, input.call);
  }
  safetensors::save(flags.out, out);
}

}  // namespace

void add_score(CLI::App& app) {
  auto flags = std::make_shared<ScoreFlags>();
  CLI::App* score = app.add_subcommand("score", "Write logits, loss and gradients of given tokens");
  score->add_option("--model", flags->model, "checkpoint folder")->required();
  score->add_option("--io", flags->io, "safetensors with input_ids, labels, ...")->required();
  score->add_option("--out", flags->out, "safetensors to write")->required();
  score->add_flag("--grad", flags->grad, "also the gradient of every parameter");
  score->add_flag("--trace", flags->trace, "also embeddings, streams, attention, buckets, order");
  score->add_option("--dtype", flags->dtype, "f32, f64 or bf16")
      ->check(CLI::IsMember({"f32", "f64", "bf16"}))
      ->capture_default_str();
  score->callback([flags] { score_tokens(*flags); });
}

}  // namespace tenet::commands
