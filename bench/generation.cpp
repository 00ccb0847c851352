/// Tokens per second of generation at a given context: a prompt of random bytes, then drawn tokens
/// one after the other, as a line of JSON.
#include <tenet/core/parallel.h>
#include <tenet/models/generation.h>
#include <tenet/ops/creation.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "model_flags.h"

namespace {

using namespace tenet;

struct Flags {
  ModelFlags model = {.attention = "local,lsh"};
  int64_t context = 1024, batch = 1, tokens = 64;
  std::string dtype = "f32";
  bool anew = false;
};

ReformerConfig config_of(const Flags& flags) {
  ReformerConfig config = make_config(flags.model, flags.context + flags.tokens);
  config.evaluation_hashes = flags.model.hashes;
  return config;
}

/// Seconds from the second token to the last, and for the prompt with the first.
struct Times {
  double prompt = 0, rest = 0;
};

Times run(const Flags& flags) {
  Reformer model(config_of(flags));
  std::optional<Autocast> half;
  if (flags.dtype == "bf16") half.emplace(DType::bf16);
  Generator generator(1);
  std::vector<std::vector<int64_t>> prompts;
  for (int64_t row = 0; row < flags.batch; ++row) {
    prompts.push_back(randint({flags.context}, 2, 258, generator).to_vector<int64_t>());
  }
  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  Times times;
  Clock::time_point start = Clock::now();
  bool first = true;
  GenerationOptions options{.tokens = flags.tokens, .range = {2, 256}};
  options.cache = !flags.anew;
  generate(model, prompts, options, generator, [&](int64_t, int64_t) {
    if (std::exchange(first, false)) {
      times.prompt = since(start);
      start = Clock::now();
    }
    return true;
  });
  times.rest = since(start);
  return times;
}

}  // namespace

int main(int argc, char** argv) {
  Flags flags;
  CLI::App app("Tokens per second of generation");
  add_model_flags(app, flags.model);
  app.add_option("--context", flags.context, "tokens of the prompt")->capture_default_str();
  app.add_option("--batch", flags.batch)->capture_default_str();
  app.add_option("--tokens", flags.tokens, "to draw")
      ->capture_default_str()
      ->check(CLI::Range(2, 1 << 20));
  app.add_option("--dtype", flags.dtype)->check(CLI::IsMember({"f32", "bf16"}));
  app.add_flag("--no-cache", flags.anew, "evaluate the whole sequence for every token");
  CLI11_PARSE(app, argc, argv);
  try {
    const Times times = run(flags);
    nlohmann::ordered_json json;
    json["context"] = flags.context;
    json["batch"] = flags.batch;
    json["attention"] = flags.model.attention;
    json["dtype"] = flags.dtype;
    json["threads"] = num_threads();
    json["prompt_seconds"] = times.prompt;
    json["tokens_per_second"] = static_cast<double>(flags.batch * (flags.tokens - 1)) / times.rest;
    fmt::print("{}\n", json.dump());
  } catch (const std::exception& error) {
    fmt::print(stderr, "generation: {}\n", error.what());
    return 1;
  }
  return 0;
}
