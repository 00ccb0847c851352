/// Training a Reformer on bytes, with checkpoints from which a run goes on to the same bits.
#pragma once

#include <tenet/core/device.h>
#include <tenet/models/byte_text.h>
#include <tenet/models/reformer_config.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <string>

namespace tenet {

/// The most bytes of one sequence, and of one step.
inline constexpr int64_t most_step_tokens = int64_t{1} << 40;

/// What train() does.
struct TrainOptions {
  ReformerConfig config;  // of a new model
  std::string text;       // a file; empty is the framework's own source tree
  std::string out;        // the checkpoint folder
  bool resume =
      false;  // go on from `out`; config and everything but steps and minutes come from there
  int64_t steps = 0;               // of the whole run; 0 means that `minutes` ends it
  double minutes = 0;              // of this call; 0 means that `steps` ends it
  int64_t batch = 1;               // sequences per step
  int64_t length = 1024;           // bytes per sequence
  bool graph = false;              // on a GPU: each step's work as one CUDA graph (WorkGraph)
  Device device = Device::cpu();   // where it trains
  std::string dtype = "f32";       // of products and attention: f32, bf16 or f16 (Autocast)
  std::string optimizer = "adam";  // adam, adamw, adafactor or sgd
  double learning_rate = 1e-3;     // the highest of the schedule
  int64_t warmup = 100;            // steps
  std::string schedule =
      "";  // constant, inverse_sqrt or cosine; empty: cosine with steps, else inverse_sqrt
  double clip = 1.0;           // global gradient norm; 0 switches clipping off
  int64_t evaluate_every = 0;  // steps; 0 chooses
  int64_t save_every = 0;      // steps; 0: with every evaluation
  bool reversible = true;      // false keeps every activation; the results are the same
  uint64_t seed = 0;           // of the batches and dropout
};

/// Where a run ended.
struct TrainResult {
  int64_t step = 0, tokens_seen = 0, skipped_steps = 0;  // of the whole run
  double bits_per_byte = 0;                              // training, smoothed
  double valid_bits_per_byte = 0;  // whole held-out part at the end; 0 if interrupted
  bool interrupted = false;        // `stop` was set
};

/// Trains until options.steps or options.minutes, or until `stop` is set; then saves. Writes
/// config.json, model.safetensors, optimizer.safetensors and state.json (as one atomic set),
/// metrics.jsonl, loss.svg and loss.png to options.out, and progress to `log`. Step s of a run
/// depends on (seed, s, weights) alone. `stop` also cuts the evaluation at the end short. Errors:
/// the text, the folder (which must hold no checkpoint unless it is resumed), the configuration; a
/// non-finite forward value, with the layer's path; ten non-finite gradients in a row; weights that
/// are not finite when they are to be saved. The last checkpoint stays valid.
TrainResult train(TrainOptions options, const std::atomic<bool>& stop, std::FILE* log);

}  // namespace tenet
