#include <tenet/core/error.h>
#include <tenet/ops/axes.h>

namespace tenet {

std::vector<bool> Axes::flags(int dim, const char* op) const {
  std::vector<bool> chosen(static_cast<size_t>(dim), all());
  for (const int axis : list()) {
    const int place = normalize_axis(axis, dim, op);
    check(!chosen[static_cast<size_t>(place)], "{}: axis {} is given twice", op, axis);
    chosen[static_cast<size_t>(place)] = true;
  }
  return chosen;
}

}  // namespace tenet
