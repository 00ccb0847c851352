#include <tenet/core/detail/memory_picture.h>
#include <tenet/core/detail/text.h>
#include <tenet/core/error.h>

#include <algorithm>
#include <cmath>
#include <span>

namespace tenet::detail {
namespace {

using trace::Kind;
using trace::Mark;
using trace::Panel;
using trace::Sample;
using trace::Span;

constexpr double width = 960, left = 84, right = width - 28, plot_height = 230;
constexpr double title_height = 50, lane_height = 15, lane_gap = 4, axis_height = 46;
constexpr double lanes_height = 3 * (lane_height + lane_gap) + 6;
constexpr double panel_height = title_height + plot_height + lanes_height + axis_height;
constexpr double legend_height = 40;

constexpr const char *ink = "#22262b", *soft = "#616975", *grid = "#e4e7ea", *shade = "#f3f0e8";
constexpr const char *activation = "#3f78b5", *workspace = "#eca23f";
constexpr const char *freed = "#1d8a3d", *rebuilt = "#8a4fbf";

/// A unit for values up to `largest`.
struct Unit {
  const char* name;
  double size;
};

constexpr Unit byte_units[] = {{"B", 1}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}};
constexpr Unit time_units[] = {{"µs", 1}, {"ms", 1e3}, {"s", 1e6}};

Unit unit_of(double largest, std::span<const Unit> units) {
  Unit best = units.front();
  for (const Unit& unit : units) {
    if (largest >= unit.size) best = unit;
  }
  return best;
}

/// The document so far. Coordinates are points from the top left corner.
struct Svg {
  std::string text;

  void rect(double x, double y, double w, double h, const char* fill) {
    text += fmt::format(
        "<rect x=\"{:.2f}\" y=\"{:.2f}\" width=\"{:.2f}\" height=\"{:.2f}\" fill=\"{}\"/>\n", x, y,
        w, h, fill);
  }
  void line(double x1, double y1, double x2, double y2, const char* colour, double thickness = 1,
            const char* dashes = "none") {
    text += fmt::format(
        "<line x1=\"{:.2f}\" y1=\"{:.2f}\" x2=\"{:.2f}\" y2=\"{:.2f}\" stroke=\"{}\" "
        "stroke-width=\"{}\" stroke-dasharray=\"{}\"/>\n",
        x1, y1, x2, y2, colour, thickness, dashes);
  }
  void path(const std::string& d, const char* fill) {
    text += fmt::format("<path d=\"{}\" fill=\"{}\"/>\n", d, fill);
  }
  void words(double x, double y, const std::string& content, double size, const char* colour,
             const char* anchor, const char* more = "") {
    text += fmt::format(
        "<text x=\"{:.2f}\" y=\"{:.2f}\" font-size=\"{}\" fill=\"{}\" text-anchor=\"{}\"{}>{}"
        "</text>\n",
        x, y, size, colour, anchor, more, escaped(content));
  }
};

/// What all panels share.
struct Scales {
  double time = 1, bytes = 1;  // the largest

  double x(double t) const { return left + t / time * (right - left); }
  double height(int64_t b) const { return static_cast<double>(b) / bytes * plot_height; }
};

/// When the last thing that a trace saw was over.
double end_of(const trace::Trace& trace) {
  double end = trace.samples().back().time;
  for (const Span& span : trace.spans()) end = std::max(end, span.end);
  return end;
}

class PanelPainter {
 public:
  PanelPainter(Svg& svg, const Panel& panel, const Scales& scales, double top)
      : svg_(svg), panel_(panel), trace_(*panel.trace), scales_(scales), top_(top) {}

  void paint() {
    svg_.words(left, top_ - 22, panel_.title, 16, ink, "start", " font-weight=\"bold\"");
    phases();
    axes();
    areas();
    peak();
    lanes();
  }

 private:
  double bottom() const { return top_ + plot_height; }
  double x(double time) const { return scales_.x(time); }

  /// Backward passes are shaded.
  void phases() {
    double before = 0;
    for (const Span& span : trace_.spans()) {
      if (span.kind != Kind::walk || span.replayed) continue;
      svg_.rect(x(span.begin), top_, x(span.end) - x(span.begin), plot_height, shade);
      phase_name("forward", before, span.begin);
      phase_name(span.name, span.begin, span.end);
      before = span.end;
    }
  }
  void phase_name(const std::string& name, double begin, double end) {
    if (x(end) - x(begin) < 60) return;
    svg_.words((x(begin) + x(end)) / 2, top_ - 5, name, 12, soft, "middle",
               " font-style=\"italic\"");
  }

  void axes() {
    const Unit bytes = unit_of(scales_.bytes, byte_units);
    for (const double tick : picture_ticks(scales_.bytes / bytes.size, 5)) {
      const double y = bottom() - scales_.height(static_cast<int64_t>(tick * bytes.size));
      svg_.line(left, y, right, y, grid);
      svg_.words(left - 8, y + 4, fmt::format("{:g} {}", tick, bytes.name), 12, soft, "end");
    }
    const double base = bottom() + lanes_height;
    const Unit time = unit_of(scales_.time, time_units);
    for (const double tick : picture_ticks(scales_.time / time.size, 10)) {
      const double at = x(tick * time.size);
      svg_.line(at, base, at, base + 5, soft);
      svg_.words(at, base + 18, fmt::format("{:g}", tick), 12, soft, "middle");
    }
    svg_.line(left, base, right, base, soft);
    svg_.words((left + right) / 2, base + 34, fmt::format("time, {}", time.name), 12, ink,
               "middle");
  }

  /// Activations with workspace on top of them, as steps.
  void areas() {
    const std::vector<Sample> samples =
        thin_out(trace_.samples(), scales_.time, static_cast<int>(right - left));
    const auto area = [&](auto&& level, const char* fill) {
      std::string d = fmt::format("M{:.2f} {:.2f}", left, bottom());
      for (const Sample& sample : samples) {
        d +=
            fmt::format("H{:.2f}V{:.2f}", x(sample.time), bottom() - scales_.height(level(sample)));
      }
      svg_.path(d + fmt::format("H{:.2f}V{:.2f}Z", x(end_of(trace_)), bottom()), fill);
    };
    area([](const Sample& s) { return s.working(); }, workspace);
    area([](const Sample& s) { return s.activation; }, activation);
  }

  void peak() {
    int64_t most = 0;
    for (const Sample& sample : trace_.samples()) most = std::max(most, sample.working());
    const Unit unit = unit_of(static_cast<double>(most), byte_units);
    const double y = bottom() - scales_.height(most);
    svg_.line(left, y, right, y, ink, 1, "5 4");
    svg_.words(right, y - 5,
               fmt::format("peak {:.3g} {}", static_cast<double>(most) / unit.size, unit.name), 12,
               ink, "end");
  }

  double lane(int i) const { return bottom() + 6 + i * (lane_height + lane_gap); }

  void lanes() {
    const char* names[] = {"blocks", "freed", "rebuilt"};
    for (int i = 0; i < 3; ++i) {
      svg_.words(left - 8, lane(i) + lane_height - 4, names[i], 11, soft, "end");
      svg_.rect(left, lane(i), right - left, lane_height, "#f6f7f8");
    }
    for (const Span& span : trace_.spans()) {
      const bool again = span.kind == Kind::replay;
      if (!again && (span.kind != Kind::reversible || span.replayed)) continue;
      const double gap = x(span.end) - x(span.begin) > 3 ? 0.5 : 0;
      svg_.rect(x(span.begin) + gap, lane(0), std::max(x(span.end) - x(span.begin) - 2 * gap, 0.5),
                lane_height, again ? rebuilt : freed);
    }
    for (const Mark& mark : trace_.marks()) {
      const double at = x(mark.time), y = lane(mark.rebuilt ? 2 : 1);
      svg_.line(at, y, at, y + lane_height, mark.rebuilt ? rebuilt : freed, 1.2);
    }
    if (trace_.marks().empty()) {
      svg_.words((left + right) / 2, lane(1) + lane_height - 4,
                 "nothing is freed before the backward pass", 11, soft, "middle",
                 " font-style=\"italic\"");
    }
  }

  Svg& svg_;
  const Panel& panel_;
  const trace::Trace& trace_;
  const Scales& scales_;
  double top_;
};

void legend(Svg& svg, double y) {
  const std::pair<const char*, const char*> items[] = {
      {activation, "activations"},
      {workspace, "workspace: gradients on their way, scratch"},
      {freed, "reversible block runs, input freed"},
      {rebuilt, "block runs again, input rebuilt"}};
  double x = left;
  for (const auto& [colour, name] : items) {
    svg.rect(x, y - 10, 14, 11, colour);
    svg.words(x + 20, y, name, 12, ink, "start");
    x += 20 + 6.1 * static_cast<double>(std::string_view(name).size()) + 22;
  }
}

}  // namespace

std::vector<double> picture_ticks(double largest, int most) {
  double step = std::pow(10, std::floor(std::log10(largest / most)));
  for (const double factor : {1.0, 2.0, 5.0, 10.0}) {
    if (largest / (step * factor) <= most) {
      step *= factor;
      break;
    }
  }
  std::vector<double> ticks;
  for (int i = 0; i * step <= largest * (1 + 1e-9); ++i) ticks.push_back(i * step);
  return ticks;
}

std::vector<Sample> thin_out(const std::vector<Sample>& samples, double end, int columns) {
  std::vector<Sample> result;
  size_t begin = 0;
  const auto column_of = [&](size_t i) { return std::floor(samples[i].time / end * columns); };
  const auto less = [](const Sample& a, const Sample& b) { return a.working() < b.working(); };
  while (begin < samples.size()) {
    size_t stop = begin + 1;
    while (stop < samples.size() && column_of(stop) == column_of(begin)) ++stop;
    const auto first = samples.begin() + static_cast<ptrdiff_t>(begin);
    const auto last = samples.begin() + static_cast<ptrdiff_t>(stop);
    const auto [low, high] = std::minmax_element(first, last, less);
    std::vector<std::vector<Sample>::const_iterator> kept{first, low, high, last - 1};
    std::sort(kept.begin(), kept.end());
    kept.erase(std::unique(kept.begin(), kept.end()), kept.end());
    for (const auto& sample : kept) result.push_back(*sample);
    begin = stop;
  }
  return result;
}

std::string memory_picture(const std::vector<Panel>& panels) {
  Scales scales;
  for (const Panel& panel : panels) {
    check(panel.trace != nullptr, "save_svg: panel \"{}\" has no trace", panel.title);
    scales.time = std::max(scales.time, end_of(*panel.trace));
    for (const Sample& sample : panel.trace->samples()) {
      scales.bytes = std::max(scales.bytes, static_cast<double>(sample.working()) * 1.08);
    }
  }
  const double height = panel_height * static_cast<double>(panels.size()) + legend_height;
  Svg svg{fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} "
      "{1}\" font-family=\"Helvetica, Arial, sans-serif\">\n",
      width, height)};
  svg.rect(0, 0, width, height, "#ffffff");
  double top = title_height;
  for (const Panel& panel : panels) {
    PanelPainter(svg, panel, scales, top).paint();
    top += panel_height;
  }
  legend(svg, height - 16);
  return svg.text + "</svg>\n";
}

}  // namespace tenet::detail
