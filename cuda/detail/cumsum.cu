/// The GPU side of cumsum().
#include <tenet/cuda/detail/cumsum_task.h>
#include <tenet/cuda/detail/task.h>
#include <tenet/ops/reduce.h>

namespace tenet::cuda {
namespace {

using namespace tenet::detail;

template <class Out, class T>
void cumsum_rows(const CumsumRows& rows, Out* y, const T* x) {
  using Task = CumsumChunkTask<Out, T>;
  const bool several = rows.chunks() > 1;
  const Workspace<TotalSum<T>> sums(several ? rows.rows * rows.chunks() : 0);
  Task task{rows, nullptr, x, several ? sums.data() : nullptr};
  if (several) {
    launch_task("cumsum", task, task.grid(), Task::most_threads, Task::shared_bytes);
    launch_strided("cumsum", CumsumCarryTask<TotalSum<T>>{rows.rows, rows.chunks(), sums.data()},
                   rows.rows);
  }
  task.y = y;
  launch_task("cumsum", task, task.grid(), Task::most_threads, Task::shared_bytes);
}

void cumsum_cuda(View y, View x) {
  if (x.numel() == 0) return;
  dispatch(AllTypes(), x.dtype, "cumsum", [&]<class T>() {
    using Out = std::conditional_t<is_float_type<T>, T, int64_t>;
    const CumsumRows rows(y, x);
    if (rows.size > CumsumRows::short_row)
      return cumsum_rows<Out, T>(rows, y.as<Out>(), x.as<const T>());
    launch_strided("cumsum", CumsumShortTask<Out, T>{rows, y.as<Out>(), x.as<const T>()},
                   rows.rows);
  });
}

const bool filled = cumsum_kernel.fill(Device::Kind::cuda, &cumsum_cuda);

}  // namespace
}  // namespace tenet::cuda
