#include <tenet/core/function.h>

namespace tenet {

Tensor Context::saved(size_t i) const {
  check(i < saved_.size(), "function: saved tensor {} of {}", i, saved_.size());
  return saved_[i].get(*node_);
}

}  // namespace tenet
