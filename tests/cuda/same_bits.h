#pragma once

#include <tenet/core/view.h>

#include <cstring>

namespace tenet::test {

/// Whether two contiguous tensors of one type and shape hold the same bytes.
inline bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         std::memcmp(view(a).data, view(b).data,
                     static_cast<size_t>(a.numel() * itemsize(a.dtype()))) == 0;
}

}  // namespace tenet::test
