/// Collecting the work of a device as a CUDA graph (WorkGraph in core/work_graph.h).
#pragma once

#include <tenet/core/detail/device_runtime.h>
#include <tenet/cuda/detail/runtime.h>

#include <functional>
#include <memory>

namespace tenet::cuda {

/// Whether the work of GPU `index`, or of the current device, is being collected instead of done.
bool capturing(int index);
bool capturing();

/// Runs `action` now; while work is collected, once that work has been given to the device. An
/// event that is recorded so says that the work before it is done.
void after_capture(std::function<void()> action);

/// Error while work is collected: the program may not wait for it. `what` would.
void refuse_capture(const char* what);

/// Collects and starts the work of the current device.
std::unique_ptr<tenet::detail::GraphRunner> make_graph_runner();

}  // namespace tenet::cuda
