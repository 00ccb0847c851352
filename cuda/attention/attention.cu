/// Band attention: what is found out beforehand, and which kernels run.
#include <tenet/cuda/detail/attention_block_task.h>
#include <tenet/cuda/detail/attention_launch.h>
#include <tenet/ops/attention/attention.h>

#include <limits>
#include <optional>

namespace tenet::cuda::attention {
namespace {

constexpr int kNumberThreads = 1024;
constexpr int kWarps = 8;  // of a block, each with a row of its own

__global__ void __launch_bounds__(kNumberThreads)
    number_keys_kernel(const uint8_t* masks, int64_t Lk, int32_t* ranks) {
  __shared__ int32_t shared[kNumberThreads / 32];
  number_keys<Gpu>(masks, Lk, ranks, shared);
}
template <class T>
__global__ void __launch_bounds__(kWarps * 32)
    key_factors_kernel(const __grid_constant__ Task<T> t, Compute<T>* factors) {
  key_factors<Gpu>(t, factors);
}
template <class T>
__global__ void __launch_bounds__(kWarps * 32)
    row_deltas_kernel(const __grid_constant__ Task<T> t) {
  row_deltas<Gpu>(t);
}
template <class T>
__global__ void __launch_bounds__(kWarps * 32)
    clear_hidden_kernel(const __grid_constant__ Task<T> t) {
  clear_hidden<Gpu>(t);
}

template <class Kernel, class... Args>
void launch_rows(const char* name, Kernel* kernel, int64_t rows, const Args&... args) {
  launch(name, kernel, blocks_of((rows + kWarps - 1) / kWarps, name), kWarps * kWarp, 0, args...);
}

template <class T>
HeadRows<T> rows_of(const View& v) {
  return {static_cast<T*>(v.data), v.strides[0], v.strides[1], v.strides[2]};
}

/// Whether all rows begin and end at multiples of 16 bytes.
bool aligned(std::initializer_list<const View*> operands) {
  bool all = true;
  for (const View* v : operands) {
    const int64_t unit = 16 / itemsize(v->dtype);
    all = all && reinterpret_cast<uintptr_t>(v->data) % 16 == 0 && v->shape[3] % unit == 0;
    for (int axis = 0; axis < 3; ++axis) {
      all = all && (v->shape[axis] <= 1 || v->strides[axis] % unit == 0);
    }
  }
  return all;
}

/// A task, and the memory of what is found out beforehand.
template <class T>
class Prepared {
 public:
  template <class Operands>
  explicit Prepared(const Operands& a) {
    const tenet::detail::AttentionPlan& plan = a.plan;
    const int64_t B = a.q.shape[0];
    task.H = a.q.shape[1], task.Lq = a.q.shape[2], task.Lk = a.k.shape[2];
    task.heads = B * task.H;
    task.size = static_cast<int>(a.q.shape[3]);
    task.sight = {.Lk = task.Lk,
                  .offset = plan.offset,
                  .chunk = plan.chunk,
                  .before = plan.before,
                  .after = plan.after,
                  .causal = plan.causal,
                  .exclude_self = plan.exclude_self};
    task.scale = static_cast<Compute<T>>(plan.scale);
    task.drop = static_cast<float>(plan.dropout);
    task.kept = static_cast<Compute<T>>(1 / (1 - plan.dropout));
    task.random = plan.random;
    task.q = rows_of<const T>(a.q), task.k = rows_of<const T>(a.k), task.v = rows_of<const T>(a.v);
    task.y = rows_of<T>(a.y);
    task.aligned = aligned({&a.q, &a.k, &a.v, &a.y});
    task.log_sum = static_cast<Compute<T>*>(a.log_sum.data);
    if (a.mask.data != nullptr) number(a.mask.template as<const uint8_t>(), B);
    if (plan.normalize_keys) {
      factors_.emplace(task.heads * task.Lk);
      launch_rows("attention", &key_factors_kernel<T>, task.heads * task.Lk, task,
                  factors_->data());
      task.factors = factors_->data();
    }
  }
  void take_gradients(const tenet::detail::AttentionBackward& a) {
    task.aligned = task.aligned && aligned({&a.dy, &a.dq, &a.dk, &a.dv});
    task.dy = rows_of<const T>(a.dy);
    task.dq = rows_of<T>(a.dq), task.dk = rows_of<T>(a.dk), task.dv = rows_of<T>(a.dv);
    delta_.emplace(task.heads * task.Lq);
    task.delta = delta_->data();
    launch_rows("attention_backward", &row_deltas_kernel<T>, task.heads * task.Lq, task);
    if (task.sight.ranks == nullptr) return;
    launch_rows("attention_backward", &clear_hidden_kernel<T>, task.heads * task.Lk, task);
  }

  Task<T> task;

 private:
  void number(const uint8_t* mask, int64_t B) {
    ranks_.emplace(B * (2 * task.Lk + 1));
    launch("attention", &number_keys_kernel, blocks_of(B, "attention"), kNumberThreads, 0, mask,
           task.Lk, ranks_->data());
    task.sight.ranks = ranks_->data();
  }

  std::optional<Workspace<int32_t>> ranks_;
  std::optional<Workspace<Compute<T>>> factors_, delta_;
};

/// Whether tiles hold the heads, and an int every position.
template <class T>
bool by_tiles(const Task<T>& t) {
  const int64_t most = std::numeric_limits<int>::max() - 2 * kTile;
  return t.size <= kTileSize<T> && t.Lq <= most && t.Lk <= most;
}
template <class T>
bool tiles_forward(const Task<T>& t) {
  if constexpr (sizeof(T) == 2) return launch_tile_forward(t);
  if constexpr (sizeof(T) > 2) return launch_fma_forward(t);
}
template <class T>
bool tiles_backward(const Task<T>& t) {
  if constexpr (sizeof(T) == 2) return launch_tile_keys(t) && launch_tile_queries(t);
  if constexpr (sizeof(T) > 2) return launch_fma_keys(t) && launch_fma_queries(t);
}

void attention_cuda(const tenet::detail::AttentionForward& a) {
  dispatch(FloatTypes(), a.q.dtype, "attention", [&]<class T>() {
    const Prepared<T> prepared(a);
    const Task<T>& t = prepared.task;
    if (!by_tiles(t) || !tiles_forward(t)) launch_general_forward(t);
  });
}

void attention_backward_cuda(const tenet::detail::AttentionBackward& a) {
  dispatch(FloatTypes(), a.q.dtype, "attention_backward", [&]<class T>() {
    Prepared<T> prepared(a);
    prepared.take_gradients(a);
    const Task<T>& t = prepared.task;
    if (!by_tiles(t) || !tiles_backward(t)) launch_general_backward(t);
  });
}

const bool filled =
    tenet::detail::attention_kernel.fill(Device::Kind::cuda, &attention_cuda) &&
    tenet::detail::attention_backward_kernel.fill(Device::Kind::cuda, &attention_backward_cuda);

}  // namespace
}  // namespace tenet::cuda::attention
