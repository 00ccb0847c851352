/// Runs a Task of the GPU on the CPU, Note [Tasks] in cuda/detail/gpu_thread.h: each thread of a
/// block is a fiber that stops where the threads of a GPU would wait for each other.
#pragma once

#include <doctest/doctest.h>
#include <tenet/cuda/detail/gpu_thread.h>
#include <ucontext.h>

#include <cstddef>
#include <cstring>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace tenet::test {

/// The fibers of one block.
class Fibers {
 public:
  explicit Fibers(int count)
      : fibers_(static_cast<size_t>(count)), groups_(static_cast<size_t>(count / 32 + 2)) {}

  /// Runs body(thread) for each to its end. Fails if they wait for each other in vain.
  void run(const std::function<void(int)>& body) {
    body_ = &body;
    for (Fiber& fiber : fibers_) start(fiber);
    int left = static_cast<int>(fibers_.size());
    bool stuck = false;
    while (left > 0 && !stuck) {
      progress_ = false;
      for (current_ = 0; current_ < static_cast<int>(fibers_.size()); ++current_) {
        Fiber& fiber = fibers_[static_cast<size_t>(current_)];
        if (fiber.done) continue;
        running = this;
        swapcontext(&main_, &fiber.context);
        if (fiber.done) --left;
      }
      stuck = !progress_;
    }
    REQUIRE_MESSAGE(!stuck, "threads wait for one that is gone");
  }

  /// Waits for all of the block, or of the warp that `thread` belongs to.
  void wait_for_block() { wait(groups_[0], static_cast<int>(fibers_.size())); }
  void wait_for_warp(int thread) {
    const int first = thread / 32 * 32;
    wait(groups_[static_cast<size_t>(thread / 32 + 1)],
         std::min(32, static_cast<int>(fibers_.size()) - first));
  }
  /// Where a thread leaves a value for its neighbours.
  std::byte* slot(int thread) { return fibers_[static_cast<size_t>(thread)].slot; }

 private:
  struct Fiber {
    ucontext_t context;
    std::unique_ptr<std::byte[]> stack;
    alignas(16) std::byte slot[16];
    bool done = false;
  };
  struct Group {
    int arrived = 0, round = 0;
  };
  static constexpr size_t stack_bytes = 1 << 18;

  void start(Fiber& fiber) {
    if (!fiber.stack) fiber.stack = std::make_unique_for_overwrite<std::byte[]>(stack_bytes);
    fiber.done = false;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = stack_bytes;
    fiber.context.uc_link = &main_;
    makecontext(&fiber.context, &Fibers::enter, 0);
  }
  static void enter() {
    Fibers& self = *running;
    const int thread = self.current_;
    (*self.body_)(thread);
    self.progress_ = true;
    self.fibers_[static_cast<size_t>(thread)].done = true;
  }
  void wait(Group& group, int count) {
    const int round = group.round, thread = current_;
    progress_ = true;
    if (++group.arrived == count) {
      group.arrived = 0;
      ++group.round;
      return;
    }
    while (group.round == round) {
      swapcontext(&fibers_[static_cast<size_t>(thread)].context, &main_);
    }
    progress_ = true;
  }

  static inline Fibers* running = nullptr;
  std::vector<Fiber> fibers_;
  std::vector<Group> groups_;
  ucontext_t main_{};
  const std::function<void(int)>* body_ = nullptr;
  int current_ = 0;
  bool progress_ = false;
};

/// As cuda::GpuThread.
struct EmulatedThread {
  int64_t block, blocks;
  int thread, threads;
  void* memory;
  Fibers* fibers;

  template <class T>
  T* shared() const {
    return static_cast<T*>(memory);
  }
  int64_t place() const { return block * threads + thread; }
  int64_t stride() const { return blocks * threads; }
  void sync() const { fibers->wait_for_block(); }
  template <class V>
  V down(V value, int distance) const {
    const int lane = thread % cuda::kLanes;
    return from(value, lane + distance < cuda::kLanes ? thread + distance : thread);
  }
  template <class V>
  V first(V value) const {
    return from(value, thread - thread % cuda::kLanes);
  }
  int32_t exchange(int32_t* place, int32_t value) const { return std::exchange(*place, value); }

 private:
  template <class V>
  V from(V value, int other) const {
    std::memcpy(fibers->slot(thread), &value, sizeof(V));
    fibers->wait_for_warp(thread);
    V result;
    std::memcpy(&result, fibers->slot(other), sizeof(V));
    fibers->wait_for_warp(thread);
    return result;
  }
};

/// Runs every block of a launch. Shared memory starts as garbage.
template <class Task>
void emulate(const Task& task, int64_t blocks, int threads, int64_t shared_bytes = 0) {
  Fibers fibers(threads);
  std::vector<double> shared(static_cast<size_t>(shared_bytes) / 8 + 2);
  for (int64_t block = 0; block < blocks; ++block) {
    std::memset(shared.data(), 0xcd, shared.size() * 8);
    fibers.run([&](int thread) {
      task(EmulatedThread{block, blocks, thread, threads, shared.data(), &fibers});
    });
  }
}

}  // namespace tenet::test
