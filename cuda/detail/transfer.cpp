/// Copies between devices.
///
/// To a GPU, small tensors pass through pinned memory, so that the program goes on at once and a
/// step's input is copied while the step before still runs. From a GPU the program waits, and hears
/// of faults: see Note [Faults].
#include <tenet/core/detail/core_kernels.h>
#include <tenet/core/detail/device_runtime.h>
#include <tenet/core/error.h>
#include <tenet/cuda/detail/capture.h>
#include <tenet/cuda/detail/fault.h>

#include <array>
#include <cstring>
#include <deque>
#include <mutex>

namespace tenet::cuda {
namespace {

/// Pinned slots that copies to one GPU go through; each is free again once its copy is done.
class Staging {
 public:
  static constexpr int64_t kSlotBytes = 1 << 20;

  void copy(void* to, const void* from, int64_t bytes) {
    const std::lock_guard lock(mutex_);
    Slot& slot = take();
    std::memcpy(slot.bytes, from, static_cast<size_t>(bytes));
    check(cudaMemcpyAsync(to, slot.bytes, static_cast<size_t>(bytes), cudaMemcpyHostToDevice,
                          stream()),
          "copy to the GPU");
    slot.collected = true;
    after_capture([&slot] {
      check(cudaEventRecord(slot.done, stream()), "cudaEventRecord");
      slot.collected = false;
    });
  }

 private:
  struct Slot {
    void* bytes = nullptr;
    cudaEvent_t done = nullptr;
    bool collected = false;  // its copy is part of a graph that has not been started
  };
  static constexpr size_t kSlots = 8;  // more only for one graph

  Slot& take() {
    for (Slot& slot : slots_) {
      if (!slot.collected && cudaEventQuery(slot.done) == cudaSuccess) return slot;
    }
    if (slots_.size() >= kSlots && !slots_.front().collected) {
      check(cudaEventSynchronize(slots_.front().done), "copy to the GPU");
      return slots_.front();
    }
    Slot slot;
    check(cudaMallocHost(&slot.bytes, kSlotBytes), "cudaMallocHost");
    check(cudaEventCreateWithFlags(&slot.done, cudaEventDisableTiming), "cudaEventCreate");
    return slots_.emplace_back(slot);
  }

  std::mutex mutex_;
  std::deque<Slot> slots_;
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
  refuse_capture("a copy between GPUs");
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
    refuse_capture("reading a result");
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
  refuse_capture("a large copy to the GPU");
  // From pageable memory the call returns once the bytes have been read.
  check(cudaMemcpyAsync(to.data, from.data, static_cast<size_t>(bytes), cudaMemcpyHostToDevice,
                        stream()),
        "copy to the GPU");
}

const bool filled = tenet::detail::transfer_kernel.fill(Device::Kind::cuda, &transfer);

}  // namespace
}  // namespace tenet::cuda
