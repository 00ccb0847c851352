/// `reformer score`.
#include <tenet/core/safetensors.h>
#include <tenet/models/byte_score.h>
#include <tenet/models/checkpoint.h>
#include <tenet/models/detail/commands.h>
#include <tenet/models/score.h>

namespace tenet::commands {
namespace {

struct ScoreFlags {
  std::string model, io, out, text, dtype = "f32";
  ScoreOptions options;
  ByteScoreOptions windows;
};

constexpr const char* text_footer =
    "With --text, standard output gets one JSON object a byte,\n"
    "  {\"position\": 7, \"byte\": 84, \"bits\": 3.210000}\n"
    "and a last one, {\"scored\": 4095, \"bits_per_byte\": 3.123456}. Nothing precedes the first\n"
    "byte: its bits are null and not in the mean.";

void score_text(const ScoreFlags& flags) {
  const ByteText text = read_byte_text(flags.text);
  const std::unique_ptr<Reformer> model = load_model(flags.model);
  model->to(flags.options.dtype);
  model->to(flags.options.device);
  check_byte_model(model->config(), "score");
  fmt::print("{{\"position\": 0, \"byte\": {}, \"bits\": null}}\n", text.all[0]);
  const TextScore score = byte_scores(*model, text.all, flags.windows, [](const ByteScore& b) {
    fmt::print("{{\"position\": {}, \"byte\": {}, \"bits\": {:.6f}}}\n", b.position, b.byte,
               b.bits);
  });
  fmt::print("{{\"scored\": {}, \"bits_per_byte\": {}}}\n", score.bytes,
             score.bytes > 0 ? fmt::format("{:.6f}", score.bits_per_byte) : "null");
}

void run_score(ScoreFlags& flags) {
  flags.options.dtype = flags.dtype == "f64"    ? DType::f64
                        : flags.dtype == "bf16" ? DType::bf16
                                                : DType::f32;
  if (!flags.text.empty()) return score_text(flags);
  safetensors::save(flags.out,
                    score(flags.model, safetensors::load(flags.io).tensors, flags.options));
}

}  // namespace

void add_score(CLI::App& app) {
  auto flags = std::make_shared<ScoreFlags>();
  CLI::App* score = app.add_subcommand(
      "score", "Logits, loss and gradients of given tokens, or the bits of each byte of a text.");
  score->add_option("--model", flags->model, "checkpoint folder")->required();
  score->add_option("--dtype", flags->dtype, "f32, f64 or bf16")
      ->check(CLI::IsMember({"f32", "f64", "bf16"}))
      ->capture_default_str();
  auto* io = score->add_option("--io", flags->io, "safetensors with input_ids, labels, ...");
  auto* out = score->add_option("--out", flags->out, "safetensors to write");
  auto* text = score->add_option("--text", flags->text, "file whose bytes are scored");
  io->needs(out)->excludes(text);
  out->needs(io);
  score->add_flag("--grad", flags->options.grad, "also the gradient of every parameter")->needs(io);
  score
      ->add_flag("--trace", flags->options.trace,
                 "also embeddings, streams, attention, buckets and order of each layer")
      ->needs(io);
  score
      ->add_option("--length", flags->windows.length,
                   "window in bytes; default: as long as the model's positions allow")
      ->check(CLI::PositiveNumber)
      ->needs(text);
  score
      ->add_option("--overlap", flags->windows.overlap,
                   "bytes that neighbouring windows share; default: half a window; 0: as eval")
      ->check(CLI::NonNegativeNumber)
      ->needs(text);
  add_device(*score, flags->options.device);
  score->footer(text_footer);
  score->callback([flags, io, text] {
    check(io->count() + text->count() > 0, "score: give --io and --out, or --text");
    run_score(*flags);
  });
}

}  // namespace tenet::commands
