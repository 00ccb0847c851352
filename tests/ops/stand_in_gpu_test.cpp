#include <stand_in_gpu.h>
#include <sys/wait.h>
#include <tenet/core/detail/core_kernels.h>
#include <tenet/core/error.h>
#include <tenet/core/memory.h>
#include <tenet/core/view.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/matmul.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <cmath>
#include <csignal>

#include "compare.h"

using namespace tenet;
using namespace tenet::test;

namespace {

/// The signal that ends a process which does this; 0 if none does.
template <class F>
int signal_of(F&& action) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGSEGV, SIG_DFL);
    action();
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

}  // namespace

TEST_CASE("stand-in GPU: kernels reach its memory, the host does not" *
          doctest::skip(!wants_stand_in_gpu())) {
  const Tensor x = full({3}, 2, {.device = Device::cuda()});
  CHECK((x * x).to_vector<float>() == std::vector<float>{4, 4, 4});
  auto* const first = static_cast<volatile float*>(view(x).data);
  CHECK(signal_of([&] { *first = *first + 1; }) == SIGSEGV);
  CHECK(*static_cast<const float*>(stand_in::opened(view(x).data)) == 2);
}

TEST_CASE("stand-in GPU: its memory is counted, comes as NaN and ends" *
          doctest::skip(!wants_stand_in_gpu())) {
  const int64_t live = memory::stats(Device::cuda()).live;
  const Tensor x = empty({4}, {.device = Device::cuda()});
  CHECK(memory::stats(Device::cuda()).live == live + 16);
  CHECK(std::isnan(x.to_vector<float>()[3]));
  CHECK_THROWS_AS(empty({stand_in_bytes}, {.device = Device::cuda()}), OutOfMemory);
}

TEST_CASE("stand-in GPU: a gradient is on its tensor's device" *
          doctest::skip(!wants_stand_in_gpu())) {
  Tensor x = ones({2}, {.device = Device::cuda()});
  x.set_requires_grad(true);
  check_error([&] { x.set_grad(ones({2})); },
              "set_grad: the gradient is on cpu, the tensor on cuda:0; move one with .to(device)");
}

TEST_CASE("stand-in GPU: a kernel takes no tensor of the host" *
          doctest::skip(!wants_stand_in_gpu())) {
  const Tensor there = ones({2}, {.device = Device::cuda()}), here = ones({2});
  check_error(
      [&] {
        detail::matmul_kernel(Device::cuda(), view(there), view(here), view(there), View(),
                              detail::MatmulOptions());
      },
      "stand-in GPU: matmul got a tensor on the host");
  View wrong = view(there);
  wrong.device = Device::cpu();
  check_error([&] { detail::copy_kernel(Device::cuda(), view(there), wrong); },
              "stand-in GPU: copy got a tensor on cpu");
}
