/// Comparisons that the tests of all folders use.
#pragma once

#include <tenet/core/tensor.h>

#include <functional>
#include <string>

namespace tenet::test {

/// Whether both have the same shape, type and bytes, or both are undefined.
bool same_bits(const Tensor& a, const Tensor& b);
bool same_bits(const Tensors& a, const Tensors& b);

/// CHECKs that `call` throws Error with exactly this text.
void check_error(const std::function<void()>& call, const std::string& text);

}  // namespace tenet::test
