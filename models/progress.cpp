#include <sys/ioctl.h>
#include <tenet/models/progress.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <utility>

#include <fmt/format.h>

namespace tenet {
namespace {

/// A number with three significant digits and a unit out of `units`, each 1,000 times the one
/// before.
template <size_t N>
std::string scaled(double value, const std::array<const char*, N>& units) {
  size_t i = 0;
  for (; i + 1 < N && std::round(value) >= 1000; ++i) value /= 1000;
  const int decimals = i == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return fmt::format("{:.{}f}{}", value, decimals, units[i]);
}

/// Columns of the terminal, or 0 if unknown.
size_t terminal_width(std::FILE* out) {
  winsize size = {};
  return ::ioctl(::fileno(out), TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

}  // namespace

std::string readable_bytes(int64_t bytes) {
  return scaled(static_cast<double>(bytes), std::array{" B", " kB", " MB", " GB", " TB"});
}

std::string readable_time(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0 || seconds > 1e9) return "--:--";
  const auto s = std::llround(seconds);
  const auto hours = s / 3600, minutes = s / 60 % 60;
  if (hours >= 24) return fmt::format("{}d {:02}:{:02}", hours / 24, hours % 24, minutes);
  if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, minutes, s % 60);
  return fmt::format("{:02}:{:02}", minutes, s % 60);
}

std::string progress_line(const Progress& p) {
  std::string line = fmt::format("step {}", with_commas(p.step));
  if (p.steps) line += fmt::format("/{}", with_commas(*p.steps));
  line += fmt::format("  loss {:.4f}  {:.3f} bits/byte  {} tokens/s", p.loss, p.bits_per_byte,
                      scaled(p.tokens_per_second, std::array{"", "k", "M", "G"}));
  if (p.seconds_left) line += fmt::format("  eta {}", readable_time(*p.seconds_left));
  return line + fmt::format("  live {}  peak {}", readable_bytes(p.live_bytes),
                            readable_bytes(p.peak_bytes));
}

ProgressPrinter::ProgressPrinter(std::FILE* out, double seconds)
    : out_(out), terminal_(::isatty(::fileno(out)) == 1), interval_(seconds) {
  if (terminal_) interval_ = std::min(interval_, 0.1);
}

ProgressPrinter::~ProgressPrinter() { finish(); }

void ProgressPrinter::show(const std::string& line) {
  if (terminal_) {
    const size_t width = terminal_width(out_);
    std::fputs(("\r" + (width > 0 ? line.substr(0, width - 1) : line) + "\x1b[K").c_str(), out_);
    line_open_ = true;
  } else {
    std::fputs((line + "\n").c_str(), out_);
  }
  std::fflush(out_);
  withheld_.clear();
}

void ProgressPrinter::update(const Progress& progress) {
  const std::chrono::duration<double> since = std::chrono::steady_clock::now().time_since_epoch();
  const double now = since.count();
  if (last_ && now - *last_ < interval_) {
    withheld_ = progress_line(progress);
    return;
  }
  last_ = now;
  show(progress_line(progress));
}

void ProgressPrinter::finish() {
  if (!withheld_.empty()) show(std::string(withheld_));
  if (std::exchange(line_open_, false)) std::fputc('\n', out_);
  std::fflush(out_);
}

void ProgressPrinter::message(const std::string& text) {
  if (std::exchange(line_open_, false)) std::fputs("\r\x1b[K", out_);
  std::fputs((text + "\n").c_str(), out_);
  std::fflush(out_);
}

}  // namespace tenet
