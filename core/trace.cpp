#include <tenet/core/error.h>
#include <tenet/core/memory.h>
#include <tenet/core/node.h>
#include <tenet/core/replay.h>
#include <tenet/core/trace.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <utility>

namespace tenet {
namespace {

int thread_number() {
  static std::atomic<int> threads{0};
  thread_local const int number = ++threads;
  return number;
}

/// Microseconds of a clock that never goes back.
double clock_now() {
  using Microseconds = std::chrono::duration<double, std::micro>;
  return Microseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Runs `report`; what cannot be stored is left out, since nothing may throw where it is called.
template <class Report>
void quietly(Report&& report) noexcept {
  try {
    report();
  } catch (...) {
  }
}

}  // namespace

namespace detail {

constinit thread_local trace::Trace* tracer = nullptr;

/// The hooks' way into a Trace.
struct TraceHooks {
  static void begin(trace::Kind kind, std::string_view name, const Node* node) {
    tracer->begin(kind, name, node);
  }
  static void end() { tracer->end(); }
  static void op(trace::Span span, const std::byte* bytes) {
    tracer->add_op(std::move(span), bytes);
  }
  static void mark(bool rebuilt, std::string_view node, const Shape& shape, int64_t bytes) {
    tracer->add_mark(rebuilt, node, shape, bytes);
  }
  static void memory(const std::byte* data, Device device) {
    if (device == tracer->options_.device) tracer->add_sample(data);
  }
};

void TraceSpan::begin(trace::Kind kind, std::string_view name, const Node* node) noexcept {
  quietly([&] { TraceHooks::begin(kind, name, node); });
}

void TraceSpan::end() noexcept {
  if (tracer == trace_) quietly([] { TraceHooks::end(); });
}

void trace_op(std::string_view name, Tensor* const* outputs, size_t output_count,
              const Tensor* const* inputs, size_t input_count, const Node* node) noexcept {
  quietly([&] {
    trace::Span span{.kind = trace::Kind::op, .name = std::string(name)};
    for (size_t i = 0; i < output_count; ++i) {
      span.detail +=
          fmt::format("{}{} {}", i > 0 ? ", " : "", outputs[i]->dtype(), outputs[i]->shape());
    }
    if (node) span.node = static_cast<int64_t>(node->sequence());
    const Storage* result = output_count > 0 ? outputs[0]->body().storage.get() : nullptr;
    for (size_t i = 0; i < input_count; ++i) {
      if (inputs[i]->defined() && inputs[i]->body().storage.get() == result) result = nullptr;
    }
    TraceHooks::op(std::move(span), result ? result->data() : nullptr);
  });
}

void trace_memory(const std::byte* data, const Device& device) noexcept {
  quietly([&] { TraceHooks::memory(data, device); });
}

void trace_release(std::string_view node, const Shape& shape, int64_t bytes) noexcept {
  quietly([&] { TraceHooks::mark(false, node, shape, bytes); });
}

void trace_rebuild(std::string_view node, const Shape& shape, int64_t bytes) noexcept {
  quietly([&] { TraceHooks::mark(true, node, shape, bytes); });
}

}  // namespace detail

namespace trace {

const char* to_string(Kind kind) {
  constexpr const char* names[] = {"scope",  "op",   "kernel",  "reversible",
                                   "replay", "walk", "backward"};
  return names[static_cast<size_t>(kind)];
}

Trace::Trace(Options options) : options_(options), thread_(thread_number()), start_(clock_now()) {
  check(detail::tracer == nullptr, "trace: this thread records already; stop() the other trace");
  check(options.limit > 0, "trace: limit is {}; it must be positive", options.limit);
  samples_.push_back(sample_now());
  last_live_ = samples_[0].working();
  detail::tracer = this;
}

Trace::~Trace() { stop(); }

void Trace::stop() {
  if (detail::tracer != this) return;
  while (!open_.empty()) end();
  detail::tracer = nullptr;
}

double Trace::now() const { return clock_now() - start_; }

bool Trace::has_room() {
  const size_t used = spans_.size() + marks_.size() + samples_.size();
  if (static_cast<int64_t>(used) < options_.limit) return true;
  ++dropped_;
  return false;
}

Sample Trace::sample_now() const {
  using memory::Category;
  const auto live = [this](Category category) {
    return memory::stats(options_.device, category).live;
  };
  const int64_t activation = live(Category::activation), workspace = live(Category::workspace);
  return {now(), activation, workspace, live(Category::all) - activation - workspace};
}

void Trace::begin(Kind kind, std::string_view name, const Node* node) {
  const Sample sample = sample_now();
  open_.push_back({.kind = kind,
                   .name = std::string(name),
                   .begin = sample.time,
                   .live_before = sample.working(),
                   .peak = sample.working(),
                   .node = node ? static_cast<int64_t>(node->sequence()) : -1,
                   .replayed = replaying()});
}

void Trace::end() {
  if (open_.empty()) return;  // begun before the trace
  Span span = std::move(open_.back());
  open_.pop_back();
  const Sample sample = sample_now();
  span.end = sample.time;
  span.live_after = sample.working();
  span.peak = std::max(span.peak, span.live_after);
  if (!open_.empty()) open_.back().peak = std::max(open_.back().peak, span.peak);
  // Only what the running code allocates may become an op's result: spans nest.
  while (!allocations_.empty() && allocations_.back().time >= span.begin) allocations_.pop_back();
  if (has_room()) spans_.push_back(std::move(span));
}

void Trace::add_op(Span span, const std::byte* bytes) {
  const Sample sample = sample_now();
  span.begin = span.end = sample.time;
  span.live_before = span.live_after = span.peak = sample.working();
  span.replayed = replaying();
  const auto made = std::find_if(allocations_.rbegin(), allocations_.rend(),
                                 [&](const Allocation& a) { return a.data == bytes; });
  if (bytes && made != allocations_.rend()) {
    span.begin = open_.empty() ? made->time : std::max(made->time, open_.back().begin);
    span.live_before = made->live_before;
    for (size_t i = made->sample; i < samples_.size(); ++i) {
      span.peak = std::max(span.peak, samples_[i].working());
    }
  }
  if (has_room()) spans_.push_back(std::move(span));
}

void Trace::add_mark(bool rebuilt, std::string_view node, const Shape& shape, int64_t bytes) {
  if (has_room()) marks_.push_back({rebuilt, std::string(node), shape, bytes, now()});
}

void Trace::add_sample(const std::byte* data) {
  const Sample sample = sample_now();
  if (data) {
    constexpr size_t remembered = 1024;
    if (allocations_.size() == 2 * remembered) {
      allocations_.erase(allocations_.begin(), allocations_.begin() + remembered);
    }
    allocations_.push_back({data, sample.time, last_live_, samples_.size()});
  }
  last_live_ = sample.working();
  if (!open_.empty()) open_.back().peak = std::max(open_.back().peak, sample.working());
  if (has_room()) samples_.push_back(sample);
}

}  // namespace trace
}  // namespace tenet
