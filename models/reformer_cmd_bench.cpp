/// `reformer bench`.
#include <fmt/format.h>

#include <tenet/models/benchmark.h>
#include <tenet/models/detail/commands.h>
#include <tenet/models/progress.h>

namespace tenet::commands {
namespace {

void add_model_flags(CLI::App& app, BenchmarkModel& model) {
  const auto size = [&](const char* flag, int64_t& value, const char* what) {
    app.add_option(flag, value, what)->capture_default_str()->check(CLI::PositiveNumber);
  };
  size("--layers", model.layers, "layers");
  size("--d-model", model.d_model, "width of the streams");
  size("--heads", model.heads, "heads of attention");
  size("--d-ff", model.d_ff, "inner width of the feed-forward part");
  size("--hashes", model.hashes, "rounds of LSH attention");
  size("--chunk", model.chunk, "window of attention");
  app.add_option("--attention", model.attention, "lsh, local, full, or several, in turn")
      ->capture_default_str();
  app.add_option("--residual", model.residual, "exact or float")
      ->capture_default_str()
      ->check(CLI::IsMember({"exact", "float"}));
  app.add_option("--dtype", model.dtype, "of products: f32, bf16 or f16")
      ->capture_default_str()
      ->check(CLI::IsMember({"f32", "bf16", "f16"}));
  add_device(app, model.device);
}

std::string step_report(const StepBenchmark& r) {
  const std::string text = fmt::format(
      "step          {:.4f} s, the median of {}\n"
      "speed         {:.0f} tokens/s\n"
      "tensors       {} at most, of which activations and workspace {}\n"
      "process       {} at most, {} above its size after a step at length 64\n",
      r.step_seconds, r.seconds.size(), r.tokens_per_second, readable_bytes(r.peak_bytes),
      readable_bytes(r.activation_peak_bytes), readable_bytes(r.peak_rss_bytes),
      readable_bytes(r.rss_above_idle_bytes));
  return r.profile.empty() ? text : text + "\n" + profile_table(r);
}

struct StepFlags {
  StepBenchmarkOptions options;
  std::string reversible = "on";
  bool json = false;
};

void add_bench_step(CLI::App& bench) {
  auto flags = std::make_shared<StepFlags>();
  StepBenchmarkOptions& o = flags->options;
  CLI::App* step = bench.add_subcommand(
      "step", "Time and memory of a training step (forward, backward, Adam) on random bytes.");
  add_model_flags(*step, o.model);
  for (auto [flag, value, what] : {std::tuple("--length", &o.length, "tokens of a sequence"),
                                   {"--batch", &o.batch, "sequences of a step"}}) {
    step->add_option(flag, *value, what)->capture_default_str()->check(CLI::PositiveNumber);
  }
  step->add_option("--steps", o.steps,
                   "timed steps after an untimed one, whose median counts; 0: that one counts")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  step->add_option("--reversible", flags->reversible, "off: activations are kept")
      ->capture_default_str()
      ->check(CLI::IsMember({"on", "off"}));
  step->add_flag("--graph", o.graph, "give a GPU the work of a step as one CUDA graph");
  step->add_flag("--profile", o.profile, "the time of each kernel in one more step");
  step->add_flag("--json", flags->json, "print the last line only, one JSON object");
  step->callback([flags] {
    flags->options.reversible = flags->reversible == "on";
    const StepBenchmark result = benchmark_step(flags->options);
    if (!flags->json) fmt::print("{}\n", step_report(result));
    fmt::print("{}\n", to_json(flags->options, result));
  });
}

struct GenerateFlags {
  GenerationBenchmarkOptions options;
  bool no_cache = false;
};

void add_bench_generate(CLI::App& bench) {
  auto flags = std::make_shared<GenerateFlags>();
  GenerationBenchmarkOptions& o = flags->options;
  CLI::App* generate = bench.add_subcommand("generate", "Tokens per second of generation.");
  add_model_flags(*generate, o.model);
  generate->add_option("--context", o.context, "tokens of the prompt")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  generate->add_option("--batch", o.batch, "sequences")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  generate->add_option("--tokens", o.tokens, "to draw")
      ->capture_default_str()
      ->check(CLI::Range(2, 1 << 20));
  generate->add_flag("--no-cache", flags->no_cache, "evaluate the whole sequence for every token");
  generate->callback([flags] {
    flags->options.cache = !flags->no_cache;
    fmt::print("{}\n", to_json(flags->options, benchmark_generation(flags->options)));
  });
}

}  // namespace

void add_bench(CLI::App& app) {
  CLI::App* bench =
      app.add_subcommand("bench", "Time and memory of training and generation on this machine.");
  bench->require_subcommand(1);
  add_bench_step(*bench);
  add_bench_generate(*bench);
}

}  // namespace tenet::commands
