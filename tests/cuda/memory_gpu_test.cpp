#include <compare.h>
#include <device.h>
#include <tenet/core/error.h>
#include <tenet/core/memory.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/creation.h>

#include <doctest/doctest.h>

using namespace tenet;
using namespace tenet::test;
using memory::Category;

namespace {

int64_t live(Category category = Category::all) {
  return memory::stats(Device::cuda(), category).live;
}

Tensor on_gpu(Shape shape, double value) {
  return full(std::move(shape), value, {.device = Device::cuda()});
}

}  // namespace

TEST_CASE("the memory of a GPU is counted by category, apart from the CPU's") {
  if (!gpu_or_skip()) return;
  const int64_t before = live(), weights = live(Category::parameter);
  const int64_t host = memory::stats(Device::cpu()).live;
  {
    const memory::Scope scope(Category::parameter);
    const Tensor x = on_gpu({1000}, 1);
    CHECK(live() == before + 4000);
    CHECK(live(Category::parameter) == weights + 4000);
    CHECK(memory::stats(Device::cpu()).live == host);
    CHECK(memory::stats(Device::cuda()).reserved >= 4000);
  }
  CHECK(live() == before);
  memory::reset_peak(Device::cuda());
  { const Tensor x = on_gpu({3000}, 1), y = x + x; }
  CHECK(memory::stats(Device::cuda()).peak >= before + 24000);
}

TEST_CASE("what a GPU does not have is an error with the largest holders, and work goes on") {
  if (!gpu_or_skip()) return;
  const Tensor kept = on_gpu({1000}, 2);
  const int64_t before = live();
  std::string text;
  try {
    empty({int64_t{1} << 44}, {.device = Device::cuda()});
  } catch (const OutOfMemory& error) {
    text = error.what();
  }
  INFO(text);
  CHECK(text.starts_with(fmt::format(
      "memory: {} bytes on cuda:0 could not be allocated ({} live: ", int64_t{1} << 46, before)));
  CHECK(text.find(fmt::format("activation {}", live(Category::activation))) != std::string::npos);
  CHECK(text.ends_with(" reserved); use a smaller batch or length, or more chunks"));
  CHECK(live() == before);
  CHECK((kept * kept).to_vector<float>() == std::vector<float>(1000, 4));
}

TEST_CASE("an allocation of each kind may fail, and the GPU goes on") {
  if (!gpu_or_skip()) return;
  const Tensor x = on_gpu({64, 64}, 1);
  const int64_t before = live();
  for (int n = 0; n < 2; ++n) {
    detail::fail_allocation_after(n);
    CHECK_THROWS_AS((x + x) * x, OutOfMemory);
    CHECK(live() == before);
  }
  detail::fail_allocation_after(-1);
  CHECK((x + x).to_vector<float>()[0] == 2);
}

TEST_CASE("trim gives back what no tensor holds") {
  if (!gpu_or_skip()) return;
  { const Tensor x = on_gpu({int64_t{1} << 20}, 1); }
  const Tensor kept = on_gpu({10}, 3);
  memory::trim(Device::cuda());
  CHECK(memory::stats(Device::cuda()).reserved >= live());
  CHECK(kept.to_vector<float>() == std::vector<float>(10, 3));
}
