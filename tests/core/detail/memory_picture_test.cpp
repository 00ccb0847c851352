#include <doctest/doctest.h>
#include <tenet/core/detail/memory_picture.h>

#include <algorithm>

using namespace tenet;
using tenet::detail::picture_ticks;
using trace::Sample;

TEST_CASE("ticks are round numbers, few enough") {
  using Ticks = std::vector<double>;
  CHECK(picture_ticks(10, 5) == Ticks{0, 2, 4, 6, 8, 10});
  CHECK(picture_ticks(9.9, 5) == Ticks{0, 2, 4, 6, 8});
  CHECK(picture_ticks(1, 10).size() == 11);
  CHECK(picture_ticks(430, 5) == Ticks{0, 100, 200, 300, 400});
  CHECK(picture_ticks(999, 5) == Ticks{0, 200, 400, 600, 800});
  for (double largest = 1e-3; largest < 1e12; largest *= 1.37) {
    const Ticks ticks = picture_ticks(largest, 5);
    CHECK(ticks.size() >= 2);
    CHECK(ticks.size() <= 6);
  }
}

TEST_CASE("thinned samples keep every peak, every dip, and the ends of each column") {
  std::vector<Sample> samples;
  for (int i = 0; i < 10'000; ++i) {
    samples.push_back({.time = i * 1.0, .activation = 100 + i % 7, .workspace = 0});
  }
  samples[4321].workspace = 5000;
  samples[7654].activation = 1;
  const std::vector<Sample> few = detail::thin_out(samples, 10'000, 100);
  CHECK(few.size() <= 400);
  CHECK(few.front().time == 0);
  CHECK(few.back().time == 9999);
  CHECK(std::is_sorted(few.begin(), few.end(),
                       [](const Sample& a, const Sample& b) { return a.time < b.time; }));
  const auto has = [&](int64_t working) {
    return std::any_of(few.begin(), few.end(),
                       [&](const Sample& s) { return s.working() == working; });
  };
  CHECK(has(samples[4321].working()));
  CHECK(has(1));
  const std::vector<Sample> all = detail::thin_out({{.time = 0}, {.time = 5}}, 5, 10);
  CHECK(all.size() == 2);
}
