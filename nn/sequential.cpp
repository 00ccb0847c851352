#include <tenet/nn/sequential.h>
#include <tenet/ops/views.h>

namespace tenet::nn {

Tensor Sequential::operator()(const Tensor& x) const {
  Tensor y = x;
  for (const auto& part : parts_) y = part.get().call(y);
  return y;
}

Module& Sequential::module(size_t i) const {
  check(i < parts_.size(), "sequential: module {} of {}", i, parts_.size());
  return *parts_[i].get().module;
}

void Sequential::fields(Fields& f) {
  for (size_t i = 0; i < parts_.size(); ++i) parts_[i].fields(f, std::to_string(i));
}

Tensor Flatten::operator()(const Tensor& x) const { return flatten(x, 1); }

}  // namespace tenet::nn
