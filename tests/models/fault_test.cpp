/// Promise: whichever allocation of a training step fails, of a tensor's bytes or of an object, the
/// step ends in an exception, nothing leaks, and the next step gives the bits of a program in which
/// nothing ever failed.
#include <tenet/core/memory.h>
#include <tenet/optim/adam.h>
#include <tenet/optim/clip.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "small_reformer.h"

using namespace tenet;
using namespace tenet::test;

namespace {

std::atomic<int64_t> objects_until_failure{-1};

void fail_object_after(int64_t n) { objects_until_failure.store(n); }

bool object_fails() {
  return objects_until_failure.load(std::memory_order_relaxed) >= 0 &&
         objects_until_failure.fetch_sub(1) == 0;
}

/// Makes the n-th allocation of a kind fail while it lives.
class Fault {
 public:
  using FailAfter = void (*)(int64_t n);

  Fault(FailAfter fail_after, int64_t n) : fail_after_(fail_after) { fail_after_(n); }
  ~Fault() { fail_after_(-1); }
  Fault(const Fault&) = delete;
  Fault& operator=(const Fault&) = delete;

 private:
  FailAfter fail_after_;
};

int64_t live_bytes() { return memory::stats(Device::cpu()).live; }

struct Trainee {
  Trainee(const SmallOptions& options, bool reversible)
      : model(small_config(options)), optimizer(model.named_parameters(), {}) {
    model.train();
    model.set_reversible(reversible);
  }

  /// The loss of one step with random numbers from (seed, 0).
  double step(uint64_t seed) {
    default_generator() = Generator(seed);
    const Tensor loss = model.loss(tokens, targets);
    const double value = loss.item<double>();
    backward(loss);
    optim::clip_grad_norm(model.parameters(), 1e-3);
    optimizer.step();
    optimizer.clear_grad();
    return value;
  }

  Reformer model;
  optim::Adam optimizer;
  Tensor tokens = random_tokens({2, 64}, 1), targets = random_tokens({2, 64}, 2);
};

void check_same_parameters(const Trainee& a, const Trainee& b) {
  const auto x = a.model.named_parameters(), y = b.model.named_parameters();
  for (size_t i = 0; i < x.size(); ++i) {
    CHECK_MESSAGE(same_bits(x[i].second, y[i].second), x[i].first);
  }
}

/// Fails allocation number 0, `stride`, 2 `stride` and so on of a step until one gets through.
/// Returns how many were made to fail.
int64_t fail_each(Fault::FailAfter fail_after, int64_t stride, const SmallOptions& options,
                  bool reversible) {
  Trainee disturbed(options, reversible), calm(options, reversible);
  REQUIRE(disturbed.step(1) == calm.step(1));
  const int64_t baseline = live_bytes();
  int64_t failures = 0;
  for (bool finished = false; !finished;) {
    try {
      const Fault fault(fail_after, failures * stride);
      disturbed.step(2);
      finished = true;
    } catch (const std::exception&) {
      disturbed.optimizer.clear_grad();
      ++failures;
    }
    REQUIRE_MESSAGE(live_bytes() == baseline, "after allocation " << failures * stride);
  }
  calm.step(2);
  check_same_parameters(disturbed, calm);
  CHECK(disturbed.step(3) == calm.step(3));
  check_same_parameters(disturbed, calm);
  return failures;
}

void check_faults(const char* kind, Fault::FailAfter fail_after, int64_t stride) {
  for (const char* attention : {"local,lsh", "full"}) {
    for (const char* residual : {"exact", "float"}) {
      for (const bool reversible : {true, false}) {
        const SmallOptions options{.attention = attention, .dropout = 0.1, .residual = residual};
        const int64_t failures = fail_each(fail_after, stride, options, reversible);
        MESSAGE(fmt::format("{}, {}, {}: {} allocations of {} made to fail, none leaked", attention,
                            residual, reversible ? "rebuilt" : "kept", failures, kind));
        CHECK(failures * stride > 100);
      }
    }
  }
}

}  // namespace

void* operator new(std::size_t bytes) {
  void* const object = object_fails() ? nullptr : std::malloc(bytes > 0 ? bytes : 1);
  if (object == nullptr) throw std::bad_alloc();
  return object;
}
// Whoever asks so goes on without the memory: no failure to observe.
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return std::malloc(bytes > 0 ? bytes : 1);
}
void operator delete(void* object) noexcept { std::free(object); }
void operator delete(void* object, std::size_t) noexcept { std::free(object); }

TEST_CASE("each allocation of a tensor in a training step may fail") {
  check_faults("tensors", &detail::fail_allocation_after, 1);
}

TEST_CASE("allocations of objects in a training step may fail") {
  check_faults("objects", &fail_object_after, 17);
}

TEST_CASE("each allocation of an object in a training step may fail" *
          doctest::test_suite("slow")) {
  check_faults("objects", &fail_object_after, 1);
}
