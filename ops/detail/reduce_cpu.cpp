/// The CPU side of ops/reduce.h and of the engine's sum over broadcast axes.
#include <tenet/core/detail/core_kernels.h>
#include <tenet/ops/detail/lines.h>
#include <tenet/ops/detail/reduce_cpu.h>
#include <tenet/ops/reduce.h>

namespace tenet::detail {

ReducePlan::ReducePlan(const View& y, const View& x) {
  const auto append = [](Shape& shape, int64_t size, auto&&... step) {
    // step: pairs of (strides so far, this axis's stride)
    const bool merges = shape.dim() > 0 && ((step.first.back() == step.second * size) && ...);
    if (merges) {
      shape[shape.dim() - 1] *= size;
      ((step.first[shape.dim() - 1] = step.second), ...);
    } else {
      shape.push_back(size);
      (step.first.push_back(step.second), ...);
    }
  };
  using Step = std::pair<Strides&, int64_t>;
  for (int axis = 0; axis < x.dim(); ++axis) {
    const int64_t size = x.shape[axis];
    if (size == 1) continue;
    if (y.shape[axis] == size) {
      append(kept, size, Step(kept_x, x.strides[axis]), Step(kept_y, y.strides[axis]));
    } else {
      append(reduced, size, Step(reduced_x, x.strides[axis]));
    }
  }
  outputs = kept.numel();
  elements = reduced.numel();
  blocks = std::max<int64_t>((elements + reduce_block - 1) / reduce_block, 1);
}

namespace {

/// Reductions that are the same for every output.
template <template <class> class F>
void reduce_floats(View y, View x, const char* op) {
  dispatch(FloatTypes(), x.dtype, op,
           [&]<class T>() { reduce_into<F<T>, T, T>(y, x, [](int64_t) { return F<T>(); }); });
}

void sum_cpu(View y, View x) {
  dispatch(AllTypes(), x.dtype, "sum", [&]<class T>() {
    using Out = std::conditional_t<is_float_type<T>, T, int64_t>;
    reduce_into<Sum<T>, Out, T>(y, x, [](int64_t) { return Sum<T>(); });
  });
}

void sum_to_cpu(View to, View from) {
  dispatch(NumberTypes(), from.dtype, "sum_to", [&]<class T>() {
    reduce_into<Sum<T>, T, T>(to, from, [](int64_t) { return Sum<T>(); });
  });
}

void mean_cpu(View y, View x) { reduce_floats<Mean>(y, x, "mean"); }
void norm_cpu(View y, View x) { reduce_floats<Norm>(y, x, "norm"); }

void var_cpu(View y, View x, int correction) {
  dispatch(FloatTypes(), x.dtype, "var", [&]<class T>() {
    using F = SquaredDeviation<T>;
    const ReducePlan plan(y, x);
    const memory::Workspace<typename F::Lane> means(plan.outputs);
    reduce_each<Mean<T>>(
        plan, x.as<const T>(), [](int64_t) { return Mean<T>(); },
        [&](int64_t output, double mean) { means[output] = static_cast<typename F::Lane>(mean); });
    reduce_into<F, T, T>(y, x, [&](int64_t output) {
      F f;
      f.mean = means[output];
      f.correction = correction;
      return f;
    });
  });
}

void logsumexp_cpu(View y, View x) {
  dispatch(FloatTypes(), x.dtype, "logsumexp", [&]<class T>() {
    using F = LogSumExp<T>;
    const ReducePlan plan(y, x);
    const memory::Workspace<typename F::Lane> largest(plan.outputs);
    reduce_each<Extreme<true, T>>(
        plan, x.as<const T>(), [](int64_t) { return Extreme<true, T>(); },
        [&](int64_t output, typename F::Lane value) {
          largest[output] = std::isfinite(value) ? value : 0;
        });
    reduce_into<F, T, T>(y, x, [&](int64_t output) {
      F f;
      f.shift = largest[output];
      return f;
    });
  });
}

template <bool largest>
void extreme_cpu(View y, View x) {
  dispatch(AllTypes(), x.dtype, largest ? "max" : "min", [&]<class T>() {
    reduce_into<Extreme<largest, T>, T, T>(y, x, [](int64_t) { return Extreme<largest, T>(); });
  });
}

template <bool largest>
void extreme_place_cpu(View y, View x) {
  dispatch(AllTypes(), x.dtype, largest ? "argmax" : "argmin", [&]<class T>() {
    using F = ExtremePlace<largest, T>;
    reduce_into<F, int64_t, T>(y, x, [](int64_t) { return F(); });
  });
}

void cumsum_cpu(View y, View x) {
  dispatch(AllTypes(), x.dtype, "cumsum", [&]<class T>() {
    using Out = std::conditional_t<is_float_type<T>, T, int64_t>;
    const int64_t n = x.shape.back(), step_y = y.strides.back(), step_x = x.strides.back();
    for_each_line<2>({y, x}, n, [&](int64_t, const auto& at) {
      Out* to = y.as<Out>() + at[0];
      const T* from = x.as<const T>() + at[1];
      TotalSum<T> total = 0;
      for (int64_t i = 0; i < n; ++i) {
        total = plus(total, static_cast<TotalSum<T>>(from[i * step_x]));
        to[i * step_y] = Out(static_cast<Compute<Out>>(total));
      }
    });
  });
}

constexpr auto cpu = Device::Kind::cpu;
const bool filled =
    sum_kernel.fill(cpu, &sum_cpu) && sum_to_kernel.fill(cpu, &sum_to_cpu) &&
    mean_kernel.fill(cpu, &mean_cpu) && norm_kernel.fill(cpu, &norm_cpu) &&
    var_kernel.fill(cpu, &var_cpu) && logsumexp_kernel.fill(cpu, &logsumexp_cpu) &&
    max_kernel.fill(cpu, &extreme_cpu<true>) && min_kernel.fill(cpu, &extreme_cpu<false>) &&
    argmax_kernel.fill(cpu, &extreme_place_cpu<true>) &&
    argmin_kernel.fill(cpu, &extreme_place_cpu<false>) && cumsum_kernel.fill(cpu, &cumsum_cpu);

}  // namespace
}  // namespace tenet::detail
