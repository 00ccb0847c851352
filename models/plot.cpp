#include <tenet/core/error.h>
#include <tenet/models/atomic_file.h>
#include <tenet/models/detail/curve_layout.h>
#include <tenet/models/plot.h>
#include <tenet/models/progress.h>

#ifdef TENET_HAVE_CAIRO
#include <cairo-svg.h>
#include <cairo.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <memory>
#include <new>
#include <numbers>
#include <span>

#ifdef TENET_SANITIZE
// fontconfig keeps its defaults to the end of the process: 1 kB, however many pictures are drawn.
extern "C" const char* __lsan_default_suppressions() { return "leak:libfontconfig\n"; }
#endif

namespace tenet {
namespace {

using detail::Axis;

constexpr double width = 960, height = 540;  // points; the PNG has png_scale pixels for each
constexpr double left = 64, top = 64, bottom = height - 58, edge = width - 16;
constexpr int png_scale = 2;

struct Colour {
  double red, green, blue, alpha = 1;
};
constexpr Colour ink = {0.13, 0.15, 0.18}, soft_ink = {0.38, 0.41, 0.45}, grid = {0.90, 0.91, 0.92};
constexpr Colour valid_colour = {0.85, 0.37, 0.08}, white = {1, 1, 1};

struct Pen {
  Colour colour;
  double thickness;
};
constexpr Pen raw_pen = {{0.12, 0.37, 0.68, 0.25}, 1}, train_pen = {{0.12, 0.37, 0.68}, 2.2};
constexpr Pen valid_pen = {valid_colour, 1.2}, grid_pen = {grid, 1}, axis_pen = {soft_ink, 1};

enum class Align { left, centre, right };
struct Lettering {
  double size;
  Colour colour = ink;
  Align align = Align::left;
  bool bold = false;
};

using Surface = std::unique_ptr<cairo_surface_t, decltype(&cairo_surface_destroy)>;

/// Draws one curve on one surface. Coordinates are in points from the top left corner.
class Painter {
 public:
  Painter(cairo_surface_t* surface, double scale, const LossCurve& curve)
      : cairo_(cairo_create(surface), cairo_destroy),
        curve_(curve),
        x_(detail::step_axis(curve)),
        y_(detail::bits_axis(curve)),
        right_(width - (curve.references.empty() ? 28 : 116)) {
    cairo_scale(c(), scale, scale);
  }

  void paint() {
    set(white);
    cairo_paint(c());
    axes();
    references();
    cairo_save(c());
    cairo_rectangle(c(), left, top, right_ - left, bottom - top);
    cairo_clip(c());
    line(placed(detail::thin_out(curve_.train)), raw_pen);
    line(placed(detail::smoothed(curve_.train)), train_pen);
    line(placed(curve_.valid), valid_pen);
    cairo_restore(c());
    for (const CurvePoint& p : placed(curve_.valid)) dot(p.x, p.y);
    heading();
    check(cairo_status(c()) == CAIRO_STATUS_SUCCESS, "plot: {}",
          cairo_status_to_string(cairo_status(c())));
  }

 private:
  cairo_t* c() const { return cairo_.get(); }
  void set(Colour k) { cairo_set_source_rgba(c(), k.red, k.green, k.blue, k.alpha); }
  double x(double step) const { return left + x_.place(step) * (right_ - left); }
  double y(double bits) const { return bottom - y_.place(bits) * (bottom - top); }

  void set(const Pen& pen) {
    set(pen.colour);
    cairo_set_line_width(c(), pen.thickness);
    cairo_set_line_join(c(), CAIRO_LINE_JOIN_ROUND);
  }

  /// Writes `words` on the base line y and returns their width.
  double text(double at_x, double at_y, const std::string& words, const Lettering& as) {
    cairo_select_font_face(c(), "sans-serif", CAIRO_FONT_SLANT_NORMAL,
                           as.bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(c(), as.size);
    cairo_text_extents_t extents;
    cairo_text_extents(c(), words.c_str(), &extents);
    const double before = as.align == Align::left ? 0 : as.align == Align::centre ? 0.5 : 1;
    set(as.colour);
    cairo_move_to(c(), at_x - before * extents.x_advance, at_y);
    cairo_show_text(c(), words.c_str());
    return extents.x_advance;
  }

  void segment(double x0, double y0, double x1, double y1, const Pen& pen) {
    line({{x0, y0}, {x1, y1}}, pen);
  }

  /// Through points on the picture.
  void line(const std::vector<CurvePoint>& points, const Pen& pen) {
    set(pen);
    cairo_new_path(c());  // text leaves its end as the current point
    for (const CurvePoint& p : points) cairo_line_to(c(), p.x, p.y);
    cairo_stroke(c());
  }

  /// The finite ones of points in steps and bits, as points on the picture.
  std::vector<CurvePoint> placed(const std::vector<CurvePoint>& points) const {
    std::vector<CurvePoint> result = detail::finite(points);
    for (CurvePoint& p : result) p = {x(p.x), y(p.y)};
    return result;
  }

  void dot(double at_x, double at_y) {
    for (const auto& [radius, colour] : {std::pair{4.6, white}, std::pair{3.4, valid_colour}}) {
      set(colour);
      cairo_arc(c(), at_x, at_y, radius, 0, 2 * std::numbers::pi);
      cairo_fill(c());
    }
  }

  void axes() {
    const Lettering number = {.size = 12, .colour = soft_ink, .align = Align::right};
    const Lettering under = {.size = 12, .colour = soft_ink, .align = Align::centre};
    const Lettering name = {.size = 13, .align = Align::centre};
    for (const double tick : y_.ticks) {
      segment(left, y(tick), right_, y(tick), grid_pen);
      text(left - 10, y(tick) + 4, fmt::format("{:.{}f}", tick, y_.decimals), number);
    }
    for (const double tick : x_.ticks) {
      segment(x(tick), bottom, x(tick), bottom + 5, axis_pen);
      text(x(tick), bottom + 20, with_commas(std::llround(tick)), under);
    }
    segment(left, bottom, right_, bottom, axis_pen);
    text((left + right_) / 2, height - 16, "training step", name);
    cairo_save(c());
    cairo_translate(c(), 20, (top + bottom) / 2);
    cairo_rotate(c(), -std::numbers::pi / 2);
    text(0, 0, "bits per byte", name);
    cairo_restore(c());
  }

  /// Dashed lines, named in the right margin; names that would overlap are moved down.
  void references() {
    std::vector<ReferenceLine> lines;
    std::copy_if(curve_.references.begin(), curve_.references.end(), std::back_inserter(lines),
                 [](const ReferenceLine& line) { return std::isfinite(line.y); });
    std::sort(lines.begin(), lines.end(), [](auto& a, auto& b) { return a.y > b.y; });
    const double dashes[] = {6, 4};
    const Lettering label = {.size = 12, .colour = soft_ink};
    const Lettering number = {.size = 12, .colour = soft_ink, .align = Align::right};
    double row = top;
    for (const ReferenceLine& reference : lines) {
      cairo_set_dash(c(), dashes, 2, 0);
      segment(left, y(reference.y), right_, y(reference.y), axis_pen);
      cairo_set_dash(c(), nullptr, 0, 0);
      row = std::max(row, y(reference.y) + 4);
      text(right_ + 8, row, reference.label, label);
      text(edge, row, fmt::format("{:.2f}", reference.y), number);
      row += 16;
    }
  }

  /// The title at the left and, in the same row, the legend at the right.
  void heading() {
    const double row = 36;
    text(left, row, curve_.title, {.size = 17, .bold = true});
    double at = edge;
    if (!curve_.valid.empty()) {
      at = legend(at, row, "held out", valid_pen);
      dot(at + 37, row - 4);
    }
    at = legend(at, row, "training, smoothed", train_pen);
    legend(at, row, "training", raw_pen);
  }

  /// A piece of line and its name, ending at `end`; returns where the next one to the left may end.
  double legend(double end, double row, const std::string& name, const Pen& pen) {
    const double start = end - 34 - text(end, row, name, {.size = 12.5, .align = Align::right});
    segment(start, row - 4, start + 26, row - 4, pen);
    return start - 24;
  }

  std::unique_ptr<cairo_t, decltype(&cairo_destroy)> cairo_;
  const LossCurve& curve_;
  Axis x_, y_;
  double right_;
};

cairo_status_t append(void* bytes, const unsigned char* data, unsigned int size) noexcept try {
  static_cast<std::string*>(bytes)->append(reinterpret_cast<const char*>(data), size);
  return CAIRO_STATUS_SUCCESS;
} catch (const std::bad_alloc&) {
  return CAIRO_STATUS_NO_MEMORY;
}

void check_surface(cairo_status_t status) {
  check(status == CAIRO_STATUS_SUCCESS, "plot: {}", cairo_status_to_string(status));
}

std::string as_svg(const LossCurve& curve) {
  std::string bytes;
  const Surface surface(cairo_svg_surface_create_for_stream(append, &bytes, width, height),
                        cairo_surface_destroy);
  Painter(surface.get(), 1, curve).paint();
  cairo_surface_finish(surface.get());
  check_surface(cairo_surface_status(surface.get()));
  return bytes;
}

std::string as_png(const LossCurve& curve) {
  std::string bytes;
  const Surface surface(
      cairo_image_surface_create(CAIRO_FORMAT_RGB24, static_cast<int>(width) * png_scale,
                                 static_cast<int>(height) * png_scale),
      cairo_surface_destroy);
  Painter(surface.get(), png_scale, curve).paint();
  check_surface(cairo_surface_write_to_png_stream(surface.get(), append, &bytes));
  return bytes;
}

}  // namespace

bool can_plot() { return true; }

bool write_loss_curve(const std::string& svg_path, const std::string& png_path,
                      const LossCurve& curve) {
  atomic_write(svg_path, as_svg(curve));
  atomic_write(png_path, as_png(curve));
  return true;
}

}  // namespace tenet

#else

namespace tenet {

bool can_plot() { return false; }

bool write_loss_curve(const std::string&, const std::string&, const LossCurve&) { return false; }

}  // namespace tenet

#endif
