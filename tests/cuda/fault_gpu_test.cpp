/// Errors of values: on a GPU they are raised where a result is read, with the CPU's text.
#include <compare.h>
#include <device.h>
#include <tenet/core/error.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/cross_entropy.h>
#include <tenet/ops/index.h>
#include <tenet/ops/stream.h>

#include <doctest/doctest.h>

#include <cmath>

using namespace tenet;
using namespace tenet::test;

namespace {

template <class F>
std::string error_of(F&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "(nothing was thrown)";
}

/// Whether `make` fails alike on both devices, and the GPU goes on.
template <class F>
void check_fault(F&& make) {
  const std::string text = error_of([&] { make(Device::cpu()); });
  REQUIRE(text != "(nothing was thrown)");
  CHECK(error_of([&] { make(Device::cuda()).to(Device::cpu()); }) == text);
  CHECK(full({2}, 3, {.device = Device::cuda()}).to_vector<float>() == std::vector<float>{3, 3});
  CHECK(error_of([&] {
          make(Device::cuda());
          synchronize(Device::cuda());
        }) == text);
  synchronize(Device::cuda());
}

Tensor with(std::vector<double> values, Device device) {
  const Shape shape{std::ssize(values)};
  return from_vector(values, shape, {DType::f32, device});
}

Tensor integers(std::vector<int64_t> values, Device device) {
  const Shape shape{std::ssize(values)};
  return from_vector(values, shape, {DType::i64, device});
}

}  // namespace

TEST_CASE("encode: what overflows and what is not finite") {
  if (!gpu_or_skip()) return;
  for (const double bad : {20000.0, -1e30, static_cast<double>(INFINITY), std::nan("")}) {
    CAPTURE(bad);
    check_fault([&](Device device) { return encode(with({1, 2, bad, 3, bad}, device)); });
  }
}

TEST_CASE("coupling_add: a delta that is not finite, a sum that overflows") {
  if (!gpu_or_skip()) return;
  for (const double bad : {static_cast<double>(INFINITY), 16000.0}) {
    CAPTURE(bad);
    check_fault([&](Device device) {
      return coupling_add(encode(with({1, 2, 9000}, device)), with({0, 0, bad}, device));
    });
  }
}

TEST_CASE("indices outside their axis") {
  if (!gpu_or_skip()) return;
  for (const int64_t bad : {int64_t{4}, int64_t{-1}, int64_t{1} << 40}) {
    CAPTURE(bad);
    check_fault([&](Device device) {
      return index_select(with({1, 2, 3, 4}, device), 0, integers({3, bad, 0}, device));
    });
    check_fault([&](Device device) {
      return gather(with({1, 2, 3, 4}, device), integers({3, 0, bad}, device), 0);
    });
    check_fault([&](Device device) {
      return cross_entropy(zeros({3, 4}, {.device = device}), integers({3, bad, 0}, device));
    });
  }
}

TEST_CASE("of several faults the first op's is raised, once") {
  if (!gpu_or_skip()) return;
  const auto first = [](Device device) { return encode(with({1, 1e30}, device), 8); };
  const std::string text = error_of([&] { first(Device::cpu()); });
  CHECK(error_of([&] {
          first(Device::cuda());
          for (int i = 0; i < 100; ++i) encode(with({std::nan("")}, Device::cuda()));
          synchronize(Device::cuda());
        }) == text);
  synchronize(Device::cuda());
}
