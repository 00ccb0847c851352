/// CPU threads.
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

namespace tenet {

/// Threads that a kernel may use; OpenMP's setting (OMP_NUM_THREADS, or all processors).
int num_threads();
/// Changes it for kernels called from now on.
void set_num_threads(int count);

namespace detail {
using RangeFunction = void (*)(const void* fn, int64_t begin, int64_t end);
void parallel_ranges(int64_t count, int64_t grain, RangeFunction call, const void* fn);

/// Inside a parallel_for(): which of its threads this is, below the smaller of num_threads() and
/// its count; 0 if it runs on the calling thread.
int thread_in_parallel();
}  // namespace detail

/// Calls fn(begin, end) on disjoint ranges that cover [0, count), each at least `grain` long but
/// the last. `fn` must not throw. Nested calls and small counts run on the calling thread.
template <class F>
void parallel_for(int64_t count, int64_t grain, F&& fn) {
  using Function = std::remove_reference_t<F>;
  detail::parallel_ranges(
      count, grain,
      [](const void* f, int64_t begin, int64_t end) {
        (*static_cast<Function*>(const_cast<void*>(f)))(begin, end);
      },
      std::addressof(fn));
}

}  // namespace tenet
