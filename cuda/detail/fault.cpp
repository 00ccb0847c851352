#include <tenet/core/error.h>
#include <tenet/cuda/detail/capture.h>
#include <tenet/cuda/detail/fault.h>

#include <array>
#include <deque>
#include <mutex>

namespace tenet::cuda {
namespace {

/// A launch that may still turn out to have found a fault.
struct Expected {
  unsigned long long launch;
  FaultFacts facts;
  SayFault say;
};

/// One device's fault, in its memory, and what was launched since it was last looked at.
struct Faults {
  std::mutex mutex;
  Fault* on_device = nullptr;
  Fault* pinned = nullptr;
  unsigned long long last = 0;
  std::deque<Expected> expected;
};

/// Launches that are remembered. Whoever never reads a result hears of the latest ones.
constexpr size_t kRemembered = 1 << 16;

Faults& faults() {
  static auto* all = new std::array<Faults, kMaxDevices>;
  return (*all)[static_cast<size_t>(current_device().index)];
}

void clear(const Faults& all) {
  const cudaError_t status = capturing()
                                 ? cudaMemset(all.on_device, 0, sizeof(Fault))
                                 : cudaMemsetAsync(all.on_device, 0, sizeof(Fault), stream());
  check(status, "fault");
}

void open(Faults& all) {
  if (all.on_device != nullptr) return;
  check(cudaMallocHost(reinterpret_cast<void**>(&all.pinned), sizeof(Fault)), "fault");
  check(cudaMalloc(reinterpret_cast<void**>(&all.on_device), sizeof(Fault)), "fault");
  clear(all);
}

}  // namespace

FaultNote expect_faults(const FaultFacts& facts, SayFault say) {
  Faults& all = faults();
  const std::lock_guard lock(all.mutex);
  open(all);
  if (all.expected.size() == kRemembered) all.expected.pop_front();
  all.expected.push_back({++all.last, facts, say});
  return {all.on_device, all.last};
}

unsigned long long copy_fault(Fault* to) {
  Faults& all = faults();
  const std::lock_guard lock(all.mutex);
  open(all);
  check(cudaMemcpyAsync(to, all.on_device, sizeof(Fault), cudaMemcpyDeviceToHost, stream()),
        "fault");
  return all.last;
}

void forget_launches(unsigned long long last) {
  Faults& all = faults();
  const std::lock_guard lock(all.mutex);
  while (!all.expected.empty() && all.expected.front().launch <= last) all.expected.pop_front();
}

void raise_fault(const Fault& fault) {
  Faults& all = faults();
  const std::lock_guard lock(all.mutex);
  clear(all);
  const std::deque<Expected> expected = std::move(all.expected);
  all.expected.clear();
  for (const Expected& one : expected) {
    if (one.launch == fault.launch) tenet::fail("{}", one.say(one.facts, fault));
  }
  tenet::fail("cuda: a kernel found a bad value at element {}", fault.place);
}

void raise_faults() {
  refuse_capture("reading a result");
  Faults& all = faults();
  Fault fault{};
  {
    const std::lock_guard lock(all.mutex);
    if (!all.expected.empty()) {
      check(cudaMemcpyAsync(all.pinned, all.on_device, sizeof(Fault), cudaMemcpyDeviceToHost,
                            stream()),
            "synchronize");
    }
    check(cudaStreamSynchronize(stream()), "synchronize");
    if (!all.expected.empty()) fault = *all.pinned;
    if (fault.launch == 0) all.expected.clear();
  }
  if (fault.launch != 0) raise_fault(fault);
}

}  // namespace tenet::cuda
