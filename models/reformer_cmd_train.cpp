#include <tenet/core/error.h>
#include <tenet/models/detail/commands.h>
#include <tenet/models/trainer.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <csignal>

namespace tenet::commands {
namespace {

/// Set by Ctrl-C.
std::atomic<bool> interrupted{false};

extern "C" void on_interrupt(int signal) {
  if (interrupted.exchange(true)) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
}

/// While it lives, the first Ctrl-C asks the training to save and stop, and the second ends the
/// program at once; a write to a closed pipe or past the file size limit fails instead of ending
/// the program.
class TrainingSignals {
 public:
  TrainingSignals() {
    for (Handler& h : handlers_) h.action = std::signal(h.signal, h.action);
  }
  ~TrainingSignals() {
    for (const Handler& h : handlers_) std::signal(h.signal, h.action);
  }
  TrainingSignals(const TrainingSignals&) = delete;
  TrainingSignals& operator=(const TrainingSignals&) = delete;

 private:
  struct Handler {
    int signal;
    void (*action)(int);  // the one from before, while this lives
  };
  std::array<Handler, 4> handlers_{
      {{SIGINT, on_interrupt}, {SIGTERM, on_interrupt}, {SIGPIPE, SIG_IGN}, {SIGXFSZ, SIG_IGN}}};
};

/// What the command line says of the model; the rest of the options go straight into TrainOptions.
struct ModelFlags {
  std::string config, attention = "local,lsh", residual = "exact", reversible = "on";
  int64_t layers = 6, d_model = 256, heads = 4, d_ff = 1024, chunk = 64, hashes = 2;
  double dropout = 0;
};

/// Error unless the value of `flag` is in 1..most.
void check_range(const char* flag, int64_t value, int64_t most) {
  check(value >= 1 && value <= most, "train: {} is {}; it must be in 1..{}", flag, value, most);
}

ReformerConfig make_config(const ModelFlags& flags, const TrainOptions& options) {
  check_range("--layers", flags.layers, 100'000);
  check_range("--length", options.length, most_step_tokens);
  check_range("--chunk", flags.chunk, most_step_tokens);
  check_range("--hashes", flags.hashes, int64_t{1} << 20);
  ReformerConfig config =
      new_reformer_config(flags.layers, flags.d_model, flags.heads, flags.d_ff, options.length);
  config.attn_layers = parse_attention(flags.attention, flags.layers);
  config.local_attn_chunk_length = config.lsh_attn_chunk_length = flags.chunk;
  config.num_buckets = num_buckets_for(options.length, flags.chunk);
  config.num_hashes = flags.hashes;
  config.evaluation_hashes = 2 * flags.hashes;
  config.hidden_dropout_prob = flags.dropout;
  config.residual = flags.residual;
  config.seed = options.seed;
  return config;
}

void add_model_flags(CLI::App& train, ModelFlags& flags) {
  auto* config =
      train.add_option("--config", flags.config,
                       "config.json with the model's shape (Hugging Face's Reformer keys)");
  const auto shape = [&](CLI::Option* option) {
    option->capture_default_str()->excludes(config)->group("Model");
  };
  shape(train.add_option("--layers", flags.layers, "number of layers"));
  shape(train.add_option("--d-model", flags.d_model, "width of the model"));
  shape(train.add_option("--heads", flags.heads, "attention heads; must divide the width"));
  shape(train.add_option("--d-ff", flags.d_ff, "width of the feed-forward layers"));
  shape(train.add_option("--chunk", flags.chunk, "attention window in positions"));
  shape(train.add_option("--hashes", flags.hashes,
                         "hash rounds in training; evaluation uses twice as many"));
  shape(train.add_option("--attention", flags.attention,
                         "kinds of attention, repeated over the layers: lsh, local, full"));
  shape(train.add_option("--dropout", flags.dropout, "dropout probability"));
  shape(train
            .add_option("--residual", flags.residual,
                        "exact: fixed-point residual stream, rebuilt to the bit; or float")
            ->check(CLI::IsMember({"exact", "float"})));
  train
      .add_option("--reversible", flags.reversible,
                  "on: rebuild activations in the backward pass; off: keep them")
      ->capture_default_str()
      ->check(CLI::IsMember({"on", "off"}))
      ->group("Model");
}

void add_run_flags(CLI::App& train, TrainOptions& o) {
  train.add_option("--text", o.text,
                   "file to train on; without it the framework's own source tree");
  train.add_option("--out", o.out, "folder for checkpoint, metrics and the loss curve")->required();
  train.add_flag("--resume", o.resume, "go on from the checkpoint in --out");
  const auto run = [](CLI::Option* option) { option->capture_default_str()->group("Run"); };
  auto* steps = train
                    .add_option("--steps", o.steps,
                                "steps of the whole run (default 1000; resumed: as before)")
                    ->group("Run");
  train.add_option("--minutes", o.minutes, "stop after this many minutes")
      ->group("Run")
      ->excludes(steps);
  run(train.add_option("--batch", o.batch, "sequences per step"));
  run(train.add_option("--length", o.length, "bytes per sequence"));
  run(train
          .add_option(
              "--dtype", o.dtype,
              "type of products and attention; weights and residual stream stay as they are")
          ->check(CLI::IsMember({"f32", "bf16", "f16"})));
  add_device(train, o.device);
  train.get_option("--device")->group("Run");
  train.add_flag("--graph", o.graph, "give a GPU the work of each step as one CUDA graph")
      ->group("Run");
  run(train.add_option("--optimizer", o.optimizer, "adam, adamw, adafactor or sgd")
          ->check(CLI::IsMember({"adam", "adamw", "adafactor", "sgd"})));
  run(train.add_option("--lr", o.learning_rate, "highest learning rate"));
  run(train.add_option("--warmup", o.warmup, "steps over which the learning rate rises"));
  train
      .add_option("--schedule", o.schedule,
                  "after the warm-up (default: cosine with --steps, else inverse_sqrt)")
      ->check(CLI::IsMember({"constant", "inverse_sqrt", "cosine"}))
      ->group("Run");
  run(train.add_option("--clip", o.clip, "largest gradient norm; 0 for no limit"));
  run(train.add_option("--evaluate-every", o.evaluate_every,
                       "steps between evaluations; 0 chooses"));
  run(train.add_option("--save-every", o.save_every,
                       "steps between checkpoints; 0: at evaluations"));
  run(train.add_option("--seed", o.seed, "seed of weights, batches, dropout and hashing"));
}

/// Error: --steps or --minutes that is no length of a run, or with --resume an option that the
/// checkpoint decides.
void check_given(const CLI::App& train, const TrainOptions& o) {
  const auto given = [&](const char* flag) { return train.get_option(flag)->count() > 0; };
  check(!given("--steps") || o.steps >= 1, "train: --steps is {}; it must be at least 1", o.steps);
  check(!given("--minutes") || (std::isfinite(o.minutes) && o.minutes > 0),
        "train: --minutes is {}; it must be finite and above 0", o.minutes);
  if (!o.resume) return;
  constexpr std::array<std::string_view, 8> free = {
      "--resume", "--out", "--text", "--steps", "--minutes", "--schedule", "--device", "--graph"};
  for (const CLI::Option* option : train.get_options()) {
    const std::string name = option->get_name();
    check(option->count() == 0 || std::find(free.begin(), free.end(), name) != free.end(),
          "train: {} cannot change on --resume; leave it out", name);
  }
}

TrainResult run_train(const CLI::App& train_app, const ModelFlags& flags, TrainOptions options) {
  check_given(train_app, options);
  options.reversible = flags.reversible == "on";
  if (!options.resume) {
    if (options.steps == 0 && options.minutes == 0) options.steps = 1000;
    options.config = flags.config.empty() ? make_config(flags, options)
                                          : read_reformer_config(flags.config, true);
    // Nothing has given tokens a meaning yet.
    options.config.byte_offset = std::max<int64_t>(options.config.byte_offset, 0);
    if (train_app.get_option("--seed")->count() > 0) options.config.seed = options.seed;
  }
  const TrainingSignals signals;
  return train(std::move(options), interrupted, stdout);
}

}  // namespace

void add_train(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<ModelFlags>();
  auto options = std::make_shared<TrainOptions>();
  CLI::App* train_app = app.add_subcommand("train", "Train a model on a text and save it.");
  train_app->footer("Ctrl-C saves a checkpoint; --resume goes on from it to the same bits.");
  add_run_flags(*train_app, *options);
  add_model_flags(*train_app, *flags);
  train_app->callback([flags, options, train_app, &exit_code] {
    if (run_train(*train_app, *flags, *options).interrupted) exit_code = 130;
  });
}

}  // namespace tenet::commands
