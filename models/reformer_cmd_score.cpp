/// `reformer score`.
#include <tenet/core/safetensors.h>
#include <tenet/models/detail/commands.h>
#include <tenet/models/score.h>

namespace tenet::commands {
namespace {

struct ScoreFlags {
  std::string model, io, out, dtype = "f32";
  ScoreOptions options;
};

void run_score(ScoreFlags& flags) {
  flags.options.dtype = flags.dtype == "f64"    ? DType::f64
                        : flags.dtype == "bf16" ? DType::bf16
                                                : DType::f32;
  safetensors::save(flags.out,
                    score(flags.model, safetensors::load(flags.io).tensors, flags.options));
}

}  // namespace

void add_score(CLI::App& app) {
  auto flags = std::make_shared<ScoreFlags>();
  CLI::App* score = app.add_subcommand("score", "Write logits, loss and gradients of given tokens");
  score->add_option("--model", flags->model, "checkpoint folder")->required();
  score->add_option("--io", flags->io, "safetensors with input_ids, labels, ...")->required();
  score->add_option("--out", flags->out, "safetensors to write")->required();
  score->add_flag("--grad", flags->options.grad, "also the gradient of every parameter");
  score->add_flag("--trace", flags->options.trace,
                  "also embeddings, streams, attention, buckets and order of each layer");
  score->add_option("--dtype", flags->dtype, "f32, f64 or bf16")
      ->check(CLI::IsMember({"f32", "f64", "bf16"}))
      ->capture_default_str();
  score->callback([flags] { run_score(*flags); });
}

}  // namespace tenet::commands
