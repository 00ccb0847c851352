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
#include <memory>
#include <new>
#include <span>

namespace tenet {
namespace {

using detail::Axis;

constexpr double width = 960, height = 540;  // points; the PNG has png_scale pixels for each
constexpr double left = 64, right = width - 28, top = 64, bottom = height - 58;
constexpr int png_scale = 2;

struct Colour {
  double red, green, blue, alpha = 1;
};
constexpr Colour ink = {0.13, 0.15, 0.18}, soft_ink = {0.38, 0.41, 0.45}, grid = {0.90, 0.91, 0.92};
constexpr Colour train_colour = {0.12, 0.37, 0.68}, raw_colour = {0.12, 0.37, 0.68, 0.25};
constexpr Colour valid_colour = {0.85, 0.37, 0.08}, white = {1, 1, 1};

using Surface = std::unique_ptr<cairo_surface_t, decltype(&cairo_surface_destroy)>;

/// Draws one curve on one surface. Coordinates are in points from the top left corner.
class Painter {
 public:
  Painter(cairo_surface_t* surface, double scale, const LossCurve& curve)
      : cairo_(cairo_create(surface), cairo_destroy),
        curve_(curve),
        x_(detail::step_axis(curve)),
        y_(detail::bits_axis(curve)) {
    cairo_scale(c(), scale, scale);
  }

  void paint() {
    set(white);
    cairo_paint(c());
    axes();
    references();
    cairo_save(c());
    cairo_rectangle(c(), left, top, right - left, bottom - top);
    cairo_clip(c());
    line(detail::thin_out(curve_.train), raw_colour, 1);
    line(detail::smoothed(curve_.train), train_colour, 2.2);
    line(curve_.valid, valid_colour, 1.2);
    cairo_restore(c());
    for (const CurvePoint& p : detail::finite(curve_.valid)) dot(x(p.x), y(p.y));
    heading();
    check(cairo_status(c()) == CAIRO_STATUS_SUCCESS, "plot: {}",
          cairo_status_to_string(cairo_status(c())));
  }

 private:
  enum class Align { left, centre, right };

  cairo_t* c() const { return cairo_.get(); }
  void set(Colour k) { cairo_set_source_rgba(c(), k.red, k.green, k.blue, k.alpha); }
  double x(double step) const { return left + x_.place(step) * (right - left); }
  double y(double bits) const { return bottom - y_.place(bits) * (bottom - top); }

  /// Writes `words` on the base line y and returns their width.
  double text(double at_x, double at_y, const std::string& words, double size, Colour colour,
              Align align = Align::left, bool bold = false) {
    cairo_select_font_face(c(), "sans-serif", CAIRO_FONT_SLANT_NORMAL,
                           bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(c(), size);
    cairo_text_extents_t extents;
    cairo_text_extents(c(), words.c_str(), &extents);
    const double shift = align == Align::left ? 0 : align == Align::centre ? 0.5 : 1;
    set(colour);
    cairo_move_to(c(), at_x - shift * extents.x_advance, at_y);
    cairo_show_text(c(), words.c_str());
    return extents.x_advance;
  }

  void segment(double x0, double y0, double x1, double y1, Colour colour, double thickness) {
    set(colour);
    cairo_set_line_width(c(), thickness);
    cairo_move_to(c(), x0, y0);
    cairo_line_to(c(), x1, y1);
    cairo_stroke(c());
  }

  void line(const std::vector<CurvePoint>& points, Colour colour, double thickness) {
    set(colour);
    cairo_set_line_width(c(), thickness);
    cairo_set_line_join(c(), CAIRO_LINE_JOIN_ROUND);
    for (const CurvePoint& p : detail::finite(points)) cairo_line_to(c(), x(p.x), y(p.y));
    cairo_stroke(c());
  }

  void dot(double at_x, double at_y) {
    for (const auto& [radius, colour] : {std::pair{4.6, white}, std::pair{3.4, valid_colour}}) {
      set(colour);
      cairo_arc(c(), at_x, at_y, radius, 0, 2 * 3.14159265358979);
      cairo_fill(c());
    }
  }

  void axes() {
    for (const double tick : y_.ticks) {
      segment(left, y(tick), right, y(tick), grid, 1);
      text(left - 10, y(tick) + 4, fmt::format("{:.{}f}", tick, y_.decimals), 12, soft_ink,
           Align::right);
    }
    for (const double tick : x_.ticks) {
      segment(x(tick), bottom, x(tick), bottom + 5, soft_ink, 1);
      text(x(tick), bottom + 20, with_commas(static_cast<int64_t>(tick)), 12, soft_ink,
           Align::centre);
    }
    segment(left, bottom, right, bottom, soft_ink, 1);
    text((left + right) / 2, height - 16, "training step", 13, ink, Align::centre);
    cairo_save(c());
    cairo_translate(c(), 20, (top + bottom) / 2);
    cairo_rotate(c(), -1.57079632679490);
    text(0, 0, "bits per byte", 13, ink, Align::centre);
    cairo_restore(c());
  }

  /// Labels stand above their lines; one that would run into another's row moves to its left.
  void references() {
    std::vector<std::pair<double, double>> taken;  // base line and left end of each label
    const double dashes[] = {6, 4};
    for (const ReferenceLine& reference : curve_.references) {
      if (!std::isfinite(reference.y)) continue;
      const double at_y = y(reference.y);
      cairo_set_dash(c(), dashes, 2, 0);
      segment(left, at_y, right, at_y, soft_ink, 1);
      cairo_set_dash(c(), nullptr, 0, 0);
      double end = right - 4;
      for (const auto& [row, start] : taken)
        if (std::abs(row - at_y) < 15) end = std::min(end, start - 18);
      const std::string label = fmt::format("{}  {:.2f}", reference.label, reference.y);
      const double label_width = text(end, at_y - 5, label, 11.5, soft_ink, Align::right);
      taken.emplace_back(at_y, end - label_width);
    }
  }

  /// The title at the left and, in the same row, the legend at the right.
  void heading() {
    const double row = 36;
    text(left, row, curve_.title, 17, ink, Align::left, true);
    double at = right;
    if (!curve_.valid.empty()) {
      at -= text(at, row, "held out", 12.5, ink, Align::right) + 34;
      segment(at, row - 4, at + 26, row - 4, valid_colour, 1.2);
      dot(at + 13, row - 4);
      at -= 24;
    }
    at -= text(at, row, "training, smoothed", 12.5, ink, Align::right) + 34;
    segment(at, row - 4, at + 26, row - 4, train_colour, 2.2);
    at -= 24;
    at -= text(at, row, "training", 12.5, ink, Align::right) + 34;
    segment(at, row - 4, at + 26, row - 4, raw_colour, 1.5);
  }

  std::unique_ptr<cairo_t, decltype(&cairo_destroy)> cairo_;
  const LossCurve& curve_;
  Axis x_, y_;
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
