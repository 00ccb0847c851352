/// Handing a device much work at once.
#pragma once

#include <tenet/core/device.h>

#include <functional>
#include <memory>

namespace tenet {

namespace detail {
struct GraphRunner;
}

/// Runs a function whose kernels a GPU gets as one CUDA graph when it returns, instead of one by
/// one: between short kernels the GPU then waits for nothing. A step of training is one such
/// function.
///
///     WorkGraph graph(Device::cuda());
///     for (...) graph.run([&] { backward(model.loss(x, y)); optimizer.step(); });
///
/// Every run() calls the function, so learning rates, random numbers and inputs may change from one
/// to the next; where the kernels are the same as before, the GPU's graph is brought up to date
/// instead of made anew. On the CPU the function just runs.
///
/// Inside, no result may be read (item(), to_vector(), a copy to the CPU): an Error says so. Make a
/// LateRead instead and ask for its value afterwards. If the function throws, nothing of what it
/// asked for is done.
class WorkGraph {
 public:
  explicit WorkGraph(Device device);
  WorkGraph(WorkGraph&&) noexcept;
  WorkGraph& operator=(WorkGraph&&) noexcept;
  ~WorkGraph();

  /// Runs `work` on this thread.
  void run(const std::function<void()>& work);

 private:
  Device device_;
  std::unique_ptr<detail::GraphRunner> runner_;  // null: each kernel is started by itself
};

}  // namespace tenet
