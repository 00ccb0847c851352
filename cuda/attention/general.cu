/// Band attention of any type and size.
#include <tenet/cuda/detail/attention_general_task.h>
#include <tenet/cuda/detail/attention_launch.h>

namespace tenet::cuda::attention {
namespace {

template <class T>
__global__ void __launch_bounds__(128) forward_kernel(const __grid_constant__ Task<T> t) {
  general_forward<Gpu>(t, shared_memory<Compute<T>>());
}
template <class T>
__global__ void __launch_bounds__(128) queries_kernel(const __grid_constant__ Task<T> t) {
  general_queries<Gpu>(t, shared_memory<Compute<T>>());
}
template <class T>
__global__ void __launch_bounds__(128) keys_kernel(const __grid_constant__ Task<T> t) {
  general_keys<Gpu>(t, shared_memory<Compute<T>>());
}

/// A warp for each of `count` things, up to four in a block.
template <class T>
void launch_warps(const char* name, void (*kernel)(Task<T>), const Task<T>& t, int64_t count) {
  const int64_t bytes = int64_t{general_rows} * t.size * static_cast<int64_t>(sizeof(Compute<T>));
  tenet::check(bytes <= facts().shared_bytes, "attention: head size {} is too large for this GPU",
               t.size);
  const int64_t warps = std::clamp<int64_t>(48 * 1024 / bytes, 1, 4);
  launch(name, kernel, blocks_of((count + warps - 1) / warps, name),
         static_cast<unsigned>(warps * kWarp), warps * bytes, t);
}

}  // namespace

template <class T>
void launch_general_forward(const Task<T>& t) {
  launch_warps("attention", &forward_kernel<T>, t, t.heads * t.Lq);
}

template <class T>
void launch_general_backward(const Task<T>& t) {
  launch_warps("attention_backward", &queries_kernel<T>, t, t.heads * t.Lq);
  launch_warps("attention_backward", &keys_kernel<T>, t, t.heads * t.Lk);
}

#define TENET_GENERAL_ATTENTION(T)                      \
  template void launch_general_forward(const Task<T>&); \
  template void launch_general_backward(const Task<T>&);
TENET_GENERAL_ATTENTION(float)
TENET_GENERAL_ATTENTION(double)
TENET_GENERAL_ATTENTION(bf16)
TENET_GENERAL_ATTENTION(f16)
#undef TENET_GENERAL_ATTENTION

}  // namespace tenet::cuda::attention
