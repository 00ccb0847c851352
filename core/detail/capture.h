/// Finding what a function reads beside its arguments.
#pragma once

#include <tenet/core/node.h>

#include <vector>

namespace tenet::detail {

/// The tensors that need a gradient and that ops read while a GradMode with this list is set, each
/// once; not those that ops have made meanwhile.
class CaptureList {
 public:
  CaptureList();
  void note(const Tensor& tensor);

  struct Item {
    Edge edge;
    Saved saved;  // for its version
  };
  const std::vector<Item>& items() const { return items_; }

 private:
  uint64_t start_;  // the sequence number of the next node at construction
  std::vector<Item> items_;
};

/// Index of the first NaN or infinity in row-major order, or -1.
int64_t first_non_finite(const Tensor& tensor);

}  // namespace tenet::detail
