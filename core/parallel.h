/// CPU threads.
#pragma once

#include <algorithm>
#include <cstdint>

#include <omp.h>

namespace tenet {

/// Threads that a kernel may use; OpenMP's setting (OMP_NUM_THREADS, or all processors).
int num_threads();
void set_num_threads(int count);

/// Calls fn(begin, end) on disjoint ranges that cover [0, count), each at least `grain` long but
/// the last. `fn` must not throw. Nested calls and small counts run on the calling thread.
template <class F>
void parallel_for(int64_t count, int64_t grain, F&& fn) {
  const int64_t parts = std::min<int64_t>(num_threads(), count / std::max<int64_t>(grain, 1));
  if (parts <= 1 || omp_in_parallel()) {
    if (count > 0) fn(int64_t{0}, count);
    return;
  }
#pragma omp parallel for schedule(static) num_threads(static_cast <int>(parts))
  for (int64_t part = 0; part < parts; ++part) {
    fn(count * part / parts, count * (part + 1) / parts);
  }
}

}  // namespace tenet
