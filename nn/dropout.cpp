#include <tenet/nn/dropout.h>
#include <tenet/ops/dropout.h>

namespace tenet::nn {

Tensor Dropout::operator()(const Tensor& x) const { return dropout(x, p_, training()); }

}  // namespace tenet::nn
