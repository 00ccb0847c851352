#include <omp.h>

#include <tenet/core/error.h>
#include <tenet/core/parallel.h>

#include <algorithm>

namespace tenet {

int num_threads() { return omp_get_max_threads(); }

void set_num_threads(int count) {
  check(count >= 1, "set_num_threads: {} threads; at least 1 is needed", count);
  omp_set_num_threads(count);
}

void detail::parallel_ranges(int64_t count, int64_t grain, RangeFunction call, const void* fn) {
  const int64_t parts = std::min<int64_t>(num_threads(), count / std::max<int64_t>(grain, 1));
  if (parts <= 1 || omp_in_parallel()) {
    if (count > 0) call(fn, 0, count);
    return;
  }
#pragma omp parallel for schedule(static) num_threads(static_cast <int>(parts))
  for (int64_t part = 0; part < parts; ++part) {
    call(fn, count * part / parts, count * (part + 1) / parts);
  }
}

}  // namespace tenet
