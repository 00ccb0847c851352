/// How the engine reports to a trace. Where none records, each report is one test of a
/// thread-local pointer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tenet {

class Node;
class Tensor;
struct Device;
class Shape;

namespace trace {

class Trace;

/// What a span of a trace is.
enum class Kind : uint8_t {
  scope,       // a trace::Scope
  op,          // an op, forward; also inside backward passes
  kernel,      // one call of a kernel
  reversible,  // the forward of a reversible or checkpointed function
  replay,      // its second run: what was freed is rebuilt, and differentiated
  walk,        // a backward pass
  backward     // the backward() of one node
};

}  // namespace trace

namespace detail {

/// The trace that records on this thread, or null.
extern constinit thread_local trace::Trace* tracer;

/// Work that lasts while it lives.
class TraceSpan {
 public:
  explicit TraceSpan(trace::Kind kind, std::string_view name, const Node* node = nullptr)
      : trace_(tracer) {
    if (trace_) [[unlikely]]
      begin(kind, name, node);
  }
  ~TraceSpan() {
    if (trace_) [[unlikely]]
      end();
  }
  TraceSpan(const TraceSpan&) = delete;
  TraceSpan& operator=(const TraceSpan&) = delete;

 private:
  void begin(trace::Kind kind, std::string_view name, const Node* node) noexcept;
  void end() noexcept;

  trace::Trace* trace_;
};

/// These may be called only while `tracer` is set.
///
/// An op has been run: it began when the bytes of its first output were allocated, or just now if
/// the outputs are views of inputs.
void trace_op(std::string_view name, Tensor* const* outputs, size_t output_count,
              const Tensor* const* inputs, size_t input_count, const Node* node) noexcept;
/// A buffer came (`data`), went (null) or changed its category.
void trace_memory(const std::byte* data, const Device& device) noexcept;
/// An input of a reversible node was freed, or is back.
void trace_release(std::string_view node, const Shape& shape, int64_t bytes) noexcept;
void trace_rebuild(std::string_view node, const Shape& shape, int64_t bytes) noexcept;

}  // namespace detail
}  // namespace tenet
