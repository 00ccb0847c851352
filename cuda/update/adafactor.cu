/// Adafactor on the GPU, one tensor after the other. All sums have a fixed order and are kept in
/// f64: over a block's threads by halves, over blocks of rows and over parts in order.
#include <tenet/cuda/detail/block_sum.h>
#include <tenet/cuda/detail/runtime.h>
#include <tenet/ops/update/update.h>

namespace tenet::cuda {
namespace {

using tenet::detail::AdafactorStep;
using tenet::detail::AdafactorTensor;

constexpr int kThreads = 256;
constexpr int64_t kRowsOfPart = 64;       // whose columns are added up by one thread each
constexpr int64_t kPart = kThreads * 16;  // elements of a part, where nothing is factored

/// One tensor's numbers, its step's, and scratch. Where it is not factored, `parts` pieces of kPart
/// elements stand for rows.
template <class T>
struct Job {
  using A = Compute<T>;

  T* w;
  const T* dw;
  A *row, *column, *momentum;
  int64_t groups, rows, columns, parts;
  A beta1, gain1, beta2, gain2, eps1;
  AdafactorStep step;
  /// Sums of w^2 and y^2 of each row or part; sums of each column of kRowsOfPart rows.
  double *weight_squares = nullptr, *update_squares = nullptr, *column_sums = nullptr;
  double *row_factor = nullptr, *column_factor = nullptr;
  double* scales = nullptr;  // what y and w are multiplied by

  __device__ bool allowed() const { return step.guard == nullptr || isfinite(*step.guard); }
  __host__ __device__ int64_t row_parts() const { return (rows + kRowsOfPart - 1) / kRowsOfPart; }
  __device__ A square(int64_t i) const { return A(dw[i]) * A(dw[i]) + eps1; }
};

/// A block for each row: its mean of dw^2 + eps1 and its sum of w^2.
template <class T>
__global__ void __launch_bounds__(kThreads) row_moments(const __grid_constant__ Job<T> job) {
  if (!job.allowed()) return;
  using A = Compute<T>;
  const int64_t r = blockIdx.x, first = r * job.columns;
  double squares = 0, weights = 0;
  for (int64_t c = threadIdx.x; c < job.columns; c += kThreads) {
    const double w = static_cast<double>(A(job.w[first + c]));
    squares += static_cast<double>(job.square(first + c));
    weights += w * w;
  }
  squares = sum_of_block<kThreads>(squares);
  weights = sum_of_block<kThreads>(weights);
  if (threadIdx.x != 0) return;
  const double mean = squares / static_cast<double>(job.columns);
  job.row[r] = job.beta2 * job.row[r] + job.gain2 * A(mean);
  job.weight_squares[r] = weights;
}

/// A thread for each column of kRowsOfPart rows of a group.
template <class T>
__global__ void __launch_bounds__(kThreads) column_moments(const __grid_constant__ Job<T> job) {
  if (!job.allowed()) return;
  const int64_t count = job.groups * job.row_parts() * job.columns;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < count;
       i += int64_t{gridDim.x} * kThreads) {
    const int64_t c = i % job.columns, part = i / job.columns;
    const int64_t group = part / job.row_parts(), begin = part % job.row_parts() * kRowsOfPart;
    const int64_t end = min(begin + kRowsOfPart, job.rows);
    double sum = 0;
    for (int64_t r = begin; r < end; ++r) {
      sum += static_cast<double>(job.square((group * job.rows + r) * job.columns + c));
    }
    job.column_sums[i] = sum;
  }
}

/// A thread for each column of a group: its mean, and 1 / sqrt of it.
template <class T>
__global__ void __launch_bounds__(kThreads) column_factors(const __grid_constant__ Job<T> job) {
  if (!job.allowed()) return;
  using A = Compute<T>;
  const int64_t count = job.groups * job.columns;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < count;
       i += int64_t{gridDim.x} * kThreads) {
    const int64_t group = i / job.columns, c = i % job.columns;
    double sum = 0;
    for (int64_t p = 0; p < job.row_parts(); ++p) {
      sum += job.column_sums[(group * job.row_parts() + p) * job.columns + c];
    }
    const double known = static_cast<double>(job.column[i]);
    job.column[i] =
        A(job.step.beta2 * known + (1 - job.step.beta2) * sum / static_cast<double>(job.rows));
    job.column_factor[i] = 1 / sqrt(static_cast<double>(job.column[i]));
  }
}

/// A block for each group: sqrt(mean(row) / row).
template <class T>
__global__ void __launch_bounds__(kThreads) row_factors(const __grid_constant__ Job<T> job) {
  if (!job.allowed()) return;
  __shared__ double mean;
  const Compute<T>* row = job.row + blockIdx.x * job.rows;
  double sum = 0;
  for (int64_t r = threadIdx.x; r < job.rows; r += kThreads) sum += static_cast<double>(row[r]);
  sum = sum_of_block<kThreads>(sum);
  if (threadIdx.x == 0) mean = sum / static_cast<double>(job.rows);
  __syncthreads();
  double* factor = job.row_factor + blockIdx.x * job.rows;
  for (int64_t r = threadIdx.x; r < job.rows; r += kThreads) {
    factor[r] = sqrt(mean / static_cast<double>(row[r]));
  }
}

/// A block for each row: its sum of y^2.
template <class T>
__global__ void __launch_bounds__(kThreads) row_squares(const __grid_constant__ Job<T> job) {
  if (!job.allowed()) return;
  using A = Compute<T>;
  const int64_t r = blockIdx.x, first = r * job.columns;
  const double* factor = job.column_factor + r / job.rows * job.columns;
  double sum = 0;
  for (int64_t c = threadIdx.x; c < job.columns; c += kThreads) {
    const double y = static_cast<double>(A(job.dw[first + c]) * A(factor[c]));
    sum += y * y;
  }
  sum = sum_of_block<kThreads>(sum);
  if (threadIdx.x == 0) job.update_squares[r] = sum * job.row_factor[r] * job.row_factor[r];
}

/// A block for each part of a tensor that is not factored.
template <class T>
__global__ void __launch_bounds__(kThreads) plain_moments(const __grid_constant__ Job<T> job) {
  if (!job.allowed()) return;
  using A = Compute<T>;
  const int64_t begin = blockIdx.x * kPart, end = min(begin + kPart, job.columns);
  double updates = 0, weights = 0;
  for (int64_t i = begin + threadIdx.x; i < end; i += kThreads) {
    const A v = job.row[i] = job.beta2 * job.row[i] + job.gain2 * job.square(i);
    const double w = static_cast<double>(A(job.w[i]));
    updates += static_cast<double>(A(job.dw[i]) * A(job.dw[i]) / v);
    weights += w * w;
  }
  updates = sum_of_block<kThreads>(updates);
  weights = sum_of_block<kThreads>(weights);
  if (threadIdx.x != 0) return;
  job.update_squares[blockIdx.x] = updates;
  job.weight_squares[blockIdx.x] = weights;
}

/// One block.
template <class T>
__global__ void __launch_bounds__(kThreads) find_scales(const __grid_constant__ Job<T> job) {
  if (!job.allowed()) return;
  double weights = 0, updates = 0;
  for (int64_t p = threadIdx.x; p < job.parts; p += kThreads) {
    weights += job.weight_squares[p];
    updates += job.update_squares[p];
  }
  weights = sum_of_block<kThreads>(weights);
  updates = sum_of_block<kThreads>(updates);
  if (threadIdx.x != 0) return;
  const AdafactorStep& s = job.step;
  const double count = static_cast<double>(job.groups * job.rows * job.columns);
  const double own = s.scaled ? fmax(sqrt(weights / count), s.eps2) : 1;
  const double rate = s.rate * own;
  job.scales[0] = rate / fmax(1.0, sqrt(updates / count) / s.clip);
  job.scales[1] = 1 - s.decay * (s.decay_scaled ? rate : 1);
}

template <class T>
__global__ void __launch_bounds__(kThreads) apply(const __grid_constant__ Job<T> job) {
  if (!job.allowed()) return;
  using A = Compute<T>;
  const int64_t count = job.groups * job.rows * job.columns;
  const A keep = A(job.scales[1]);
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < count;
       i += int64_t{gridDim.x} * kThreads) {
    A change;
    if (job.column != nullptr) {
      const int64_t r = i / job.columns, c = i % job.columns;
      const double factor = job.column_factor[r / job.rows * job.columns + c];
      change = A(job.scales[0] * job.row_factor[r]) * (A(job.dw[i]) * A(factor));
    } else {
      change = A(job.scales[0]) * (A(job.dw[i]) / sqrt(job.row[i]));
    }
    if (job.momentum != nullptr) {
      change = job.momentum[i] = job.beta1 * job.momentum[i] + job.gain1 * change;
    }
    job.w[i] = T(keep * A(job.w[i]) - change);
  }
}

template <class T>
void update(const AdafactorTensor& t, const AdafactorStep& step) {
  using A = Compute<T>;
  constexpr const char* name = "adafactor";
  const bool factored = t.column.data != nullptr;
  const int64_t rows = t.groups * t.rows;
  Job<T> job{.w = t.w.as<T>(),
             .dw = t.dw.as<const T>(),
             .row = t.row.as<A>(),
             .column = t.column.as<A>(),
             .momentum = t.momentum.as<A>(),
             .groups = t.groups,
             .rows = t.rows,
             .columns = t.columns,
             .parts = factored ? rows : (t.columns + kPart - 1) / kPart,
             .beta1 = A(step.beta1),
             .gain1 = A(1 - step.beta1),
             .beta2 = A(step.beta2),
             .gain2 = A(1 - step.beta2),
             .eps1 = A(step.eps1),
             .step = step};
  const int64_t sums = factored ? t.groups * job.row_parts() * t.columns : 0;
  const int64_t factors = factored ? rows + t.groups * t.columns : 0;
  const Workspace<double> scratch(2 * job.parts + sums + factors + 2);
  job.weight_squares = scratch.data();
  job.update_squares = job.weight_squares + job.parts;
  job.column_sums = job.update_squares + job.parts;
  job.row_factor = job.column_sums + sums;
  job.column_factor = job.row_factor + (factored ? rows : 0);
  job.scales = job.column_factor + (factored ? t.groups * t.columns : 0);
  const auto run = [&](void (*kernel)(Job<T>), int64_t blocks) {
    launch(name, kernel, blocks_of(blocks, name), kThreads, 0, job);
  };
  if (factored) {
    run(&row_moments<T>, rows);
    run(&column_moments<T>, grid_for(sums, kThreads));
    run(&column_factors<T>, grid_for(t.groups * t.columns, kThreads));
    run(&row_factors<T>, t.groups);
    run(&row_squares<T>, rows);
  } else {
    run(&plain_moments<T>, job.parts);
  }
  run(&find_scales<T>, 1);
  run(&apply<T>, grid_for(rows * t.columns, kThreads));
}

void adafactor_cuda(const std::vector<AdafactorTensor>& tensors, const AdafactorStep& step) {
  for (const AdafactorTensor& t : tensors) {
    dispatch(FloatTypes(), t.w.dtype, "adafactor", [&]<class T>() { update<T>(t, step); });
  }
}

const bool filled =
    tenet::detail::adafactor_update_kernel.fill(Device::Kind::cuda, &adafactor_cuda);

}  // namespace
}  // namespace tenet::cuda
