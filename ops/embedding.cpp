#include <tenet/core/error.h>
#include <tenet/ops/embedding.h>
#include <tenet/ops/index.h>

namespace tenet {

Tensor embedding(const Tensor& weight, const Tensor& indices) {
  check(weight.dim() == 2, "embedding: weight has shape {}; (V, D) is needed", weight.shape());
  return detail::gather_rows(weight, 0, indices, "embedding");
}

}  // namespace tenet
