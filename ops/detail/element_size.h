/// Moving elements whose type does not matter.
#pragma once

#include <tenet/core/dtype.h>

#include <cstdint>

namespace tenet::detail {

/// Calls fn.operator()<T>() with an unsigned type of the element's size.
template <class F>
void dispatch_size(DType dtype, F&& fn) {
  switch (itemsize(dtype)) {
    case 1:
      return fn.template operator()<uint8_t>();
    case 2:
      return fn.template operator()<uint16_t>();
    case 4:
      return fn.template operator()<uint32_t>();
    default:
      return fn.template operator()<uint64_t>();
  }
}

}  // namespace tenet::detail
