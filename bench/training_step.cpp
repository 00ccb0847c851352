/// One training step (forward, backward, Adam) of a Reformer on random bytes: time, tokens per
/// second and memory, as a line of JSON. Memory above idle is the process's high-water mark minus
/// its size after one step at length 64.
#include <tenet/core/autograd.h>
#include <tenet/core/memory.h>
#include <tenet/core/parallel.h>
#include <tenet/core/reversible.h>
#include <tenet/models/reformer.h>
#include <tenet/ops/creation.h>
#include <tenet/optim/adam.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>

#include "model_flags.h"

namespace {

using namespace tenet;

/// A line of /proc/self/status in bytes.
int64_t process_bytes(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(key + ":")) return std::stoll(line.substr(key.size() + 1)) * 1024;
  }
  return 0;
}

void reset_high_water_mark() { std::ofstream("/proc/self/clear_refs") << "5"; }

struct Flags {
  ModelFlags model;
  int64_t length = 4096, batch = 1, steps = 3;
  std::string residual = "exact", reversible = "on";
};

ReformerConfig config_of(const Flags& flags) {
  ReformerConfig config = make_config(flags.model, flags.length);
  config.residual = flags.residual;
  return config;
}

class Step {
 public:
  explicit Step(const Flags& flags)
      : model_(config_of(flags)), optimizer_(model_.parameters(), {.learning_rate = 1e-4}) {
    model_.set_reversible(flags.reversible == "on");
  }

  double operator()(int64_t batch, int64_t length) {
    const auto start = std::chrono::steady_clock::now();
    const Tensor tokens = randint({batch, length}, 2, 258, generator_);
    const Tensor targets = randint({batch, length}, 2, 258, generator_);
    backward(model_.loss(tokens, targets));
    optimizer_.step();
    optimizer_.clear_grad();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

 private:
  Reformer model_;
  optim::Adam optimizer_;
  Generator generator_{1};
};

void run(const Flags& flags) {
  Step step(flags);
  step(1, std::min<int64_t>(64, flags.length));
  const int64_t idle = process_bytes("VmRSS");
  memory::reset_peak();
  reset_high_water_mark();
  detail::reversible_counters() = {};
  step(flags.batch, flags.length);
  const auto counters = detail::reversible_counters();
  std::vector<double> seconds;
  for (int64_t i = 0; i < flags.steps; ++i) seconds.push_back(step(flags.batch, flags.length));
  std::nth_element(seconds.begin(), seconds.begin() + std::ssize(seconds) / 2, seconds.end());
  const double median = seconds[seconds.size() / 2];
  nlohmann::ordered_json json;
  json["layers"] = flags.model.layers;
  json["length"] = flags.length;
  json["reversible"] = flags.reversible;
  json["residual"] = flags.residual;
  json["threads"] = num_threads();
  json["step_seconds"] = median;
  json["tokens_per_second"] = static_cast<double>(flags.batch * flags.length) / median;
  json["activation_peak_bytes"] = memory::stats(Device::cpu(), memory::Category::working).peak;
  json["peak_bytes"] = memory::stats(Device::cpu()).peak;
  json["reserved_bytes"] = memory::stats(Device::cpu()).reserved;
  json["rss_above_idle_bytes"] = process_bytes("VmHWM") - idle;
  json["releases"] = counters.releases;
  json["rebuilds"] = counters.rebuilds;
  fmt::print("{}\n", json.dump());
}

}  // namespace

int main(int argc, char** argv) {
  Flags flags;
  CLI::App app("Time and memory of one training step");
  add_model_flags(app, flags.model);
  app.add_option("--length", flags.length)->capture_default_str();
  app.add_option("--batch", flags.batch)->capture_default_str();
  app.add_option("--steps", flags.steps, "timed steps, of which the median counts")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--residual", flags.residual)->check(CLI::IsMember({"exact", "float"}));
  app.add_option("--reversible", flags.reversible)->check(CLI::IsMember({"on", "off"}));
  CLI11_PARSE(app, argc, argv);
  try {
    run(flags);
  } catch (const std::exception& error) {
    fmt::print(stderr, "training_step: {}\n", error.what());
    return 1;
  }
  return 0;
}
