/// What a training step will need, before it runs.
#pragma once

#include <tenet/core/dtype.h>
#include <tenet/models/reformer_config.h>

#include <cstdint>
#include <string>
#include <vector>

namespace tenet {

/// A moment of the step at which the most bytes may be in use, beside parameters and optimizer.
struct MemoryMoment {
  std::string name;
  int64_t gradients = 0;    // of parameters, that are there already
  int64_t activations = 0;  // streams, what the graph keeps, and what is being computed
  int64_t workspace = 0;    // of kernels

  int64_t bytes() const { return gradients + activations + workspace; }
};

/// Bytes at the peak of a training step: forward, backward, optimizer, then gradients dropped.
struct MemoryPlan {
  int64_t parameters = 0, optimizer = 0;
  std::vector<MemoryMoment> moments;  // in the step's order, of each kind the fullest

  const MemoryMoment& fullest() const;
  int64_t total() const { return parameters + optimizer + fullest().bytes(); }
};

/// The step that is planned.
struct MemoryPlanOptions {
  int64_t batch = 1, length = 0;  // tokens of a step
  DType dtype = DType::f32;       // of products: f32, bf16 or f16
  bool reversible = true;         // else activations are kept
  double optimizer_floats = 2;    // per parameter: 2 for Adam, about 0 for Adafactor and SGD
};

/// Within 10 % of what a step of 256 tokens or more takes with preset windowed, all positions used;
/// an estimate for others. `parameters` is the model's count.
MemoryPlan plan_memory(const ReformerConfig& config, int64_t parameters,
                       const MemoryPlanOptions& options);

/// The plan as a table.
std::string to_string(const MemoryPlan& plan);

}  // namespace tenet
