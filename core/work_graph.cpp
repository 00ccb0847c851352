#include <tenet/core/detail/device_runtime.h>
#include <tenet/core/work_graph.h>

namespace tenet {

WorkGraph::WorkGraph(Device device) : device_(device) {
  if (device.is_cpu()) return;
  detail::select_device(device);
  runner_ = detail::device_runtime(device.kind)->graph_runner(device.index);
}

WorkGraph::WorkGraph(WorkGraph&&) noexcept = default;
WorkGraph& WorkGraph::operator=(WorkGraph&&) noexcept = default;
WorkGraph::~WorkGraph() = default;

void WorkGraph::run(const std::function<void()>& work) {
  if (!runner_) return work();
  detail::select_device(device_);
  runner_->run(work);
}

}  // namespace tenet
