/// Moving elements whose type does not matter.
#pragma once

#include <tenet/core/macros.h>
#include <tenet/ops/detail/element_size.h>

namespace tenet::cuda {

using tenet::detail::dispatch_size;

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
