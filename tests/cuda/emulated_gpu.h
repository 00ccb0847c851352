/// Runs the body of a kernel on the CPU, cuda/detail/machine.h: each thread of a block is a fiber.
///
/// Shuffles and products gather what every lane gives and compute from the layouts in mma.h. Memory
/// starts as NaN, copies happen as late as they may, and a barrier that some thread never reaches
/// is an error, so that what the GPU would only sometimes get wrong fails here.
#pragma once

#include <tenet/core/error.h>
#include <tenet/cuda/detail/mma.h>

#include <setjmp.h>
#include <ucontext.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

namespace tenet::test {

class EmulatedGpu {
 public:
  /// Runs body(shared memory) in each thread of each block.
  template <class Body>
  static void run(int64_t blocks, int threads, int64_t shared_bytes, Body&& body) {
    std::vector<double> shared(static_cast<size_t>(shared_bytes / 8 + kGuard));
    for (int64_t n = 0; n < blocks; ++n) {
      std::memset(shared.data(), 0xff, shared.size() * sizeof(double));
      void* const memory = (reinterpret_cast<uintptr_t>(shared.data()) & 15) == 0
                               ? shared.data()
                               : shared.data() + 1;
      EmulatedGpu(n, threads, [&] { body(memory); }).run_block();
      const auto* const end = static_cast<const unsigned char*>(memory) + shared_bytes;
      for (int i = 0; i < 8 * kGuard - 16; ++i) {
        check(end[i] == 0xff, "a write {} bytes behind the shared memory", i);
      }
    }
  }

  static int thread() { return current_->running_; }
  static int threads() { return static_cast<int>(current_->fibers_.size()); }
  static int64_t block() { return current_->block_; }

  static void barrier() { current_->wait(current_->all_, {}); }
  static bool barrier_any(bool value) {
    current_->any_ = current_->any_ || value;
    barrier();
    const bool any = current_->any_;
    barrier();
    current_->any_ = false;
    barrier();
    return any;
  }
  static void warp_barrier() { meet({}); }
  template <class V>
  static V shuffle(V value, int lane) {
    V result = value;
    struct Given {
      V value;
      int from;
      V* to;
    } given{value, lane & 31, &result};
    meet_with(given, [](Given** lanes) {
      for (int l = 0; l < 32; ++l) *lanes[l]->to = lanes[lanes[l]->from]->value;
    });
    return result;
  }
  template <class V>
  static V shuffle_xor(V value, int mask) {
    return shuffle(value, (thread() & 31) ^ mask);
  }
  static float exp2(float x) { return std::exp2(x); }

  template <class T>
  static uint32_t pack(float low, float high) {
    return uint32_t{T(low).bits} | uint32_t{T(high).bits} << 16;
  }
  template <class T>
  static void multiply_add(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    struct Given {
      float* c;
      uint32_t a[4], b[2];
    } given{c, {a[0], a[1], a[2], a[3]}, {b0, b1}};
    meet_with(given, [](Given** lanes) {
      float left[16][16], right[16][8];
      for (int l = 0; l < 32; ++l) {
        for (int e = 0; e < 8; ++e) {
          const auto place = cuda::mma::a_place(l, e);
          left[place.row][place.column] = element<T>(lanes[l]->a, e);
        }
        for (int e = 0; e < 4; ++e) {
          const auto place = cuda::mma::b_place(l, e);
          right[place.row][place.column] = element<T>(lanes[l]->b, e);
        }
      }
      for (int l = 0; l < 32; ++l) {
        for (int e = 0; e < 4; ++e) {
          const auto place = cuda::mma::c_place(l, e);
          for (int k = 0; k < 16; ++k) {
            lanes[l]->c[e] += left[place.row][k] * right[k][place.column];
          }
        }
      }
    });
  }
  static void load_matrices(uint32_t (&to)[4], const void* row) { load(to, row, false); }
  static void load_matrices_transposed(uint32_t (&to)[4], const void* row) { load(to, row, true); }

  static void copy_async(void* to, const void* from, bool valid) {
    check(reinterpret_cast<uintptr_t>(to) % 16 == 0, "copy to an address that is not aligned");
    check(!valid || reinterpret_cast<uintptr_t>(from) % 16 == 0, "copy from one that is not");
    current_->own().copies.back().push_back({to, valid ? from : nullptr});
  }
  static void commit_copies() { current_->own().copies.emplace_back(); }
  template <int pending>
  static void wait_for_copies() {
    auto& groups = current_->own().copies;
    while (groups.size() > pending + 1) {
      for (const Copy& copy : groups.front()) {
        copy.from ? std::memcpy(copy.to, copy.from, 16) : std::memset(copy.to, 0, 16);
      }
      groups.erase(groups.begin());
    }
  }

 private:
  struct Copy {
    void* to;
    const void* from;
  };
  struct Fiber {
    ucontext_t context;
    jmp_buf place;
    bool started = false;
    std::unique_ptr<char[]> stack;
    std::vector<std::vector<Copy>> copies{1};
    bool done = false;
    void* given = nullptr;
  };
  /// Threads that wait for each other.
  struct Group {
    int first = 0, size = 0, arrived = 0, left = 0;
    int64_t meetings = 0;
  };
  static constexpr int kGuard = 512;  // numbers behind the shared memory
  static constexpr size_t kStack = 128 * 1024;

  EmulatedGpu(int64_t block, int threads, std::function<void()> body)
      : block_(block), body_(std::move(body)), fibers_(static_cast<size_t>(threads)) {
    all_ = {0, threads, 0, 0, 0};
    for (int first = 0; first < threads; first += 32) warps_.push_back({first, 32, 0, 0, 0});
  }

  void run_block() {
    current_ = this;
    for (Fiber& fiber : fibers_) {
      fiber.stack.reset(new char[kStack]);
      getcontext(&fiber.context);
      fiber.context.uc_stack.ss_sp = fiber.stack.get();
      fiber.context.uc_stack.ss_size = kStack;
      fiber.context.uc_link = nullptr;
      makecontext(&fiber.context, &EmulatedGpu::enter, 0);
    }
    for (int64_t idle = 0; all_.left < all_.size; ++idle) {
      check(idle < 1 << 20, "some threads wait for others that have left");
      for (Group& warp : warps_) run_warp(warp, idle);
    }
    current_ = nullptr;
  }
  /// Until all of its threads have left or wait for other warps.
  void run_warp(Group& warp, int64_t& idle) {
    int64_t before;
    do {
      before = warp.meetings + warp.left;
      for (running_ = warp.first; running_ < warp.first + warp.size; ++running_) {
        if (!own().done) resume();
      }
      if (warp.meetings + warp.left != before) idle = 0;
    } while (warp.meetings + warp.left != before && warp.left < warp.size);
  }
  /// Once a fiber runs, jumps lead in and out of it: unlike swapcontext() they call no system.
  [[gnu::noinline]] void resume() {
    if (_setjmp(main_place_) != 0) return;
    if (own().started) _longjmp(own().place, 1);
    own().started = true;
    setcontext(&own().context);
  }
  [[gnu::noinline]] void pause() {
    if (_setjmp(own().place) == 0) _longjmp(main_place_, 1);
  }
  static void enter() {
    EmulatedGpu& gpu = *current_;
    gpu.body_();
    gpu.own().done = true;
    ++gpu.warps_[static_cast<size_t>(gpu.running_ / 32)].left;
    ++gpu.all_.left;
    _longjmp(gpu.main_place_, 1);
  }

  Fiber& own() { return fibers_[static_cast<size_t>(running_)]; }

  /// Waits for the group; the last one calls `then`.
  void wait(Group& group, const std::function<void()>& then) {
    const int64_t meeting = group.meetings;
    if (++group.arrived == group.size) {
      if (then) then();
      group.arrived = 0;
      ++group.meetings;
      return;
    }
    while (group.meetings == meeting) pause();
  }
  static void meet(const std::function<void()>& then) {
    current_->wait(current_->warps_[static_cast<size_t>(current_->running_ / 32)], then);
  }
  /// The last lane calls together(what each gave).
  template <class Given, class Together>
  static void meet_with(Given& given, Together together) {
    EmulatedGpu& gpu = *current_;
    gpu.own().given = &given;
    meet([&] {
      Given* lanes[32];
      const int first = gpu.running_ / 32 * 32;
      for (int l = 0; l < 32; ++l) {
        lanes[l] = static_cast<Given*>(gpu.fibers_[static_cast<size_t>(first + l)].given);
      }
      together(lanes);
    });
  }

  template <class T>
  static float element(const uint32_t* registers, int e) {
    T value;
    value.bits = static_cast<uint16_t>(registers[e / 2] >> (e % 2 * 16));
    return value;
  }
  static void load(uint32_t (&to)[4], const void* row, bool transposed) {
    struct Given {
      uint32_t* to;
      const void* row;
      bool transposed;
    } given{to, row, transposed};
    check(reinterpret_cast<uintptr_t>(row) % 16 == 0, "a matrix row that is not aligned");
    meet_with(given, [](Given** lanes) {
      for (int m = 0; m < 4; ++m) {
        uint16_t matrix[8][8];
        for (int r = 0; r < 8; ++r) std::memcpy(matrix[r], lanes[8 * m + r]->row, 16);
        for (int l = 0; l < 32; ++l) {
          const int r = l / 4, c = l % 4 * 2;
          const bool turned = lanes[l]->transposed;
          const uint32_t low = turned ? matrix[c][r] : matrix[r][c];
          const uint32_t high = turned ? matrix[c + 1][r] : matrix[r][c + 1];
          lanes[l]->to[m] = low | high << 16;
        }
      }
    });
  }

  static inline EmulatedGpu* current_ = nullptr;
  int64_t block_;
  std::function<void()> body_;
  std::vector<Fiber> fibers_;
  std::vector<Group> warps_;
  Group all_;
  int running_ = 0;
  bool any_ = false;
  jmp_buf main_place_;
};

}  // namespace tenet::test
