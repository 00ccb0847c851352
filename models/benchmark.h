/// Time and memory of a training step and of generation, for `reformer bench`.
#pragma once

#include <tenet/core/device.h>
#include <tenet/models/reformer_config.h>

#include <cstdint>
#include <string>
#include <vector>

namespace tenet {

/// The byte model that is measured. Chunk is the window of attention; buckets follow from it and
/// the length.
struct BenchmarkModel {
  int64_t layers = 6, d_model = 256, heads = 4, d_ff = 1024, hashes = 4, chunk = 64;
  std::string attention = "lsh";   // "lsh", "local", "full", or several, in turn
  std::string residual = "exact";  // or "float"
  std::string dtype = "f32";       // of products: f32, bf16 or f16
  Device device = Device::cpu();   // where it runs
};

/// Of sequences of up to `length` tokens. Error: a size that no model has.
ReformerConfig benchmark_config(const BenchmarkModel& model, int64_t length);

/// What a step is, and how often it is taken.
struct StepBenchmarkOptions {
  BenchmarkModel model = {};         // what is trained
  int64_t length = 4096, batch = 1;  // random bytes
  int64_t steps = 3;                 // timed ones, after one that is not; 0: that one counts
  bool reversible = true;            // else activations are kept
  bool graph = false;                // on a GPU: a step's work as one CUDA graph (WorkGraph)
  bool profile = false;              // one more step, traced; on the CPU only
};

/// What one kernel, or all work between kernels, took of a step.
struct ProfileLine {
  std::string name;    // of the kernel; "between kernels" for the rest
  int64_t calls = 0;   // in the step
  double seconds = 0;  // all calls together
};

/// Forward, backward and Adam.
struct StepBenchmark {
  std::vector<double> seconds;        // of each timed step
  double step_seconds = 0;            // their median
  double tokens_per_second = 0;       // batch * length / step_seconds
  int64_t peak_bytes = 0;             // of tensors: parameters, gradients, optimizer and the rest
  int64_t activation_peak_bytes = 0;  // of activations and workspace
  int64_t reserved_bytes = 0;         // taken from the system for tensors
  /// The process: after a first step at length 64, its high-water mark after it, and what lies
  /// between; 0 where the system does not tell.
  int64_t idle_rss_bytes = 0, peak_rss_bytes = 0, rss_above_idle_bytes = 0;
  int64_t releases = 0, rebuilds = 0;  // of a step: inputs that reversible nodes freed and rebuilt
  double dense_flops = 0;              // of a step's products with weights
  std::vector<ProfileLine> profile;    // the slowest first
};

/// Measures steps. Errors: those of the configuration, sizes out of range, a profile of a GPU.
StepBenchmark benchmark_step(const StepBenchmarkOptions& options);

/// The floating-point operations of a training step's products with weights: two for each weight
/// and token in the forward pass, as many where it is run again, twice as many in the backward
/// pass.
double dense_flops(const ReformerConfig& config, int64_t tokens, bool reversible);

/// The profile as a table with shares, and the rate of dense products; empty without a profile.
std::string profile_table(const StepBenchmark& result);

/// One line of JSON.
std::string to_json(const StepBenchmarkOptions& options, const StepBenchmark& result);

/// How much is drawn after how long a prompt.
struct GenerationBenchmarkOptions {
  BenchmarkModel model = {.attention = "local,lsh"};  // what draws
  int64_t context = 1024, batch = 1, tokens = 64;     // of the prompt; rows; to draw
  bool cache = true;                                  // else everything is evaluated for each token
};

/// Seconds until the first token, and of all that follow.
struct GenerationBenchmark {
  double prompt_seconds = 0, rest_seconds = 0;
  double tokens_per_second = 0;  // batch * (tokens - 1) / rest_seconds
};

/// Draws greedily after random prompts. Errors: fewer than 2 tokens, sizes out of range.
GenerationBenchmark benchmark_generation(const GenerationBenchmarkOptions& options);

/// One line of JSON.
std::string to_json(const GenerationBenchmarkOptions& options, const GenerationBenchmark& result);

}  // namespace tenet
