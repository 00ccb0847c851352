/// The device that tests of devices use.
#pragma once

#include <tenet/core/device.h>

namespace tenet::test {

/// Whether there is a GPU, or a stand-in for one.
bool has_cuda();

/// Where tests that run on any device keep their tensors: cuda:0 with TENET_STAND_IN_GPU=1 or
/// TENET_TEST_DEVICE=cuda, else the CPU.
Device test_device();

}  // namespace tenet::test
