/// `reformer info`.
#include <tenet/core/cpu_level.h>
#include <tenet/models/atomic_file.h>
#include <tenet/models/checkpoint.h>
#include <tenet/models/compatibility.h>
#include <tenet/models/detail/commands.h>
#include <tenet/models/detail/run.h>
#include <tenet/models/memory_plan.h>
#include <tenet/models/progress.h>
#include <tenet/models/trainer.h>

#include <fmt/ranges.h>

namespace tenet::commands {
namespace {

struct Flags {
  std::string model, dtype = "f32";
  int64_t batch = 1, length = 0;
};

void print_config(const ReformerConfig& config) {
  std::vector<std::string> kinds;
  for (AttentionKind kind : config.attn_layers) kinds.emplace_back(to_string(kind));
  fmt::print("layers      {} ({})\n", config.layers(), fmt::join(kinds, ", "));
  fmt::print("width       {}, {} heads of {}, feed-forward {}\n", config.hidden_size,
             config.num_attention_heads, config.attention_head_size, config.feed_forward_size);
  fmt::print("causal      {}\n", config.is_decoder ? "yes" : "no: it sees the bytes it predicts");
  fmt::print("attention   preset {}, chunk {}, buckets {}, {} rounds, {} in evaluation\n",
             config.lsh_preset, config.lsh_attn_chunk_length, fmt::join(config.num_buckets, " x "),
             config.num_hashes,
             config.evaluation_hashes > 0 ? config.evaluation_hashes : config.num_hashes);
  fmt::print("residual    {}{}\n", config.residual,
             config.residual == "exact" ? fmt::format(", 2^-{} units", config.fraction_bits) : "");
  fmt::print("positions   {}, vocabulary {}{}\n", config.max_position_embeddings, config.vocab_size,
             config.byte_offset < 0 ? ", not of bytes"
                                    : fmt::format(", byte offset {}", config.byte_offset));
  fmt::print("kernels     {}\n", cpu_level());
}

void print_compatibility(const ReformerConfig& config, const std::string& path) {
  const std::vector<std::string> beyond = beyond_transformers(config);
  if (beyond.empty()) {
    fmt::print("elsewhere   transformers computes the same model{}\n",
               config.has(AttentionKind::lsh) ? ", with hash rotations of its own" : "");
  } else {
    fmt::print("elsewhere   transformers computes another model; it lacks: {}\n",
               fmt::join(beyond, ", "));
  }
  const std::vector<std::string> keys = keys_beyond_transformers(path);
  if (!keys.empty())
    fmt::print("ignored     transformers does not read {}\n", fmt::join(keys, ", "));
  for (const std::string& key : unknown_config_keys(path)) {
    fmt::print("ignored     config.json has the unknown key \"{}\"\n", key);
  }
}

void run(const Flags& flags) {
  const std::unique_ptr<Reformer> model = load_model(flags.model);
  const ReformerConfig& config = model->config();
  const int64_t length = flags.length > 0 ? flags.length : config.max_position_embeddings;
  check(flags.batch <= most_step_tokens / length,
        "info: --batch {} of --length {} is more than {} bytes; give less", flags.batch, length,
        with_commas(most_step_tokens));
  const AtomicFolder files(flags.model, checkpoint_files());
  print_config(config);
  print_compatibility(config, files.path("config.json"));
  fmt::print("\n{}\n", model->to_string());
  const int64_t parameters = model->parameter_count();
  MemoryPlanOptions options{.batch = flags.batch, .length = length};
  options.dtype = detail::autocast_of(flags.dtype, "info").value_or(DType::f32);
  for (const bool reversible : {true, false}) {
    options.reversible = reversible;
    fmt::print("Memory of a training step, batch {}, length {}, {}, {}\n{}", flags.batch, length,
               flags.dtype, reversible ? "reversible" : "activations kept",
               to_string(plan_memory(config, parameters, options)));
  }
}

}  // namespace

void add_info(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* info = app.add_subcommand("info", "Parameters by module, and what training will need.");
  info->add_option("--model", flags->model, "checkpoint folder")->required();
  info->add_option("--batch", flags->batch, "sequences per step")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  info->add_option("--length", flags->length, "bytes per sequence; 0: the model's positions")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  info->add_option("--dtype", flags->dtype, "of products: f32, bf16 or f16")
      ->capture_default_str()
      ->check(CLI::IsMember({"f32", "bf16", "f16"}));
  info->callback([flags] { run(*flags); });
}

}  // namespace tenet::commands
