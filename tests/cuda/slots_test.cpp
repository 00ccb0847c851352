#include <stand_in_gpu.h>
#include <tenet/core/detail/device_runtime.h>

#include <doctest/doctest.h>

using namespace tenet;
using namespace tenet::test;

TEST_CASE("a build with CUDA has every kernel") {
  if (detail::device_runtime(Device::Kind::cuda) == nullptr) return;
  CHECK(stand_in::empty_slots() == std::vector<std::string>{});
}
