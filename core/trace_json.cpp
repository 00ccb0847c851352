#include <tenet/core/atomic_file.h>
#include <tenet/core/trace.h>
#include <unistd.h>

#include <cmath>

#include <nlohmann/json.hpp>

namespace tenet::trace {
namespace {

using Json = nlohmann::json;

double rounded(double microseconds) { return std::round(microseconds * 1000) / 1000; }

/// Collects events and passes them on in large pieces.
class EventWriter {
 public:
  EventWriter(const ByteSink& sink, int thread) : sink_(sink), thread_(thread) {}

  void operator()(const char* phase, const std::string& name, Json event) {
    event["ph"] = phase;
    event["name"] = name;
    event["pid"] = ::getpid();
    event["tid"] = thread_;
    text_ += first_ ? "" : ",\n";
    first_ = false;
    text_ += event.dump(-1, ' ', false, Json::error_handler_t::replace);
    if (text_.size() > 1 << 16) flush();
  }
  void flush() {
    sink_(text_);
    text_.clear();
  }

 private:
  const ByteSink& sink_;
  int thread_;
  std::string text_;
  bool first_ = true;
};

Json arguments(const Span& span) {
  Json args{
      {"live_before", span.live_before}, {"live_after", span.live_after}, {"peak", span.peak}};
  if (!span.detail.empty()) args["result"] = span.detail;
  if (span.node >= 0) args["node"] = span.node;
  if (span.replayed) args["replayed"] = true;
  return args;
}

}  // namespace

void Trace::save_json(const std::string& path) const {
  atomic_write(path, [&](const ByteSink& sink) {
    sink("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n");
    EventWriter write(sink, thread_);
    write("M", "process_name", {{"args", {{"name", "tenet"}}}});
    for (const Span& span : spans_) {
      write("X", span.name,
            {{"cat", trace::to_string(span.kind)},
             {"ts", rounded(span.begin)},
             {"dur", rounded(span.end - span.begin)},
             {"args", arguments(span)}});
    }
    for (const Mark& mark : marks_) {
      write("i", mark.rebuilt ? "rebuilt" : "freed",
            {{"cat", "reversible"},
             {"s", "t"},
             {"ts", rounded(mark.time)},
             {"args",
              {{"function", mark.node},
               {"shape", tenet::to_string(mark.shape)},
               {"bytes", mark.bytes}}}});
    }
    for (const Sample& sample : samples_) {
      write("C", "live bytes",
            {{"ts", rounded(sample.time)},
             {"args",
              {{"activations", sample.activation},
               {"workspace", sample.workspace},
               {"other", sample.other}}}});
    }
    write.flush();
    sink("\n],\"otherData\":{\"dropped\":" + std::to_string(dropped_) + "}}\n");
  });
}

}  // namespace tenet::trace
