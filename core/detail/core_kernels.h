/// The four kernels that core/ calls itself; ops/ and cuda/ fill them.
#pragma once

#include <tenet/core/kernel.h>
#include <tenet/core/view.h>

namespace tenet::detail {

/// to[i] = from[i], converted; same shape, any strides. fixed32 only to fixed32.
extern Kernel<void(View to, View from)> copy_kernel;
/// to[i] = value.
extern Kernel<void(View to, Scalar value)> fill_kernel;
/// to[i] += from[i]; same shape and type.
extern Kernel<void(View to, View from)> accumulate_kernel;
/// to = from summed over the axes along which `to` is broadcast; `to` has size 1 there and the same
/// dim().
extern Kernel<void(View to, View from)> sum_to_kernel;

/// Copies between devices; filled by cuda/ for the CUDA side.
extern Kernel<void(View to, View from)> transfer_kernel;

}  // namespace tenet::detail
