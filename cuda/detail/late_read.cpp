#include <tenet/cuda/detail/capture.h>
#include <tenet/cuda/detail/fault.h>
#include <tenet/cuda/detail/late_read.h>

#include <array>
#include <memory>
#include <mutex>
#include <vector>

namespace tenet::cuda {
namespace {

/// Pinned memory for one number, with the event that says that it has come.
struct Slot {
  struct Contents {
    double number;
    Fault fault;
  };
  Contents* contents = nullptr;
  cudaEvent_t done = nullptr;
};

/// Slots of one device that nobody waits for.
struct Slots {
  std::mutex mutex;
  std::vector<Slot> free;
};

Slots& slots_of(int index) {
  static auto* all = new std::array<Slots, kMaxDevices>;
  return (*all)[static_cast<size_t>(index)];
}

Slot take_slot(Slots& slots) {
  {
    const std::lock_guard lock(slots.mutex);
    if (!slots.free.empty()) {
      const Slot slot = slots.free.back();
      slots.free.pop_back();
      return slot;
    }
  }
  Slot slot;
  check(cudaMallocHost(reinterpret_cast<void**>(&slot.contents), sizeof(Slot::Contents)),
        "cudaMallocHost");
  check(cudaEventCreateWithFlags(&slot.done, cudaEventDisableTiming), "cudaEventCreate");
  return slot;
}

class Pending : public tenet::detail::PendingNumber {
 public:
  explicit Pending(const double* number)
      : device_(current_device()), slots_(slots_of(device_.index)), slot_(take_slot(slots_)) {
    check(cudaMemcpyAsync(&slot_.contents->number, number, sizeof(double), cudaMemcpyDeviceToHost,
                          stream()),
          "late read");
    last_launch_ = copy_fault(&slot_.contents->fault);
    after_capture([done = slot_.done, started = started_] {
      check(cudaEventRecord(done, stream()), "late read");
      *started = true;
    });
  }
  ~Pending() override {
    cudaEventSynchronize(slot_.done);
    const std::lock_guard lock(slots_.mutex);
    slots_.free.push_back(slot_);
  }

  double wait() override {
    if (!*started_) refuse_capture("the value of a LateRead");
    check(cudaEventSynchronize(slot_.done), "late read");
    tenet::detail::select_device(device_);
    if (slot_.contents->fault.launch != 0) raise_fault(slot_.contents->fault);
    forget_launches(last_launch_);
    return slot_.contents->number;
  }

 private:
  Device device_;
  Slots& slots_;
  Slot slot_;
  unsigned long long last_launch_ = 0;
  std::shared_ptr<bool> started_ = std::make_shared<bool>(false);  // not only collected
};

}  // namespace

std::unique_ptr<tenet::detail::PendingNumber> read_later(const double* number) {
  return std::make_unique<Pending>(number);
}

}  // namespace tenet::cuda
