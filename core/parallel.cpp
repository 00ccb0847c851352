#include <omp.h>

#include <tenet/core/error.h>
#include <tenet/core/parallel.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <utility>

namespace tenet {
namespace {

constexpr int64_t most_queues = 64;

/// How many of its pieces an owner's queue has given out, on a cache line of its own.
struct alignas(64) Queue {
  std::atomic<int64_t> given;
};

constinit thread_local int thread_now = 0;

/// What thread_in_parallel() gives while it lives.
class NumberedThread {
 public:
  explicit NumberedThread(int number) : before_(std::exchange(thread_now, number)) {}
  ~NumberedThread() { thread_now = before_; }
  NumberedThread(const NumberedThread&) = delete;
  NumberedThread& operator=(const NumberedThread&) = delete;

 private:
  int before_;
};

}  // namespace

int num_threads() { return omp_get_max_threads(); }

void set_num_threads(int count) {
  check(count >= 1, "set_num_threads: {} threads; at least 1 is needed", count);
  omp_set_num_threads(count);
}

void detail::parallel_ranges(int64_t count, int64_t grain, RangeFunction call, const void* fn) {
  const int64_t parts = std::min<int64_t>(num_threads(), count / std::max<int64_t>(grain, 1));
  if (parts <= 1 || omp_in_parallel()) {
    const NumberedThread scope(0);
    if (count > 0) call(fn, 0, count);
    return;
  }
  // Each thread has a share, the same one for the same count, which its cache may still hold from
  // the kernel before. Who is done takes from the others: a thread that the system stops for a
  // while does not hold up all.
  const int64_t queues = std::min(parts, most_queues);
  const int64_t pieces = std::clamp<int64_t>(count / std::max<int64_t>(grain, 1) / queues, 1, 4);
  std::array<Queue, most_queues> queue;
  for (int64_t q = 0; q < queues; ++q) queue[static_cast<size_t>(q)].given = 0;
#pragma omp parallel num_threads(static_cast <int>(parts))
  {
    const NumberedThread scope(omp_get_thread_num());
    for (int64_t q = 0; q < queues; ++q) {
      const int64_t owner = (thread_now + q) % queues;
      std::atomic<int64_t>& given = queue[static_cast<size_t>(owner)].given;
      for (int64_t i = given.fetch_add(1); i < pieces; i = given.fetch_add(1)) {
        const int64_t piece = owner * pieces + i, all = queues * pieces;
        call(fn, count * piece / all, count * (piece + 1) / all);
      }
    }
  }
}

int detail::thread_in_parallel() { return thread_now; }

}  // namespace tenet
