/// What a training step will need, before it runs.
#pragma once

#include <tenet/models/reformer_config.h>

#include <cstdint>
#include <string>

namespace tenet {

/// Bytes at the peak of a training step.
struct MemoryPlan {
  /// Of one f32 number per parameter, for the optimizer of optimizer_floats.
  int64_t parameters = 0, gradients = 0, optimizer = 0;
  int64_t streams = 0;  // the two residual streams and their gradients
  /// Activations kept for the backward pass: of one layer if reversible, else of all.
  int64_t layers = 0;
  int64_t head = 0;       // final norm and chunked cross-entropy
  int64_t total() const;  // the head's and the layers' peaks are not at the same time
};

/// `optimizer_floats` numbers of state per parameter: 2 for Adam, about 0 for Adafactor and SGD.
MemoryPlan plan_memory(const ReformerConfig& config, int64_t parameters, int64_t batch,
                       int64_t length, bool reversible = true, double optimizer_floats = 2);

/// The plan as a table.
std::string to_string(const MemoryPlan& plan);

}  // namespace tenet
