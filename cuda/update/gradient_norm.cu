/// The norm of all gradients, and their scaling, on the GPU. Sums are made in a fixed order, in
/// f64: of each thread's elements, over the threads of a block by halves, over blocks likewise.
#include <tenet/cuda/detail/block_sum.h>
#include <tenet/cuda/detail/runtime.h>
#include <tenet/cuda/detail/tensor_list_task.h>
#include <tenet/ops/update/update.h>

namespace tenet::cuda {
namespace {

constexpr int kThreads = 256;

template <class T>
__global__ void __launch_bounds__(kThreads)
    square_sums(const __grid_constant__ TensorList<const T*> list, double* parts) {
  const auto chunk = list.chunk(static_cast<int32_t>(blockIdx.x));
  const T* x = list.entry[chunk.tensor];
  double sum = 0;
  for (int64_t i = chunk.begin + threadIdx.x; i < chunk.end; i += kThreads) {
    const double value = static_cast<double>(Compute<T>(x[i]));
    sum += value * value;
  }
  sum = sum_of_block<kThreads>(sum);
  if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kThreads)
    add_up(const double* parts, int64_t count, double* total) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < count; i += kThreads) sum += parts[i];
  sum = sum_of_block<kThreads>(sum);
  if (threadIdx.x == 0) *total = sum;
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    scale(const __grid_constant__ TensorList<T*> list, const double* factor) {
  if (*factor == 1) return;
  const Compute<T> by = Compute<T>(*factor);
  const auto chunk = list.chunk(static_cast<int32_t>(blockIdx.x));
  T* x = list.entry[chunk.tensor];
  for (int64_t i = chunk.begin + threadIdx.x; i < chunk.end; i += kThreads) {
    x[i] = T(Compute<T>(x[i]) * by);
  }
}

/// Calls send(list) with the views of type T.
template <class T, class Send>
void lists_of_type(const std::vector<View>& views, const Send& send) {
  using Element = std::remove_const_t<T>;
  in_lists<T*>(
      views, [](const View& v) { return v.as<T>(); },
      [](const View& v) { return v.dtype == dtype_of<Element> ? v.numel() : 0; }, send);
}

/// Calls fn.operator()<T>() for every floating type.
template <class F>
void each_float(const F& fn) {
  fn.template operator()<float>();
  fn.template operator()<double>();
  fn.template operator()<bf16>();
  fn.template operator()<f16>();
}

void square_sum_cuda(const std::vector<View>& views, View sum) {
  int64_t chunks = 0;
  each_float([&]<class T>() {
    lists_of_type<const T>(views, [&](const auto& list) { chunks += list.chunks(); });
  });
  const Workspace<double> parts(chunks);
  int64_t done = 0;
  each_float([&]<class T>() {
    lists_of_type<const T>(views, [&](const TensorList<const T*>& list) {
      launch("gradient_norm", &square_sums<T>, blocks_of(list.chunks(), "gradient_norm"), kThreads,
             0, list, parts.data() + done);
      done += list.chunks();
    });
  });
  launch("gradient_norm", &add_up, 1, kThreads, 0, parts.data(), chunks, sum.as<double>());
}

void scale_cuda(const std::vector<View>& views, View factor) {
  each_float([&]<class T>() {
    lists_of_type<T>(views, [&](const TensorList<T*>& list) {
      launch("clip_grad_norm", &scale<T>, blocks_of(list.chunks(), "clip_grad_norm"), kThreads, 0,
             list, factor.as<const double>());
    });
  });
}

const bool filled = tenet::detail::square_sum_kernel.fill(Device::Kind::cuda, &square_sum_cuda) &&
                    tenet::detail::scale_kernel.fill(Device::Kind::cuda, &scale_cuda);

}  // namespace
}  // namespace tenet::cuda
