/// Thread-local switches that say whether and how ops enter the graph.
#pragma once

#include <tenet/core/dtype.h>

#include <optional>

namespace tenet {

namespace detail {

class CaptureList;

/// What record() consults. With `captures` set, every input that needs a gradient is noted there.
struct GradMode {
  bool enabled = true;
  CaptureList* captures = nullptr;
};
GradMode& grad_mode();

/// Sets the mode while it lives.
class GradModeScope {
 public:
  explicit GradModeScope(GradMode mode);
  ~GradModeScope();
  GradModeScope(const GradModeScope&) = delete;
  GradModeScope& operator=(const GradModeScope&) = delete;

 private:
  GradMode previous_;
};

}  // namespace detail

/// No op enters the graph on this thread while it lives.
struct NoGrad : detail::GradModeScope {
  NoGrad() : GradModeScope({.enabled = false}) {}
};

/// Ops enter the graph on this thread while it lives, even inside a NoGrad.
struct EnableGrad : detail::GradModeScope {
  EnableGrad() : GradModeScope({.enabled = true, .captures = detail::grad_mode().captures}) {}
};

/// Whether ops enter the graph on this thread now.
bool grad_enabled();

/// While it lives on this thread, every op's result and every gradient is checked: the first
/// non-finite value is an Error that names the op, its inputs and what made them, and exact
/// reversible functions verify what they rebuild.
class Anomaly {
 public:
  Anomaly();
  ~Anomaly();
  Anomaly(const Anomaly&) = delete;
  Anomaly& operator=(const Anomaly&) = delete;

 private:
  bool previous_;
};

/// Whether an Anomaly lives on this thread.
bool anomaly_enabled();

/// While it lives on this thread, matrix products, convolutions and attention take f32 inputs in
/// `dtype` (bf16 or f16) and accumulate in f32. Everything else keeps its types.
class Autocast {
 public:
  /// nullopt switches it off while it lives.
  explicit Autocast(std::optional<DType> dtype);
  ~Autocast();
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  std::optional<DType> previous_;
};

/// The type of the innermost Autocast on this thread; empty if none is on.
std::optional<DType> autocast_dtype();

}  // namespace tenet
