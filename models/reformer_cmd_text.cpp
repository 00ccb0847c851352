/// `reformer eval` and `reformer generate`.
#include <tenet/models/checkpoint.h>
#include <tenet/models/detail/commands.h>
#include <tenet/models/progress.h>
#include <tenet/models/source_tree.h>
#include <tenet/models/text_model.h>

#include <algorithm>

namespace tenet::commands {
namespace {

struct EvalFlags {
  std::string model, text, part = "valid";
  int64_t length = 0, batch = 1;
};

struct GenerateFlags {
  std::string model, prompt;
  SamplingOptions sampling;
  bool tokens_given = false;
  uint64_t seed = 0;
};

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
  const int64_t positions = model->config().max_position_embeddings;
  const int64_t length = flags.length > 0 ? flags.length : positions;
  check(length <= positions, "eval: length {} exceeds the model's {} positions", length, positions);
  const TextScore score = evaluate(*model, bytes, length, flags.batch);
  fmt::print("{}: {:.4f} bits/byte over {} bytes ({} part, length {})\n", text.name,
             score.bits_per_byte, with_commas(score.bytes), flags.part, length);
}

void run_generate(const GenerateFlags& flags) {
  const std::unique_ptr<Reformer> model = load_model(flags.model);
  SamplingOptions sampling = flags.sampling;
  if (!flags.tokens_given) {
    const int64_t left = model->config().max_position_embeddings - std::ssize(flags.prompt);
    sampling.tokens = std::clamp<int64_t>(left, 0, sampling.tokens);
  }
  check_generation(model->config(), flags.prompt, sampling);
  Generator generator(flags.seed);
  std::fputs(flags.prompt.c_str(), stdout);
  generate(*model, flags.prompt, sampling, generator, [](char byte) {
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
      ->capture_default_str();
  eval->add_option("--batch", flags->batch, "windows at a time")->capture_default_str();
  eval->callback([flags] { run_eval(*flags); });
}

void add_generate(CLI::App& app) {
  auto flags = std::make_shared<GenerateFlags>();
  CLI::App* generate = app.add_subcommand("generate", "Continue a prompt.");
  SamplingOptions& sampling = flags->sampling;
  generate->add_option("--model", flags->model, "checkpoint folder")->required();
  generate->add_option("--prompt", flags->prompt, "text to continue")->required();
  auto* tokens =
      generate->add_option("--tokens", sampling.tokens, "bytes to add")->capture_default_str();
  generate->add_option("--temperature", sampling.temperature, "0 takes the most probable byte")
      ->capture_default_str();
  generate->add_option("--top-k", sampling.top_k, "keep the k most probable bytes; 0 keeps all")
      ->capture_default_str();
  generate->add_option("--top-p", sampling.top_p, "keep bytes up to this total probability")
      ->capture_default_str();
  generate->add_option("--seed", flags->seed, "seed of the draws")->capture_default_str();
  generate->callback([flags, tokens] {
    flags->tokens_given = tokens->count() > 0;
    run_generate(*flags);
  });
}

}  // namespace tenet::commands
