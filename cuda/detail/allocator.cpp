/// Memory of the GPUs: CUDA's stream-ordered pools, which keep what is given back until trim().
///
/// A block that is given back may be handed out at once, because all work of a device runs in one
/// stream. While that work is collected as a graph (capture.h), memory is taken and given back at
/// once, by a stream without work of its own: the work runs in the order in which it was collected.
///  The counts of memory::stats() are made in core/, as for the CPU.
#include <tenet/core/detail/device_runtime.h>
#include <tenet/core/error.h>
#include <tenet/cuda/detail/capture.h>
#include <tenet/cuda/detail/runtime.h>

#include <array>

namespace tenet::cuda {
namespace {

class PoolAllocator : public tenet::detail::Allocator {
 public:
  void set_index(int index) { index_ = index; }

  std::byte* allocate(int64_t bytes) override {
    select();
    const cudaMemPool_t pool = this->pool();
    const size_t size = static_cast<size_t>(std::max<int64_t>(bytes, 1));
    void* data = nullptr;
    cudaError_t status = take(&data, size, pool);
    if (status == cudaErrorMemoryAllocation && !capturing(index_)) {
      cudaGetLastError();  // the next launch is not to blame
      trim();
      status = take(&data, size, pool);
    }
    if (status == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      return nullptr;
    }
    check(status, "cudaMallocAsync");
    return static_cast<std::byte*>(data);
  }

  /// Called by destructors: an error, as when the driver went first at exit, leaves nothing to do.
  void deallocate(std::byte* data, int64_t) override {
    int before = 0;
    const bool known = cudaGetDevice(&before) == cudaSuccess;
    if (known && before != index_) cudaSetDevice(index_);
    cudaFreeAsync(data, capturing(index_) ? idle_ : stream_);
    if (known && before != index_) cudaSetDevice(before);
  }

  int64_t reserved() const override {
    uint64_t bytes = 0;
    if (pool_ != nullptr) cudaMemPoolGetAttribute(pool_, cudaMemPoolAttrReservedMemCurrent, &bytes);
    return static_cast<int64_t>(bytes);
  }

  void trim() override {
    if (pool_ == nullptr) return;
    select();
    refuse_capture("trim()");
    check(cudaStreamSynchronize(stream()), "trim");
    check(cudaMemPoolTrimTo(pool_, 0), "cudaMemPoolTrimTo");
  }

 private:
  cudaError_t take(void** data, size_t size, cudaMemPool_t pool) const {
    if (!capturing(index_)) return cudaMallocFromPoolAsync(data, size, pool, stream_);
    const cudaError_t status = cudaMallocFromPoolAsync(data, size, pool, idle_);
    return status == cudaSuccess ? cudaStreamSynchronize(idle_) : status;
  }

  void select() const { tenet::detail::select_device(Device::cuda(index_)); }

  cudaMemPool_t pool() {
    if (pool_ != nullptr) return pool_;
    int supported = 0;
    check(cudaDeviceGetAttribute(&supported, cudaDevAttrMemoryPoolsSupported, index_),
          "cudaDeviceGetAttribute");
    tenet::check(supported != 0, "cuda: the driver of cuda:{} has no memory pools; update it",
                 index_);
    cudaMemPool_t pool = nullptr;
    check(cudaDeviceGetDefaultMemPool(&pool, index_), "cudaDeviceGetDefaultMemPool");
    uint64_t keep = UINT64_MAX;
    check(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keep),
          "cudaMemPoolSetAttribute");
    // To wait for the other stream would be to wait for its work.
    int waits = 0;
    check(cudaMemPoolSetAttribute(pool, cudaMemPoolReuseAllowInternalDependencies, &waits),
          "cudaMemPoolSetAttribute");
    check(cudaStreamCreateWithFlags(&idle_, cudaStreamNonBlocking), "cudaStreamCreate");
    stream_ = stream();
    return pool_ = pool;
  }

  int index_ = 0;
  cudaMemPool_t pool_ = nullptr;
  cudaStream_t stream_ = nullptr, idle_ = nullptr;  // the device's, and one without work
};

const bool installed = [] {
  static auto* all = new std::array<PoolAllocator, kMaxDevices>;
  for (int i = 0; i < kMaxDevices; ++i) {
    PoolAllocator& one = (*all)[static_cast<size_t>(i)];
    one.set_index(i);
    tenet::detail::set_allocator(Device::cuda(i), &one);
  }
  return true;
}();

}  // namespace
}  // namespace tenet::cuda
