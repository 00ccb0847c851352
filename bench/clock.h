/// How the programs of this folder take the time.
#pragma once

#include <tenet/core/parallel.h>

#include <ctime>

namespace tenet {

/// Wall time; on one thread its processor time, which is right on a busy machine too.
inline double seconds() {
  timespec time{};
  clock_gettime(num_threads() == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// Seconds of one of `repeats` calls.
template <class F>
double seconds_of(int64_t repeats, F&& run) {
  const double begin = seconds();
  for (int64_t i = 0; i < repeats; ++i) run();
  return (seconds() - begin) / static_cast<double>(repeats);
}

}  // namespace tenet
