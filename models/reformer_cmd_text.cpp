/// `reformer eval` and `reformer generate`.
#include <tenet/core/grad_mode.h>
#include <tenet/models/checkpoint.h>
#include <tenet/models/detail/commands.h>
#include <tenet/models/detail/run.h>
#include <tenet/models/progress.h>
#include <tenet/models/source_tree.h>
#include <tenet/models/text_model.h>
#include <tenet/nn/linear.h>

#include <algorithm>

namespace tenet::commands {
namespace {

struct EvalFlags {
  Device device;
  std::string model, text, part = "valid", dtype = "f32";
  int64_t length = 0, batch = 1;
};

struct GenerateFlags {
  Device device;
  std::string model, dtype = "f32";
  std::vector<std::string> prompts, stops;
  GenerationOptions options;
  bool tokens_given = false, anew = false;
  uint64_t seed = 0;
};

void add_dtype(CLI::App& command, std::string& dtype) {
  command.add_option("--dtype", dtype, "type of products and attention")
      ->capture_default_str()
      ->check(CLI::IsMember({"f32", "bf16", "f16"}));
}

std::span<const uint8_t> part_of(const ByteText& text, const std::string& part) {
  if (part == "train") return text.train;
  if (part == "test") return text.test;
  return part == "all" ? text.all : text.valid;
}

void run_eval(const EvalFlags& flags) {
  const ByteText text =
      flags.text.empty() ? read_source_tree(source_tree_root()) : read_byte_text(flags.text);
  const std::span<const uint8_t> bytes = part_of(text, flags.part);
  check(bytes.size() >= 2, "eval: the {} part of {} has {} bytes; at least 2 are needed",
        flags.part, text.name, bytes.size());
  const std::unique_ptr<Reformer> model = load_model(flags.model);
  model->to(flags.device);
  const int64_t positions = model->config().max_position_embeddings;
  const int64_t length = flags.length > 0 ? flags.length : positions;
  check(length <= positions, "eval: length {} exceeds the model's {} positions", length, positions);
  const Autocast scope(detail::autocast_of(flags.dtype));
  const TextScore score = evaluate(*model, bytes, length, flags.batch);
  fmt::print("{}: {:.4f} bits/byte over {} bytes ({} part, length {})\n", text.name,
             score.bits_per_byte, with_commas(score.bytes), flags.part, length);
}

/// The byte that a --stop names: a character, or \n, \t, \r, \0.
int64_t stop_byte(const std::string& text) {
  if (text.size() == 1) return static_cast<uint8_t>(text[0]);
  if (text == "\\n") return '\n';
  if (text == "\\t") return '\t';
  if (text == "\\r") return '\r';
  check(text == "\\0", "generate: --stop {}; give one byte, or \\n, \\t, \\r, \\0", text);
  return 0;
}

/// The options of a call; where --tokens is not given, what the positions leave room for.
GenerationOptions options_of(const GenerateFlags& flags, const ReformerConfig& config) {
  GenerationOptions options = flags.options;
  options.cache = !flags.anew;
  for (const std::string& stop : flags.stops) options.stop.push_back(stop_byte(stop));
  if (flags.tokens_given) return options;
  for (const std::string& prompt : flags.prompts) {
    const int64_t left = config.max_position_embeddings - std::ssize(prompt);
    options.tokens = std::clamp<int64_t>(left, 0, options.tokens);
  }
  return options;
}

void run_generate(const GenerateFlags& flags) {
  const std::unique_ptr<Reformer> model = load_model(flags.model);
  model->to(flags.device);
  const GenerationOptions options = options_of(flags, model->config());
  const std::optional<DType> dtype = detail::autocast_of(flags.dtype, "generate");
  if (dtype) nn::round_linears(*model, *dtype);
  const Autocast scope(dtype);
  Generator generator(flags.seed);
  if (flags.prompts.size() > 1) {
    const std::vector<std::string> texts = generate(*model, flags.prompts, options, generator);
    for (size_t i = 0; i < texts.size(); ++i) fmt::print("{}{}\n", flags.prompts[i], texts[i]);
    return;
  }
  const std::string& prompt = flags.prompts.at(0);
  check_generation(model->config(), prompt, options);
  std::fwrite(prompt.data(), 1, prompt.size(), stdout);
  generate(*model, prompt, options, generator, [](char byte) {
    std::fputc(byte, stdout);
    std::fflush(stdout);
  });
  std::fputc('\n', stdout);
}

}  // namespace

void add_eval(CLI::App& app) {
  auto flags = std::make_shared<EvalFlags>();
  CLI::App* eval = app.add_subcommand("eval", "Bits per byte of a text under a model.");
  eval->add_option("--model", flags->model, "checkpoint folder")->required();
  eval->add_option("--text", flags->text, "file; without it the framework's own source tree");
  eval->add_option("--part", flags->part, "which part: valid (held out), train, test or all")
      ->capture_default_str()
      ->check(CLI::IsMember({"valid", "train", "test", "all"}));
  eval->add_option("--length", flags->length, "window in bytes; 0: the model's positions")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  eval->add_option("--batch", flags->batch, "windows at a time")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  add_dtype(*eval, flags->dtype);
  add_device(*eval, flags->device);
  eval->callback([flags] { run_eval(*flags); });
}

void add_generate(CLI::App& app) {
  auto flags = std::make_shared<GenerateFlags>();
  CLI::App* generate = app.add_subcommand("generate", "Continue a prompt.");
  GenerationOptions& options = flags->options;
  generate->add_option("--model", flags->model, "checkpoint folder")->required();
  generate->add_option("--prompt", flags->prompts, "text to continue; several are one batch")
      ->required()
      ->allow_extra_args(false);
  auto* tokens =
      generate->add_option("--tokens", options.tokens, "bytes to add")->capture_default_str();
  generate->add_option("--temperature", options.temperature, "0 takes the most probable byte")
      ->capture_default_str();
  generate->add_option("--top-k", options.top_k, "keep the k most probable bytes; 0 keeps all")
      ->capture_default_str();
  generate->add_option("--top-p", options.top_p, "keep bytes up to this total probability")
      ->capture_default_str();
  generate->add_option("--stop", flags->stops, "byte at which a text ends, such as \\n")
      ->allow_extra_args(false);
  generate
      ->add_option("--beams", options.beams,
                   "above 1, beam search for the most probable text of --tokens bytes")
      ->capture_default_str();
  generate
      ->add_option("--length-penalty", options.length_penalty,
                   "beams compare by log probability / length^penalty")
      ->capture_default_str();
  generate->add_flag("--approximate-cache", options.approximate,
                     "of preset hugging_face: transformers' cache, whose logits differ from those "
                     "of the whole text");
  generate->add_flag("--no-cache", flags->anew, "evaluate the whole text for every byte");
  add_dtype(*generate, flags->dtype);
  add_device(*generate, flags->device);
  generate->add_option("--seed", flags->seed, "seed of the draws")->capture_default_str();
  generate->callback([flags, tokens] {
    flags->tokens_given = tokens->count() > 0;
    run_generate(*flags);
  });
}

}  // namespace tenet::commands
