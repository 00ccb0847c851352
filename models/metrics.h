/// The record of a training run, one JSON object per line, and what is made of it.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace tenet {

/// One line of metrics.jsonl. loss is in nats per token; valid_bits_per_byte is there at
/// evaluations only.
struct Metrics {
  int64_t step = 0;                                           // how many were taken
  double loss = 0, bits_per_byte = 0, tokens_per_second = 0;  // of training
  int64_t live_bytes = 0, peak_bytes = 0;                     // in use, and at most so far
  std::optional<double> valid_bits_per_byte = {};             // of the held-out part
};

/// Appends lines to a file; each is handed to the system at once, so a killed run leaves whole
/// lines but the last.
class MetricsLog {
 public:
  /// Keeps the lines up to `last_step` (of a resumed run; 0 starts afresh) and drops those after
  /// it. Error: the file cannot be written.
  MetricsLog(std::string path, int64_t last_step);
  ~MetricsLog();

  /// Writes one line. Error: the file cannot be written.
  void append(const Metrics& metrics);

 private:
  std::string path_;
  std::unique_ptr<std::ofstream> file_;
};

/// All lines in order; an unreadable last line, as a killed run leaves it, is left out; no file is
/// no lines. A value that is not finite is stored as null and read as NaN. Error: a broken line
/// before the last.
std::vector<Metrics> read_metrics(const std::string& path);

}  // namespace tenet
