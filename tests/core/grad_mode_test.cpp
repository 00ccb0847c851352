#include <doctest/doctest.h>
#include <tenet/core/grad_mode.h>

#include <thread>

#include "core/small_ops.h"

using namespace tenet;
using namespace tenet::test;

TEST_CASE("grad mode is a scope of this thread") {
  const Tensor x = leaf({3}, 1);
  CHECK(grad_enabled());
  {
    const NoGrad off;
    CHECK_FALSE(grad_enabled());
    CHECK_FALSE(plus(x, x).requires_grad());
    {
      const EnableGrad on;
      CHECK(plus(x, x).requires_grad());
    }
    CHECK_FALSE(grad_enabled());
    std::thread([] { CHECK(grad_enabled()); }).join();
  }
  CHECK(plus(x, x).requires_grad());
  CHECK_FALSE(plus(x.detach(), x.detach()).requires_grad());
}

TEST_CASE("autocast is a scope that takes half types") {
  CHECK_FALSE(autocast_dtype().has_value());
  {
    const Autocast outer(DType::bf16);
    const Autocast inner(std::nullopt);
    CHECK_FALSE(autocast_dtype().has_value());
  }
  CHECK(error_of([] { Autocast scope(DType::f32); }) ==
        "autocast: dtype f32 is not a half type; use bf16 or f16");
  CHECK_FALSE(autocast_dtype().has_value());
}
