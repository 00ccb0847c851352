/// Streams, checked calls and launches. Every .cu file starts here.
#pragma once

#include <cuda_runtime.h>

#include <tenet/core/memory.h>
#include <tenet/core/view.h>

#include <algorithm>
#include <cstdint>
#include <tuple>

namespace tenet::cuda {

/// The most GPUs that one program uses.
inline constexpr int kMaxDevices = 64;
/// Threads in a warp.
inline constexpr int kWarp = 32;

/// Raises `cuda: WHAT: the driver's text`, with the remedy where there is one.
[[noreturn]] void fail_cuda(cudaError_t status, const char* what);
inline void check(cudaError_t status, const char* what) {
  if (status != cudaSuccess) [[unlikely]]
    fail_cuda(status, what);
}

/// The GPU that kernels of this thread run on; select_device() in core chooses it before each
/// kernel slot is called.
Device current_device();
/// What kernels need to know of it.
struct DeviceFacts {
  int multiprocessors = 0, major = 0, minor = 0;
  int64_t shared_bytes = 0;  // the most dynamic shared memory of a block
  int64_t l2_bytes = 0, memory_bytes = 0;
};
const DeviceFacts& facts();

/// The one stream of the current device: all kernels, copies and releases are ordered by it, so
/// that memory that is given back may be handed out again at once.
cudaStream_t stream();

/// Scratch space of a kernel: `count` elements of T on the current device, counted as workspace.
/// It may be released as soon as the kernels that use it are launched.
template <class T>
class Workspace {
 public:
  explicit Workspace(int64_t count)
      : buffer_(std::max<int64_t>(count, 1) * static_cast<int64_t>(sizeof(T)), current_device(),
                memory::Category::workspace) {}
  T* data() const { return reinterpret_cast<T*>(buffer_.data()); }
  int64_t bytes() const { return buffer_.bytes(); }

 private:
  memory::Buffer buffer_;
};

/// What a launch went wrong with names the kernel; TENET_CUDA_SYNC=1 waits for each, so that a
/// fault inside one is found where it happens.
void check_launch(const char* name, cudaError_t status);

/// Runs `kernel` on the current device's stream. A grid of 0 blocks does nothing.
template <class... Parameters, class... Args>
void launch(const char* name, void (*kernel)(Parameters...), dim3 grid, dim3 block,
            int64_t shared_bytes, Args&&... args) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  if (shared_bytes > 48 * 1024) {
    check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                               cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(shared_bytes)),
          name);
  }
  std::tuple<Parameters...> values(static_cast<Parameters>(args)...);
  const cudaError_t status = std::apply(
      [&](auto&... value) {
        void* pointers[] = {const_cast<void*>(static_cast<const void*>(&value))..., nullptr};
        return cudaLaunchKernel(reinterpret_cast<const void*>(kernel), grid, block, pointers,
                                static_cast<size_t>(shared_bytes), stream());
      },
      values);
  check_launch(name, status);
}

/// Blocks of a grid-stride loop over `count` elements, `per_block` at a time: enough to fill the
/// GPU, no more.
inline unsigned grid_for(int64_t count, int64_t per_block) {
  const int64_t most = int64_t{facts().multiprocessors} * 16;
  return static_cast<unsigned>(std::clamp<int64_t>((count + per_block - 1) / per_block, 0, most));
}

/// A number of things as blocks of a grid's first axis. Error if there are more than it holds.
unsigned blocks_of(int64_t count, const char* name);

}  // namespace tenet::cuda
