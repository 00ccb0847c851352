/// The device that tests of devices use.
#pragma once

#include <tenet/core/device.h>

namespace tenet::test {

/// Whether there is a GPU, or a stand-in for one.
bool has_cuda();

/// Where tests that run on any device keep their tensors: cuda:0 with TENET_STAND_IN_GPU=1 or
/// TENET_TEST_DEVICE=cuda, else the CPU.
Device test_device();

/// The first line of a case that needs a GPU, or a stand-in: `if (!gpu_or_skip()) return;`. A
/// program of which no other case ran is skipped (ctest), and says so in one line.
bool gpu_or_skip();
/// How many cases were skipped so.
int cases_without_gpu();

}  // namespace tenet::test
