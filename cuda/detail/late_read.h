/// Numbers that the program reads after the GPU has gone on.
#pragma once

#include <tenet/core/detail/device_runtime.h>

#include <memory>

namespace tenet::cuda {

/// A copy of the current device's `number`, and of its fault (Note [Faults]), to pinned memory.
std::unique_ptr<tenet::detail::PendingNumber> read_later(const double* number);

}  // namespace tenet::cuda
