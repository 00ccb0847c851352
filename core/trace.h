/// Tracing: what ran when, and what memory it took.
///
/// Note [Trace]: a Trace sees the thread that made it, while it lives or until stop(). It is told
/// of every op, kernel call, backward node and buffer by the engine itself, at the places where
/// each passes anyway: no op knows of it. The time of an op is that from the allocation of its
/// result to its entry into the graph; views take no time and count as 0.
#pragma once

#include <tenet/core/detail/trace_hook.h>
#include <tenet/core/device.h>
#include <tenet/core/shape.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tenet::detail {
struct TraceHooks;
}  // namespace tenet::detail

/// What ran when, with how much memory.
namespace tenet::trace {

/// "op", "replay", ...
const char* to_string(Kind kind);

/// Work with a beginning and an end; spans of one thread nest. Times are microseconds since the
/// trace began, bytes those of activations and workspace.
struct Span {
  Kind kind = Kind::op;                     // what ran
  std::string name;                         // of the op, kernel, function or scope
  std::string detail = {};                  // an op's results: "f32 (2, 3)"
  double begin = 0, end = 0;                // in microseconds
  int64_t live_before = 0, live_after = 0;  // bytes in use
  int64_t peak = 0;                         // the most bytes in use in between
  int64_t node = -1;      // the number of its node, as graph::label() has it; -1 outside the graph
  bool replayed = false;  // inside the second run of a reversible or checkpointed function
};

/// The bytes of an input of a reversible node: gone, or back.
struct Mark {
  bool rebuilt = false;  // else freed
  std::string node;      // the function's name
  Shape shape;           // of the input
  int64_t bytes = 0;     // its size
  double time = 0;       // in microseconds
};

/// Live bytes after a buffer came or went.
struct Sample {
  double time = 0;  // in microseconds
  /// Bytes in use; other: of parameters, gradients and optimizers.
  int64_t activation = 0, workspace = 0, other = 0;

  /// What reversibility keeps flat.
  int64_t working() const { return activation + workspace; }
};

/// What a Trace records.
struct Options {
  Device device = Device::cpu();  // whose memory is watched
  int64_t limit = 5'000'000;      // spans, marks and samples together; what comes later is counted
};

/// How save_svg() draws.
struct PictureOptions {
  std::string title = "Memory over time";  // above the picture
};

/// Records until stop(). Made by record(); neither copied nor moved.
class Trace {
 public:
  /// Begins to record. Error: this thread records already.
  explicit Trace(Options options);
  ~Trace();
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  /// Ends the recording; what was recorded stays.
  void stop();

  /// In the order of their ends, those that lie inside others first.
  const std::vector<Span>& spans() const { return spans_; }
  /// In the order of time.
  const std::vector<Mark>& marks() const { return marks_; }
  /// One for each buffer that came or went, in the order of time.
  const std::vector<Sample>& samples() const { return samples_; }
  /// How many more there were than options.limit.
  int64_t dropped() const { return dropped_; }
  /// A number for the thread: 1 for the first that traced.
  int thread() const { return thread_; }

  /// Times and bytes by kind and name, the slowest first.
  std::string to_string() const;
  /// Chrome's trace format, for https://ui.perfetto.dev or chrome://tracing: spans as complete
  /// events, marks as instants, bytes as a counter. The file is replaced atomically. Error: it
  /// cannot be written.
  void save_json(const std::string& path) const;
  /// The bytes of activations and workspace over time as an SVG picture, with what reversible
  /// nodes freed and rebuilt. Error: it cannot be written.
  void save_svg(const std::string& path, const PictureOptions& options = {}) const;

 private:
  friend struct detail::TraceHooks;

  struct Allocation {
    const std::byte* data;
    double time;
    int64_t live_before;
    size_t sample;  // the first after it
  };

  double now() const;
  bool has_room();
  Sample sample_now() const;
  void begin(Kind kind, std::string_view name, const Node* node);
  void end();
  /// An op whose result lies at `bytes`; null if it is a view.
  void add_op(Span span, const std::byte* bytes);
  void add_mark(bool rebuilt, std::string_view node, const Shape& shape, int64_t bytes);
  void add_sample(const std::byte* data);

  Options options_;
  int thread_;
  double start_;  // of a steady clock, in microseconds
  std::vector<Span> spans_, open_;
  std::vector<Mark> marks_;
  std::vector<Sample> samples_;
  std::vector<Allocation> allocations_;  // the latest
  int64_t last_live_ = 0;
  int64_t dropped_ = 0;
};

/// Records what this thread does while the result lives:
///
///     auto trace = trace::record();
///     backward(loss(model(x)));
///     trace.save_json("step.json");
///     trace.save_svg("step.svg");
///
/// Error: this thread records already.
inline Trace record(Options options = {}) { return Trace(options); }

/// Names what happens while it lives. Reversible stacks name their blocks by themselves.
class Scope {
 public:
  /// Begins a span of this name.
  explicit Scope(std::string_view name) : span_(Kind::scope, name) {}

 private:
  detail::TraceSpan span_;
};

/// One picture of several.
struct Panel {
  std::string title;   // above it
  const Trace* trace;  // not owned
};
/// Several traces below each other with the same scales, for comparison. Error: it cannot be
/// written.
void save_svg(const std::string& path, const std::vector<Panel>& panels);

}  // namespace tenet::trace
