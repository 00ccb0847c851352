#include <doctest/doctest.h>
#include <tenet/models/plot.h>

#include <cmath>
#include <filesystem>
#include <limits>

#include "models/scratch_folder.h"

using namespace tenet;

namespace {

LossCurve sample_curve() {
  LossCurve curve{.title = "Reformer, 6 layers"};
  for (int i = 1; i <= 2000; ++i) {
    const double noise = 0.15 * std::sin(12.9898 * i) * std::cos(78.233 * i);
    curve.train.push_back(
        {10.0 * i, 2.2 + 5.5 * std::exp(-i / 120.0) + 0.8 * std::exp(-i / 900.0) + noise});
    if (i % 200 == 0)
      curve.valid.push_back(
          {10.0 * i, 2.35 + 5.5 * std::exp(-i / 120.0) + 0.8 * std::exp(-i / 900.0)});
  }
  curve.references = {{"order-1", 3.77}, {"order-2", 2.69}, {"order-3", 2.02}, {"xz -9e", 1.97}};
  return curve;
}

}  // namespace

TEST_CASE("a build without cairo says so and writes nothing") {
  if (can_plot()) return;
  const ScratchFolder folder;
  CHECK_FALSE(write_loss_curve(folder / "loss.svg", folder / "loss.png", sample_curve()));
  CHECK(std::filesystem::is_empty(folder.path()));
}

TEST_CASE("both pictures are written, and replaced") {
  if (!can_plot()) return;
  const ScratchFolder folder;
  folder.write("loss.svg", "old");
  CHECK(write_loss_curve(folder / "loss.svg", folder / "loss.png", sample_curve()));
  const std::string svg = contents(folder / "loss.svg"), png = contents(folder / "loss.png");
  CHECK(svg.find("<svg") != std::string::npos);
  CHECK(svg.find("</svg>") != std::string::npos);
  CHECK(svg.size() > 20'000);
  CHECK(svg.size() < 400'000);
  REQUIRE(png.size() > 10'000);
  CHECK(png.substr(0, 8) == "\x89PNG\r\n\x1a\n");
  CHECK(png.substr(16, 8) == std::string("\0\0\x07\x80\0\0\x04\x38", 8));  // 1920 x 1080
}

TEST_CASE("any curve can be drawn") {
  if (!can_plot()) return;
  const ScratchFolder folder;
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  for (const LossCurve& curve : {LossCurve{}, LossCurve{.title = "one", .train = {{1, 2}}},
                                 LossCurve{.title = "none", .train = {{1, nan}, {2, nan}}},
                                 LossCurve{.title = "t",
                                 .train = {{1, 8}, {2, 7}},
                                 .valid = {{2, nan}},
                                 .references = {{"nothing", nan}}}})
    CHECK(write_loss_curve(folder / "a.svg", folder / "a.png", curve));
}

TEST_CASE("a picture that cannot be written is an error") {
  if (!can_plot()) return;
  const ScratchFolder folder;
  CHECK(error_of([&] {
          write_loss_curve(folder / "no/a.svg", folder / "a.png", {});
        }).find("No such file or directory") != std::string::npos);
}
