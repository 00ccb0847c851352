#include <tenet/core/atomic_file.h>
#include <tenet/core/detail/memory_picture.h>
#include <tenet/core/detail/text.h>
#include <tenet/core/trace.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

namespace tenet::trace {

std::string Trace::to_string() const {
  struct Line {
    std::string kind, name;
    int64_t count = 0, peak = 0;
    double time = 0;
  };
  std::map<std::pair<Kind, std::string>, Line> by_name;
  for (const Span& span : spans_) {
    Line& line = by_name[{span.kind, span.name}];
    line.kind = trace::to_string(span.kind);
    line.name = span.name;
    ++line.count;
    line.time += span.end - span.begin;
    line.peak = std::max(line.peak, span.peak);
  }
  std::vector<Line> lines;
  lines.reserve(by_name.size());
  for (auto& [key, line] : by_name) lines.push_back(std::move(line));
  std::sort(lines.begin(), lines.end(), [](const Line& a, const Line& b) {
    return std::tie(b.time, a.kind, a.name) < std::tie(a.time, b.kind, b.name);
  });
  std::string text =
      fmt::format("{:<12}{:<28}{:>8}{:>12}{:>18}\n", "kind", "name", "count", "ms", "peak bytes");
  for (const Line& line : lines) {
    text += fmt::format("{:<12}{:<28}{:>8}{:>12.3f}{:>18}\n", line.kind, line.name, line.count,
                        line.time / 1000, detail::with_commas(line.peak));
  }
  if (dropped_ > 0) {
    text += fmt::format("{} later events were left out; raise Options::limit\n",
                        detail::with_commas(dropped_));
  }
  return text;
}

void Trace::save_svg(const std::string& path, const PictureOptions& options) const {
  trace::save_svg(path, {{options.title, this}});
}

void save_svg(const std::string& path, const std::vector<Panel>& panels) {
  atomic_write(path, detail::memory_picture(panels));
}

}  // namespace tenet::trace
