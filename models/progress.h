/// The line that shows how far a training run is.
#pragma once

#include <tenet/core/detail/text.h>

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>

namespace tenet {

/// How far a training run is.
struct Progress {
  int64_t step = 0;                   // how many were taken
  std::optional<int64_t> steps = {};  // of the whole run, unless it ends by the clock
  double loss = 0, bits_per_byte = 0, tokens_per_second = 0;  // of training; loss in nats
  std::optional<double> seconds_left = {};                    // as far as that can be told
  int64_t live_bytes = 0, peak_bytes = 0;                     // in use, and at most so far
};

/// `step 120/2,000  loss 1.7345  2.502 bits/byte  12.3k tokens/s  eta 03:21  live 412 MB  peak 618
/// MB`
std::string progress_line(const Progress& progress);

using detail::with_commas;

/// Bytes in units of 10^3, three digits: "999 B", "4.10 kB", "618 MB", "1.25 GB".
std::string readable_bytes(int64_t bytes);

/// Seconds as "03:21", "1:02:03" or "2d 03:04"; "--:--" if not finite.
std::string readable_time(double seconds);

/// Shows progress on a terminal by rewriting one line, elsewhere by a line every `seconds`.
class ProgressPrinter {
 public:
  explicit ProgressPrinter(std::FILE* out, double seconds = 10);
  ProgressPrinter(const ProgressPrinter&) = delete;
  ProgressPrinter& operator=(const ProgressPrinter&) = delete;
  ~ProgressPrinter();

  /// Shows the line now or, if the last one is too recent, not at all.
  void update(const Progress& progress);

  /// Shows the last progress if `update` withheld it, and ends its line.
  void finish();

  /// A line that stays, such as an evaluation's.
  void message(const std::string& text);

 private:
  void show(const std::string& line);

  std::FILE* out_;
  bool terminal_;
  bool line_open_ = false;
  std::string withheld_;
  double interval_;
  std::optional<double> last_;  // seconds on the steady clock
};

}  // namespace tenet
