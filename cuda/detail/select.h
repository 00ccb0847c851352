/// Moving elements whose type does not matter.
#pragma once

#include <tenet/core/dtype.h>
#include <tenet/core/macros.h>

#include <cstdint>

namespace tenet::cuda {

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

/// c ? a : b.
struct Select {
  template <class T>
  TENET_HD T operator()(bool c, T a, T b) const {
    return c ? a : b;
  }
};

/// x.
struct Same {
  template <class T>
  TENET_HD T operator()(T x) const {
    return x;
  }
};

}  // namespace tenet::cuda
