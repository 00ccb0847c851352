#include <fmt/format.h>

#include <tenet/core/autograd.h>
#include <tenet/core/memory.h>
#include <tenet/core/parallel.h>
#include <tenet/core/reversible.h>
#include <tenet/core/trace.h>
#include <tenet/core/work_graph.h>
#include <tenet/models/benchmark.h>
#include <tenet/models/detail/run.h>
#include <tenet/models/generation.h>
#include <tenet/models/reformer.h>
#include <tenet/models/trainer.h>
#include <tenet/nn/linear.h>
#include <tenet/ops/creation.h>
#include <tenet/optim/adam.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <utility>

namespace tenet {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t first_token = 2, end_of_tokens = 258;  // the bytes

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// A line of /proc/self/status in bytes.
int64_t process_bytes(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(key + ":")) return std::stoll(line.substr(key.size() + 1)) * 1024;
  }
  return 0;
}

void reset_high_water_mark() { std::ofstream("/proc/self/clear_refs") << "5"; }

class Step {
 public:
  explicit Step(const StepBenchmarkOptions& options)
      : dtype_(detail::autocast_of(options.model.dtype, "bench")),
        tokens_{DType::i64, options.model.device},
        graph_(options.graph ? options.model.device : Device::cpu()),
        model_(benchmark_config(options.model, options.length)) {
    model_.to(options.model.device);
    model_.set_reversible(options.reversible);
    optimizer_.emplace(model_.parameters(), optim::AdamOptions{.learning_rate = 1e-4});
  }

  double operator()(int64_t batch, int64_t length) {
    const Clock::time_point start = Clock::now();
    graph_.run([&] { take(batch, length); });
    synchronize(tokens_.device);
    return seconds_since(start);
  }

 private:
  void take(int64_t batch, int64_t length) {
    const Autocast scope(dtype_);
    const Tensor tokens = randint({batch, length}, first_token, end_of_tokens, generator_, tokens_);
    const Tensor targets =
        randint({batch, length}, first_token, end_of_tokens, generator_, tokens_);
    backward(model_.loss(tokens, targets));
    optimizer_->step();
    optimizer_->clear_grad();
  }

  std::optional<DType> dtype_;
  TensorOptions tokens_;
  WorkGraph graph_;
  Reformer model_;
  std::optional<optim::Adam> optimizer_;
  Generator generator_{1};
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

/// Spans come in the order of their ends. A kernel inside another counts as part of that.
std::vector<ProfileLine> profile_of(const trace::Trace& trace, double step_seconds) {
  std::map<std::string, ProfileLine> by_name;
  double rest = step_seconds;
  double next_begin = std::numeric_limits<double>::infinity();
  for (auto span = trace.spans().rbegin(); span != trace.spans().rend(); ++span) {
    if (span->kind != trace::Kind::kernel || span->end > next_begin) continue;
    next_begin = span->begin;
    ProfileLine& line = by_name[span->name];
    line.name = span->name;
    ++line.calls;
    line.seconds += (span->end - span->begin) * 1e-6;
    rest -= (span->end - span->begin) * 1e-6;
  }
  std::vector<ProfileLine> lines{{"between kernels", 1, rest}};
  for (auto& [name, line] : by_name) lines.push_back(std::move(line));
  std::sort(lines.begin(), lines.end(),
            [](const ProfileLine& a, const ProfileLine& b) { return a.seconds > b.seconds; });
  return lines;
}

nlohmann::ordered_json model_json(const BenchmarkModel& model) {
  nlohmann::ordered_json json;
  json["layers"] = model.layers;
  json["d_model"] = model.d_model;
  json["heads"] = model.heads;
  json["d_ff"] = model.d_ff;
  json["attention"] = model.attention;
  json["hashes"] = model.hashes;
  json["chunk"] = model.chunk;
  json["residual"] = model.residual;
  json["dtype"] = model.dtype;
  json["device"] = to_string(model.device);
  json["threads"] = num_threads();
  return json;
}

void check_range(const char* name, int64_t value, int64_t most) {
  check(value >= 1 && value <= most, "bench: {} is {}; it must be in 1..{}", name, value, most);
}

}  // namespace

ReformerConfig benchmark_config(const BenchmarkModel& model, int64_t length) {
  check_range("length", length, most_step_tokens);
  check_range("layers", model.layers, 100'000);
  check_range("chunk", model.chunk, most_step_tokens);
  check_range("hashes", model.hashes, int64_t{1} << 20);
  ReformerConfig config =
      new_reformer_config(model.layers, model.d_model, model.heads, model.d_ff, length);
  config.attn_layers = parse_attention(model.attention, model.layers);
  config.local_attn_chunk_length = config.lsh_attn_chunk_length = model.chunk;
  config.num_buckets = num_buckets_for(length, model.chunk);
  config.num_hashes = config.evaluation_hashes = model.hashes;
  config.residual = model.residual;
  return config;
}

StepBenchmark benchmark_step(const StepBenchmarkOptions& options) {
  check(options.steps >= 0, "bench: {} timed steps; 0, where the first counts, is the least",
        options.steps);
  check_range("length", options.length, most_step_tokens);
  check_range("batch", options.batch, most_step_tokens / options.length);
  const Device device = options.model.device;
  check(!options.profile || device.is_cpu(),
        "bench: the profile is of the CPU's kernels; leave it out on {}", device);
  StepBenchmark result;
  Step step(options);
  step(1, std::min<int64_t>(64, options.length));
  result.idle_rss_bytes = process_bytes("VmRSS");
  memory::reset_peak(device);
  reset_high_water_mark();
  detail::reversible_counters() = {};
  const double first_seconds = step(options.batch, options.length);
  result.releases = detail::reversible_counters().releases;
  result.rebuilds = detail::reversible_counters().rebuilds;
  for (int64_t i = 0; i < options.steps; ++i) {
    result.seconds.push_back(step(options.batch, options.length));
  }
  if (options.steps == 0) result.seconds.push_back(first_seconds);
  const auto tokens = options.batch * options.length;
  result.step_seconds = median(result.seconds);
  result.tokens_per_second = static_cast<double>(tokens) / result.step_seconds;
  const memory::Stats all = memory::stats(device);
  result.peak_bytes = all.peak, result.reserved_bytes = all.reserved;
  result.activation_peak_bytes = memory::stats(device, memory::Category::working).peak;
  result.peak_rss_bytes = process_bytes("VmHWM");
  result.rss_above_idle_bytes = result.peak_rss_bytes - result.idle_rss_bytes;
  const ReformerConfig config = benchmark_config(options.model, options.length);
  result.dense_flops = dense_flops(config, tokens, options.reversible);
  if (options.profile) {
    trace::Trace trace = trace::record();
    const double seconds = step(options.batch, options.length);
    trace.stop();
    result.profile = profile_of(trace, seconds);
  }
  return result;
}

double dense_flops(const ReformerConfig& c, int64_t tokens, bool reversible) {
  const double width = static_cast<double>(c.num_attention_heads * c.attention_head_size);
  const auto model = static_cast<double>(c.hidden_size), rows = static_cast<double>(tokens);
  double weights = 0;
  for (const AttentionKind kind : c.attn_layers) {
    weights += (kind == AttentionKind::lsh ? 3 : 4) * model * width;
    weights += 2 * model * static_cast<double>(c.feed_forward_size);
  }
  const double head = 2 * model * static_cast<double>(c.vocab_size);
  return 2 * rows * (weights * (reversible ? 4 : 3) + head * 3);
}

std::string profile_table(const StepBenchmark& result) {
  std::string text;
  double total = 0;
  for (const ProfileLine& line : result.profile) total += line.seconds;
  for (const ProfileLine& line : result.profile) {
    if (text.empty())
      text = fmt::format("{:<28}{:>8}{:>12}{:>9}\n", "kernel", "calls", "ms", "share");
    text += fmt::format("{:<28}{:>8}{:>12.3f}{:>8.1f}%", line.name, line.calls, line.seconds * 1e3,
                        100 * line.seconds / total);
    if (line.name == "matmul") {
      text += fmt::format("  {:.0f} GFLOP/s", result.dense_flops / line.seconds * 1e-9);
    }
    text += "\n";
  }
  return text;
}

std::string to_json(const StepBenchmarkOptions& options, const StepBenchmark& result) {
  nlohmann::ordered_json json = model_json(options.model);
  json["length"] = options.length;
  json["batch"] = options.batch;
  json["reversible"] = options.reversible ? "on" : "off";
  json["tokens_per_second"] = result.tokens_per_second;
  json["step_seconds"] = result.step_seconds;
  json["all_step_seconds"] = result.seconds;
  json["peak_bytes"] = result.peak_bytes;
  json["activation_peak_bytes"] = result.activation_peak_bytes;
  json["reserved_bytes"] = result.reserved_bytes;
  json["peak_rss_bytes"] = result.peak_rss_bytes;
  json["idle_rss_bytes"] = result.idle_rss_bytes;
  json["rss_above_idle_bytes"] = result.rss_above_idle_bytes;
  json["releases"] = result.releases;
  json["rebuilds"] = result.rebuilds;
  json["dense_flops"] = result.dense_flops;
  for (const ProfileLine& line : result.profile) {
    json["profile"].push_back(
        {{"name", line.name}, {"calls", line.calls}, {"seconds", line.seconds}});
  }
  return json.dump();
}

GenerationBenchmark benchmark_generation(const GenerationBenchmarkOptions& options) {
  check(options.tokens >= 2, "bench: {} tokens to draw; at least 2 are needed", options.tokens);
  check_range("context", options.context, most_step_tokens);
  check_range("tokens", options.tokens, most_step_tokens);
  check_range("batch", options.batch, most_step_tokens / (options.context + options.tokens));
  Reformer model(benchmark_config(options.model, options.context + options.tokens));
  model.to(options.model.device);
  const std::optional<DType> dtype = detail::autocast_of(options.model.dtype, "bench");
  if (dtype) nn::round_linears(model, *dtype);
  const Autocast scope(dtype);
  Generator generator(1);
  std::vector<std::vector<int64_t>> prompts;
  for (int64_t row = 0; row < options.batch; ++row) {
    prompts.push_back(
        randint({options.context}, first_token, end_of_tokens, generator).to_vector<int64_t>());
  }
  GenerationBenchmark result;
  Clock::time_point start = Clock::now();
  bool first = true;
  generate(model, prompts,
           {.tokens = options.tokens,
            .temperature = 0,
            .range = {first_token, end_of_tokens - first_token},
            .cache = options.cache},
           generator, [&](int64_t, int64_t) {
             if (std::exchange(first, false)) {
               result.prompt_seconds = seconds_since(start);
               start = Clock::now();
             }
             return true;
           });
  result.rest_seconds = seconds_since(start);
  result.tokens_per_second =
      static_cast<double>(options.batch * (options.tokens - 1)) / result.rest_seconds;
  return result;
}

std::string to_json(const GenerationBenchmarkOptions& options, const GenerationBenchmark& result) {
  nlohmann::ordered_json json = model_json(options.model);
  json["context"] = options.context;
  json["batch"] = options.batch;
  json["cache"] = options.cache;
  json["prompt_seconds"] = result.prompt_seconds;
  json["tokens_per_second"] = result.tokens_per_second;
  return json.dump();
}

}  // namespace tenet
