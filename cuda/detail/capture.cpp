#include <tenet/core/error.h>
#include <tenet/cuda/detail/capture.h>

#include <array>
#include <exception>
#include <utility>
#include <vector>

namespace tenet::cuda {
namespace {

/// Work that is being collected; by one thread at a time.
struct Collecting {
  bool on = false;
  std::vector<std::function<void()>> afterwards;
};

Collecting& collecting(int index) {
  static auto* all = new std::array<Collecting, kMaxDevices>;
  return (*all)[static_cast<size_t>(index)];
}
Collecting& collecting() { return collecting(current_device().index); }

class Runner : public tenet::detail::GraphRunner {
 public:
  ~Runner() override {
    if (runnable_ != nullptr) cudaGraphExecDestroy(runnable_);
  }

  void run(const std::function<void()>& work) override {
    tenet::check(!capturing(), "work graph: one is being run on {} already", current_device());
    const cudaGraph_t graph = collect(work);
    const auto afterwards = std::exchange(collecting().afterwards, {});
    const cudaError_t status = start(graph);
    cudaGraphDestroy(graph);
    check(status, "work graph");
    for (const auto& action : afterwards) action();
  }

 private:
  /// Relaxed: what is no work of this stream, such as taking memory, is done at once.
  static cudaGraph_t collect(const std::function<void()>& work) {
    check(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeRelaxed), "work graph");
    collecting().on = true;
    std::exception_ptr thrown;
    try {
      work();
    } catch (...) {
      thrown = std::current_exception();
    }
    collecting().on = false;
    cudaGraph_t graph = nullptr;
    const cudaError_t status = cudaStreamEndCapture(stream(), &graph);
    if (thrown || status != cudaSuccess) {
      collecting().afterwards.clear();
      if (graph != nullptr) cudaGraphDestroy(graph);
    }
    if (thrown) std::rethrow_exception(thrown);
    check(status, "work graph");
    return graph;
  }

  cudaError_t start(cudaGraph_t graph) {
    if (runnable_ != nullptr) {
      cudaGraphExecUpdateResultInfo why{};
      if (cudaGraphExecUpdate(runnable_, graph, &why) != cudaSuccess) {
        cudaGetLastError();  // other kernels than before: a new one
        cudaGraphExecDestroy(std::exchange(runnable_, nullptr));
      }
    }
    if (runnable_ == nullptr) {
      const cudaError_t status = cudaGraphInstantiate(&runnable_, graph, 0);
      if (status != cudaSuccess) return status;
    }
    return cudaGraphLaunch(runnable_, stream());
  }

  cudaGraphExec_t runnable_ = nullptr;
};

}  // namespace

bool capturing(int index) { return collecting(index).on; }
bool capturing() { return collecting().on; }

void after_capture(std::function<void()> action) {
  if (!capturing()) return action();
  collecting().afterwards.push_back(std::move(action));
}

void refuse_capture(const char* what) {
  tenet::check(!capturing(),
               "work graph: {} would wait for work that is still being collected; do it after "
               "run(), or read a number by LateRead",
               what);
}

std::unique_ptr<tenet::detail::GraphRunner> make_graph_runner() {
  return std::make_unique<Runner>();
}

}  // namespace tenet::cuda
