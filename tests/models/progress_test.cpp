#include <doctest/doctest.h>
#include <fcntl.h>
#include <stdlib.h>
#include <tenet/models/progress.h>
#include <unistd.h>

#include <cmath>
#include <limits>

#include "models/scratch_folder.h"

using namespace tenet;

namespace {

const Progress sample = {.step = 1234,
                         .steps = 10000,
                         .loss = 1.73451,
                         .bits_per_byte = 2.5024,
                         .tokens_per_second = 12345,
                         .seconds_left = 201,
                         .live_bytes = 412'000'000,
                         .peak_bytes = 1'618'000'000};

}  // namespace

TEST_CASE("the line of progress") {
  CHECK(progress_line(sample) ==
        "step 1,234/10,000  loss 1.7345  2.502 bits/byte  12.3k tokens/s  eta 03:21  live 412 MB  "
        "peak 1.62 GB");
  Progress p = sample;
  p.steps.reset();
  p.seconds_left.reset();
  CHECK(progress_line(p) ==
        "step 1,234  loss 1.7345  2.502 bits/byte  12.3k tokens/s  live 412 MB  peak 1.62 GB");
}

TEST_CASE("numbers for people") {
  CHECK(with_commas(0) == "0");
  CHECK(with_commas(999) == "999");
  CHECK(with_commas(1000) == "1,000");
  CHECK(with_commas(-123456) == "-123,456");
  CHECK(with_commas(1234567890) == "1,234,567,890");
  CHECK(readable_bytes(0) == "0 B");
  CHECK(readable_bytes(999) == "999 B");
  CHECK(readable_bytes(4096) == "4.10 kB");
  CHECK(readable_bytes(61'840'000) == "61.8 MB");
  CHECK(readable_bytes(99'960'000) == "100 MB");
  CHECK(readable_bytes(999'600'000) == "1.00 GB");
  CHECK(readable_bytes(5'000'000'000'000'000) == "5000 TB");
  CHECK(readable_time(0) == "00:00");
  CHECK(readable_time(59.6) == "01:00");
  CHECK(readable_time(3723) == "1:02:03");
  CHECK(readable_time(183'840) == "2d 03:04");
  CHECK(readable_time(std::numeric_limits<double>::infinity()) == "--:--");
  CHECK(readable_time(-1) == "--:--");
}

TEST_CASE("outside a terminal a line appears only every interval, and the last one always") {
  const ScratchFolder folder;
  std::FILE* out = std::fopen((folder / "out").c_str(), "w");
  {
    ProgressPrinter printer(out, 3600);
    Progress p = sample;
    for (p.step = 1; p.step <= 5; ++p.step) printer.update(p);
    printer.message("valid 2.400 bits/byte");
    p.step = 6;
    printer.update(p);
  }
  std::fclose(out);
  Progress first = sample, last = sample;
  first.step = 1;
  last.step = 6;
  CHECK(contents(folder / "out") ==
        progress_line(first) + "\nvalid 2.400 bits/byte\n" + progress_line(last) + "\n");
}

TEST_CASE("on a terminal one line is rewritten") {
  const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY);
  if (terminal < 0) {
    MESSAGE("skipped: no pseudo-terminal can be opened here");
    return;
  }
  REQUIRE(::grantpt(terminal) == 0);
  REQUIRE(::unlockpt(terminal) == 0);
  std::FILE* out = std::fopen(::ptsname(terminal), "w");
  REQUIRE(out != nullptr);
  {
    ProgressPrinter printer(out, 0);
    printer.update(sample);
    printer.update(sample);
    printer.message("note");
    printer.update(sample);
  }
  std::fclose(out);
  std::string found;
  char buffer[256];
  for (ssize_t n = 0; (n = ::read(terminal, buffer, sizeof buffer)) > 0;) found.append(buffer, n);
  ::close(terminal);
  const std::string shown = "\r" + progress_line(sample) + "\x1b[K";
  CHECK(found == shown + shown + "\r\x1b[Knote\r\n" + shown + "\r\n");
}
