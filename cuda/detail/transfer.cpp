/// Copies between devices.
///
/// To a GPU, small tensors pass through pinned memory, so that the program goes on at once and a
/// step's input is copied while the step before still runs. From a GPU the program waits, and hears
/// of faults: see Note [Faults].
#include <tenet/core/detail/core_kernels.h>
#include <tenet/core/detail/device_runtime.h>
#include <tenet/core/error.h>
#include <tenet/cuda/detail/fault.h>

#include <array>
#include <cstring>
#include <mutex>

namespace tenet::cuda {
namespace {

/// Pinned slots that copies to one GPU go through in turn; free again once its copy is done.
class Staging {
 public:
  static constexpr int64_t kSlotBytes = 1 << 20;

  void copy(void* to, const void* from, int64_t bytes) {
    const std::lock_guard lock(mutex_);
    Slot& slot = slots_[next_++ % slots_.size()];
    if (slot.bytes == nullptr) {
      check(cudaMallocHost(&slot.bytes, kSlotBytes), "cudaMallocHost");
      check(cudaEventCreateWithFlags(&slot.done, cudaEventDisableTiming), "cudaEventCreate");
    } else {
      check(cudaEventSynchronize(slot.done), "cudaEventSynchronize");
    }
    std::memcpy(slot.bytes, from, static_cast<size_t>(bytes));
    check(cudaMemcpyAsync(to, slot.bytes, static_cast<size_t>(bytes), cudaMemcpyHostToDevice,
                          stream()),
          "copy to the GPU");
    check(cudaEventRecord(slot.done, stream()), "cudaEventRecord");
  }

 private:
  struct Slot {
    void* bytes = nullptr;
    cudaEvent_t done = nullptr;
  };
  std::mutex mutex_;
  std::array<Slot, 8> slots_;
  size_t next_ = 0;
};

Staging& staging() {
  static auto* all = new std::array<Staging, kMaxDevices>;
  return (*all)[static_cast<size_t>(current_device().index)];
}

/// Between two GPUs: each stream waits for what the other has still to do with the bytes.
void copy_across(const View& to, const View& from, int64_t bytes) {
  const auto wait_for = [](Device first, Device then) {
    cudaEvent_t event = nullptr;
    tenet::detail::select_device(first);
    check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreate");
    check(cudaEventRecord(event, stream()), "cudaEventRecord");
    tenet::detail::select_device(then);
    check(cudaStreamWaitEvent(stream(), event), "cudaStreamWaitEvent");
    check(cudaEventDestroy(event), "cudaEventDestroy");
  };
  wait_for(to.device, from.device);
  check(cudaMemcpyPeerAsync(to.data, to.device.index, from.data, from.device.index,
                            static_cast<size_t>(bytes), stream()),
        "copy between GPUs");
  wait_for(from.device, to.device);
}

/// Both are contiguous and of one type.
void transfer(View to, View from) {
  const int64_t bytes = to.numel() * itemsize(to.dtype);
  tenet::check(to.dtype == from.dtype, "transfer: {} to {} between devices", from.dtype, to.dtype);
  if (to.device.is_cpu()) {
    tenet::detail::select_device(from.device);
    if (bytes > 0) {
      check(cudaMemcpyAsync(to.data, from.data, static_cast<size_t>(bytes), cudaMemcpyDeviceToHost,
                            stream()),
            "copy from the GPU");
    }
    raise_faults();
    return;
  }
  if (bytes == 0) return;
  if (!from.device.is_cpu()) return copy_across(to, from, bytes);
  tenet::detail::select_device(to.device);
  if (bytes <= Staging::kSlotBytes) return staging().copy(to.data, from.data, bytes);
  // From pageable memory the call returns once the bytes have been read.
  check(cudaMemcpyAsync(to.data, from.data, static_cast<size_t>(bytes), cudaMemcpyHostToDevice,
                        stream()),
        "copy to the GPU");
}

const bool filled = tenet::detail::transfer_kernel.fill(Device::Kind::cuda, &transfer);

}  // namespace
}  // namespace tenet::cuda
