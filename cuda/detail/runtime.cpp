#include <tenet/core/detail/device_runtime.h>
#include <tenet/core/error.h>
#include <tenet/cuda/detail/capture.h>
#include <tenet/cuda/detail/fault.h>
#include <tenet/cuda/detail/late_read.h>
#include <tenet/cuda/detail/runtime.h>

#include <array>
#include <cstdlib>
#include <mutex>
#include <optional>

namespace tenet::cuda {
namespace {

/// A GPU that was used: its stream lives as long as the program.
struct Gpu {
  std::once_flag opened;
  DeviceFacts facts;
  cudaStream_t stream = nullptr;
};

Gpu& gpu(int index) {
  static auto* all = new std::array<Gpu, kMaxDevices>;
  return (*all)[static_cast<size_t>(index)];
}

thread_local int selected = -1;

int visible_devices() {
  static const int count = [] {
    int found = 0;
    return cudaGetDeviceCount(&found) == cudaSuccess ? std::min(found, kMaxDevices) : 0;
  }();
  return count;
}

int attribute(cudaDeviceAttr name, int index) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, name, index), "cudaDeviceGetAttribute");
  return value;
}

void open(Gpu& device, int index) {
  size_t free_bytes = 0, total_bytes = 0;
  check(cudaMemGetInfo(&free_bytes, &total_bytes), "cudaMemGetInfo");
  device.facts = {
      .multiprocessors = attribute(cudaDevAttrMultiProcessorCount, index),
      .major = attribute(cudaDevAttrComputeCapabilityMajor, index),
      .minor = attribute(cudaDevAttrComputeCapabilityMinor, index),
      .shared_bytes = attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, index),
      .l2_bytes = attribute(cudaDevAttrL2CacheSize, index),
      .memory_bytes = static_cast<int64_t>(total_bytes),
  };
  check(cudaStreamCreateWithFlags(&device.stream, cudaStreamNonBlocking), "cudaStreamCreate");
}

/// Selecting is one comparison where the device stays the same.
void select(int index) {
  if (index == selected) return;
  if (index < 0 || index >= visible_devices()) {
    int found = 0;
    check(cudaGetDeviceCount(&found), "cudaGetDeviceCount");
    tenet::fail("cuda: there is no cuda:{}; this machine has {} GPU{}", index, found,
                found == 1 ? "" : "s");
  }
  check(cudaSetDevice(index), "cudaSetDevice");
  std::call_once(gpu(index).opened, [&] { open(gpu(index), index); });
  selected = index;
}

struct Runtime : tenet::detail::DeviceRuntime {
  int count() override { return visible_devices(); }
  void select(int index) override { cuda::select(index); }
  void synchronize(int index) override {
    cuda::select(index);
    raise_faults();
  }
  std::unique_ptr<tenet::detail::PendingNumber> read_later(const double* number,
                                                           int index) override {
    cuda::select(index);
    return cuda::read_later(number);
  }
  std::unique_ptr<tenet::detail::GraphRunner> graph_runner(int index) override {
    cuda::select(index);
    return make_graph_runner();
  }
};

const bool installed = [] {
  static Runtime runtime;
  tenet::detail::set_device_runtime(Device::Kind::cuda, &runtime);
  return true;
}();

}  // namespace

void fail_cuda(cudaError_t status, const char* what) {
  const char* remedy = "";
  if (status == cudaErrorInsufficientDriver || status == cudaErrorNoDevice) {
    remedy = "; there is no usable GPU or its driver is older than the CUDA toolkit: use the CPU";
  } else if (status == cudaErrorNoKernelImageForDevice) {
    remedy = "; configure with -DCMAKE_CUDA_ARCHITECTURES=native on this machine";
  }
  tenet::fail("cuda: {}: {}{}", what, cudaGetErrorString(status), remedy);
}

Device current_device() {
  if (selected < 0) select(0);
  return Device::cuda(selected);
}

const DeviceFacts& facts() { return gpu(current_device().index).facts; }

cudaStream_t stream() { return gpu(current_device().index).stream; }

void check_launch(const char* name, cudaError_t status) {
  static const bool waits = [] {
    const char* value = std::getenv("TENET_CUDA_SYNC");
    return value != nullptr && *value != '\0' && *value != '0';
  }();
  check(status, name);
  if (waits) check(cudaStreamSynchronize(stream()), name);
}

unsigned blocks_of(int64_t count, const char* name) {
  tenet::check(count < int64_t{1} << 31, "{}: {} blocks are too many for one launch", name, count);
  return static_cast<unsigned>(count);
}

}  // namespace tenet::cuda
