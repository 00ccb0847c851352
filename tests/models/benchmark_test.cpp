/// Measurements of steps and of generation on tiny models.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <tenet/core/parallel.h>
#include <tenet/models/benchmark.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "scratch_folder.h"

using namespace tenet;

namespace {

BenchmarkModel tiny_model() {
  return {.layers = 2, .d_model = 32, .heads = 2, .d_ff = 64, .hashes = 2, .chunk = 16};
}

StepBenchmarkOptions tiny_step() {
  return {.model = tiny_model(), .length = 64, .batch = 2, .steps = 3};
}

}  // namespace

TEST_CASE("a benchmark's step: times, memory and profile") {
  StepBenchmarkOptions options = tiny_step();
  options.profile = true;
  const StepBenchmark r = benchmark_step(options);
  REQUIRE(r.seconds.size() == 3);
  std::vector<double> sorted = r.seconds;
  std::sort(sorted.begin(), sorted.end());
  CHECK(sorted[0] > 0);
  CHECK(r.step_seconds == sorted[1]);
  CHECK(r.tokens_per_second == doctest::Approx(128 / r.step_seconds));
  // Parameters, gradients and Adam's two moments: the head alone has 64 x 258 weights.
  CHECK(r.peak_bytes > 4 * 64 * 258 * 4);
  CHECK(r.activation_peak_bytes > 0);
  CHECK(r.activation_peak_bytes < r.peak_bytes);
#if !defined(TENET_SANITIZE)  // under the sanitizers every buffer is an allocation of its own
  CHECK(r.reserved_bytes > 0);
#endif
  CHECK(r.peak_rss_bytes - r.idle_rss_bytes == r.rss_above_idle_bytes);
  CHECK(r.releases > 0);
  CHECK(r.rebuilds > 0);
  REQUIRE(!r.profile.empty());
  double total = 0;
  int64_t products = 0;
  for (size_t i = 0; i < r.profile.size(); ++i) {
    const ProfileLine& line = r.profile[i];
    total += line.seconds;
    if (line.name == "matmul") products = line.calls;
    CHECK(line.calls >= 1);
    CHECK(line.seconds >= 0);
    if (i > 0) CHECK(line.seconds <= r.profile[i - 1].seconds);
    for (size_t j = 0; j < i; ++j) CHECK(line.name != r.profile[j].name);
  }
  // Each of 2 layers has 5 products with weights, run twice, and differentiated by two.
  CHECK(products >= 2 * 5 * 4);
  CHECK(total > 0);
  CHECK(total < 100 * r.step_seconds);
  const std::string table = profile_table(r);
  CHECK(table.starts_with("kernel "));
  CHECK(table.find("matmul") != std::string::npos);
  CHECK(table.find("between kernels") != std::string::npos);
  CHECK(table.find(" GFLOP/s\n") != std::string::npos);
  CHECK(std::count(table.begin(), table.end(), '\n') == std::ssize(r.profile) + 1);
}

TEST_CASE("a benchmark's step with activations kept") {
  StepBenchmarkOptions options = tiny_step();
  options.steps = 2;
  options.reversible = false;
  const StepBenchmark r = benchmark_step(options);
  REQUIRE(r.seconds.size() == 2);
  CHECK(r.step_seconds == (r.seconds[0] + r.seconds[1]) / 2);
  CHECK(r.releases == 0);
  CHECK(r.rebuilds == 0);
  CHECK(r.profile.empty());
  CHECK(profile_table(r).empty());
  CHECK(r.dense_flops == 23691264);
}

TEST_CASE("a benchmark of no further step counts the first") {
  StepBenchmarkOptions options = tiny_step();
  options.steps = 0;
  const StepBenchmark r = benchmark_step(options);
  REQUIRE(r.seconds.size() == 1);
  CHECK(r.step_seconds > 0);
  CHECK(r.step_seconds == r.seconds[0]);
  CHECK(r.tokens_per_second == 2 * 64 / r.step_seconds);
  CHECK(r.releases > 0);
}

TEST_CASE("operations of products with weights, by hand") {
  BenchmarkModel model = tiny_model();
  // LSH: 3 matrices of 32 x 32 and 2 of 32 x 64 a layer; the head 64 x 258.
  const ReformerConfig lsh = benchmark_config(model, 64);
  const double layers = 2 * (3 * 32 * 32 + 2 * 32 * 64), head = 64 * 258;
  CHECK(dense_flops(lsh, 128, true) == 2 * 128 * (4 * layers + 3 * head));
  CHECK(dense_flops(lsh, 128, true) == 27361280);
  CHECK(dense_flops(lsh, 128, false) == 23691264);
  model.attention = "local,lsh";  // local: 4 matrices
  CHECK(dense_flops(benchmark_config(model, 64), 128, true) == 28409856);
}

TEST_CASE("the benchmark's model") {
  BenchmarkModel model = tiny_model();
  model.attention = "local,lsh,full";
  model.layers = 4;
  model.residual = "float";
  const ReformerConfig config = benchmark_config(model, 128);
  config.validate();
  using enum AttentionKind;
  CHECK(config.attn_layers == std::vector{local, lsh, full, local});
  CHECK(config.hidden_size == 32);
  CHECK(config.num_attention_heads == 2);
  CHECK(config.attention_head_size == 16);
  CHECK(config.feed_forward_size == 64);
  CHECK(config.local_attn_chunk_length == 16);
  CHECK(config.lsh_attn_chunk_length == 16);
  CHECK(config.num_buckets == std::vector<int64_t>{16});  // 2 * 128 / 16
  CHECK(config.num_hashes == 2);
  CHECK(config.residual == "float");
  CHECK(config.max_position_embeddings == 128);
}

TEST_CASE("a benchmark's result as JSON") {
  StepBenchmarkOptions options = tiny_step();
  options.model.dtype = "bf16";
  options.reversible = false;
  const StepBenchmark result{.seconds = {0.5, 0.25, 1},
                             .step_seconds = 0.5,
                             .tokens_per_second = 256,
                             .peak_bytes = 1000,
                             .activation_peak_bytes = 600,
                             .reserved_bytes = 2000,
                             .idle_rss_bytes = 300,
                             .peak_rss_bytes = 5000,
                             .rss_above_idle_bytes = 4700,
                             .releases = 4,
                             .rebuilds = 3,
                             .dense_flops = 1e9,
                             .profile = {{"matmul", 7, 0.125}}};
  const std::string text = to_json(options, result);
  CHECK(text.find('\n') == std::string::npos);
  const nlohmann::json expected = {
      {"layers", 2},
      {"d_model", 32},
      {"heads", 2},
      {"d_ff", 64},
      {"attention", "lsh"},
      {"hashes", 2},
      {"chunk", 16},
      {"residual", "exact"},
      {"device", "cpu"},
      {"dtype", "bf16"},
      {"threads", num_threads()},
      {"length", 64},
      {"batch", 2},
      {"reversible", "off"},
      {"tokens_per_second", 256},
      {"step_seconds", 0.5},
      {"all_step_seconds", {0.5, 0.25, 1}},
      {"peak_bytes", 1000},
      {"activation_peak_bytes", 600},
      {"reserved_bytes", 2000},
      {"peak_rss_bytes", 5000},
      {"idle_rss_bytes", 300},
      {"rss_above_idle_bytes", 4700},
      {"releases", 4},
      {"rebuilds", 3},
      {"dense_flops", 1e9},
      {"profile", nlohmann::json::array({{{"name", "matmul"}, {"calls", 7}, {"seconds", 0.125}}})}};
  CHECK(nlohmann::json::parse(text) == expected);
}

TEST_CASE("a benchmark of generation") {
  GenerationBenchmarkOptions options{.model = tiny_model(), .context = 20, .batch = 2, .tokens = 5};
  for (const bool cache : {true, false}) {
    options.cache = cache;
    const GenerationBenchmark r = benchmark_generation(options);
    CHECK(r.prompt_seconds > 0);
    CHECK(r.rest_seconds > 0);
    CHECK(r.tokens_per_second == doctest::Approx(2 * 4 / r.rest_seconds));
    const auto json = nlohmann::json::parse(to_json(options, r));
    CHECK(json["context"] == 20);
    CHECK(json["batch"] == 2);
    CHECK(json["cache"] == cache);
    CHECK(json["prompt_seconds"] == r.prompt_seconds);
    CHECK(json["tokens_per_second"] == r.tokens_per_second);
  }
}

TEST_CASE("errors of benchmarks") {
  const auto step = [](auto change) {
    StepBenchmarkOptions options = tiny_step();
    change(options);
    return error_of([&] { benchmark_step(options); });
  };
  using Options = StepBenchmarkOptions;
  CHECK(step([](Options& o) { o.steps = -1; }) ==
        "bench: -1 timed steps; 0, where the first counts, is the least");
  CHECK(step([](Options& o) { o.batch = 0; }) == "bench: batch is 0; it must be in 1..17179869184");
  for (const int64_t length : {int64_t{-1}, INT64_MAX}) {
    CHECK(step([&](Options& o) { o.length = length; }) ==
          fmt::format("bench: length is {}; it must be in 1..1099511627776", length));
  }
  CHECK(step([](Options& o) { o.model.layers = 10'000'000'000; }) ==
        "bench: layers is 10000000000; it must be in 1..100000");
  CHECK(step([](Options& o) { o.model.heads = 3; }) ==
        "config: 3 heads do not divide a width of 32");
  CHECK(step([](Options& o) { o.model.attention = "lsh,dense"; }) ==
        "config: attention \"dense\"; use lsh, local or full");
  CHECK(step([](Options& o) { o.model.dtype = "f64"; }) ==
        "bench: dtype \"f64\"; use f32, bf16 or f16");
  CHECK(step([](Options& o) { o.model.residual = "fixed"; }) ==
        "config: \"tenet.residual\" is \"fixed\"; use \"exact\" or \"float\"");
  CHECK(error_of([] { benchmark_generation({.model = tiny_model(), .tokens = 1}); }) ==
        "bench: 1 tokens to draw; at least 2 are needed");
  CHECK(error_of([] { benchmark_generation({.model = tiny_model(), .context = INT64_MAX}); }) ==
        "bench: context is 9223372036854775807; it must be in 1..1099511627776");
  CHECK(error_of([] {
          benchmark_generation(
              {.model = tiny_model(), .context = 62, .batch = INT64_MAX, .tokens = 2});
        }) == "bench: batch is 9223372036854775807; it must be in 1..17179869184");
}
