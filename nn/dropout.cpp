#include <tenet/nn/dropout.h>
#include <tenet/ops/dropout.h>

namespace tenet::nn {

Dropout::Dropout(double p) : p_(p) {
  check(p >= 0 && p < 1, "dropout: p is {}; it must be at least 0 and below 1", p);
}

Tensor Dropout::operator()(const Tensor& x) const { return dropout(x, p_, training()); }

std::string Dropout::describe() const { return fmt::format("Dropout({})", p_); }

}  // namespace tenet::nn
