#include <tenet/core/error.h>
#include <tenet/core/parallel.h>

namespace tenet {

int num_threads() { return omp_get_max_threads(); }

void set_num_threads(int count) {
  check(count >= 1, "set_num_threads: {} threads; at least 1 is needed", count);
  omp_set_num_threads(count);
}

}  // namespace tenet
