#include <doctest/doctest.h>
#include <tenet/models/metrics.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "models/scratch_folder.h"

using namespace tenet;

namespace {

Metrics at_step(int64_t step) {
  return {.step = step,
          .loss = 1.5,
          .bits_per_byte = 2.25,
          .tokens_per_second = 1000,
          .live_bytes = 4,
          .peak_bytes = 8};
}

}  // namespace

TEST_CASE("each line is one JSON object, on the disk at once") {
  const ScratchFolder folder;
  MetricsLog log(folder / "metrics.jsonl", 0);
  log.append(at_step(1));
  Metrics evaluated = at_step(2);
  evaluated.valid_bits_per_byte = 3.5;
  log.append(evaluated);
  CHECK(
      contents(folder / "metrics.jsonl") ==
      R"({"step":1,"loss":1.5,"bits_per_byte":2.25,"tokens_per_second":1000.0,"live_bytes":4,"peak_bytes":8})"
      "\n"
      R"({"step":2,"loss":1.5,"bits_per_byte":2.25,"tokens_per_second":1000.0,"live_bytes":4,"peak_bytes":8,"valid_bits_per_byte":3.5})"
      "\n");
  const auto read = read_metrics(folder / "metrics.jsonl");
  REQUIRE(read.size() == 2);
  CHECK(read[0].step == 1);
  CHECK(read[0].loss == 1.5);
  CHECK(read[0].peak_bytes == 8);
  CHECK_FALSE(read[0].valid_bits_per_byte);
  CHECK(read[1].valid_bits_per_byte == 3.5);
}

TEST_CASE("a resumed log drops what came after the checkpoint") {
  const ScratchFolder folder;
  {
    MetricsLog log(folder / "m", 0);
    for (int step = 1; step <= 5; ++step) log.append(at_step(step));
  }
  {
    MetricsLog log(folder / "m", 3);
    log.append(at_step(4));
  }
  const auto read = read_metrics(folder / "m");
  REQUIRE(read.size() == 4);
  CHECK(read[3].step == 4);
  MetricsLog(folder / "m", 0);
  CHECK(read_metrics(folder / "m").empty());
  CHECK(read_metrics(folder / "none").empty());
}

TEST_CASE("a broken last line is left out, a broken one before it is an error") {
  const ScratchFolder folder;
  MetricsLog(folder / "m", 0).append(at_step(1));
  const std::string line = contents(folder / "m");
  folder.write("cut", line + line.substr(0, 20));
  CHECK(read_metrics(folder / "cut").size() == 1);
  folder.write("bad", line + "oops\n" + line);
  CHECK(error_of([&] { read_metrics(folder / "bad"); }) ==
        "metrics: line 2 of \"" + (folder / "bad") + "\" is broken; remove the file");
}

TEST_CASE("values that are not finite are null in the file") {
  const ScratchFolder folder;
  Metrics m = at_step(1);
  m.loss = std::numeric_limits<double>::quiet_NaN();
  m.bits_per_byte = std::numeric_limits<double>::infinity();
  MetricsLog(folder / "m", 0).append(m);
  CHECK(nlohmann::json::parse(contents(folder / "m"))["loss"].is_null());
  const auto read = read_metrics(folder / "m");
  REQUIRE(read.size() == 1);
  CHECK(std::isnan(read[0].loss));
  CHECK(std::isnan(read[0].bits_per_byte));
}

TEST_CASE("a log that cannot be written is an error") {
  const ScratchFolder folder;
  CHECK(error_of([&] { MetricsLog(folder / "none/m", 0); }).starts_with("save: cannot create"));
}
