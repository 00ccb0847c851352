#include <tenet/core/error.h>
#include <tenet/models/atomic_file.h>
#include <tenet/models/metrics.h>

#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

namespace tenet {
namespace {

using nlohmann::json;

std::string to_line(const Metrics& m) {
  nlohmann::ordered_json line = {{"step", m.step},
                                 {"loss", m.loss},
                                 {"bits_per_byte", m.bits_per_byte},
                                 {"tokens_per_second", m.tokens_per_second},
                                 {"live_bytes", m.live_bytes},
                                 {"peak_bytes", m.peak_bytes}};
  if (m.valid_bits_per_byte) line["valid_bits_per_byte"] = *m.valid_bits_per_byte;
  return line.dump() + "\n";
}

double number(const json& line, const char* key) {
  const json& value = line.at(key);
  return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
}

Metrics from_line(const json& line) {
  Metrics m{.step = line.at("step").get<int64_t>(),
            .loss = number(line, "loss"),
            .bits_per_byte = number(line, "bits_per_byte"),
            .tokens_per_second = number(line, "tokens_per_second"),
            .live_bytes = line.at("live_bytes").get<int64_t>(),
            .peak_bytes = line.at("peak_bytes").get<int64_t>()};
  if (line.contains("valid_bits_per_byte"))
    m.valid_bits_per_byte = number(line, "valid_bits_per_byte");
  return m;
}

}  // namespace

std::vector<Metrics> read_metrics(const std::string& path) {
  std::vector<Metrics> all;
  std::ifstream file(path);
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    try {
      all.push_back(from_line(json::parse(line)));
    } catch (const json::exception&) {
      check(file.peek() == std::ifstream::traits_type::eof(),
            "metrics: line {} of \"{}\" is broken; remove the file", number, path);
    }
  }
  return all;
}

MetricsLog::MetricsLog(std::string path, int64_t last_step) : path_(std::move(path)) {
  std::string kept;
  if (last_step > 0)
    for (const Metrics& m : read_metrics(path_))
      if (m.step <= last_step) kept += to_line(m);
  atomic_write(path_, kept);
  file_ = std::make_unique<std::ofstream>(path_, std::ios::app);
  check(file_->is_open(), "metrics: cannot write \"{}\"", path_);
}

MetricsLog::~MetricsLog() = default;

void MetricsLog::append(const Metrics& metrics) {
  *file_ << to_line(metrics) << std::flush;
  check(file_->good(), "metrics: cannot write \"{}\"; is the disk full", path_);
}

}  // namespace tenet
