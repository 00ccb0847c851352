#include <device.h>
#include <stand_in_gpu.h>

#include <cstdlib>
#include <cstring>

namespace tenet::test {

bool has_cuda() {
  static const bool found = device_count(Device::Kind::cuda) > 0;
  return found;
}

namespace {
int skipped = 0;
}

bool gpu_or_skip() {
  if (!has_cuda()) ++skipped;
  return has_cuda();
}

int cases_without_gpu() { return skipped; }

Device test_device() {
  const char* const value = std::getenv("TENET_TEST_DEVICE");
  const bool asked = value != nullptr && std::strcmp(value, "cuda") == 0;
  return asked || wants_stand_in_gpu() ? Device::cuda() : Device::cpu();
}

}  // namespace tenet::test
