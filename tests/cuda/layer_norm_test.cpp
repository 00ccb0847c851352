#include <cuda/emulated_thread.h>
#include <cuda/same_bits.h>
#include <doctest/doctest.h>
#include <tenet/cuda/detail/layer_norm_task.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/layer_norm.h>

using namespace tenet;
using namespace tenet::test;

namespace {

template <class Task>
void run_rows(const Task& task) {
  using C = typename Task::C;
  emulate(task, task.plan.blocks(), task.plan.threads(), task.plan.template shared_bytes<C>());
}

bool same(const Tensor& a, const Tensor& b) {
  return a.dtype() == DType::f64 ? same_f64(a, b) : same_bits(a, b);
}

/// A row-wise problem, on the CPU's kernels and on the emulated ones.
template <class T>
struct Problem {
  using C = Compute<T>;
  int64_t rows, size;
  Generator generator{3};
  Tensor x, dy, weight, bias, y, mean, rstd, dx, dw, db;

  Problem(int64_t rows_, int64_t size_) : rows(rows_), size(size_) {
    const auto draw = [&](Shape shape) { return randn(shape, generator).to(dtype_of<T>); };
    x = draw({rows, size}), dy = draw({rows, size});
    weight = draw({size}), bias = draw({size});
    const TensorOptions wide{dtype_of<C>, Device::cpu()};
    y = empty_like(x), mean = empty({rows}, wide), rstd = empty({rows}, wide);
    dx = empty_like(x), dw = empty_like(weight), db = empty_like(bias);
    detail::layer_norm_kernel(
        Device::cpu(), {view(y), view(mean), view(rstd), view(x), view(weight), view(bias), 1e-5});
    detail::layer_norm_backward_kernel(
        Device::cpu(),
        {view(dx), view(dw), view(db), view(dy), view(x), view(mean), view(rstd), view(weight)});
  }

  template <class E>
  E* data(const Tensor& t) {
    return view(t).as<E>();
  }

  void check_forward() {
    const Tensor y2 = empty_like(y), mean2 = empty_like(mean), rstd2 = empty_like(rstd);
    run_rows(cuda::LayerNormTask<T>{cuda::RowPlan::of<C>(rows, size), data<T>(y2), data<C>(mean2),
                                    data<C>(rstd2), data<T>(x), data<T>(weight), data<T>(bias),
                                    1e-5});
    CHECK(same(y2, y));
    CHECK(same(mean2, mean));
    CHECK(same(rstd2, rstd));
  }
  void check_backward() {
    const Tensor dx2 = empty_like(dx);
    run_rows(cuda::LayerNormBackwardTask<T>{cuda::RowPlan::of<C>(rows, size, 2), data<T>(dx2),
                                            data<T>(dy), data<T>(x), data<C>(mean), data<C>(rstd),
                                            data<T>(weight)});
    CHECK(same(dx2, dx));
  }
  void check_parameters() {
    const int64_t count = (rows + cuda::kNormShare - 1) / cuda::kNormShare;
    std::vector<C> dw_shares(static_cast<size_t>(count * size)), db_shares = dw_shares;
    const cuda::LayerNormSharesTask<T> task{
        rows,        size,       dw_shares.data(), db_shares.data(),
        data<T>(dy), data<T>(x), data<C>(mean),    data<C>(rstd)};
    emulate(task, task.grid(), task.most_threads);
    const auto add = [&](const Tensor& expected, const std::vector<C>& shares) {
      const Tensor sum = empty_like(expected);
      const cuda::AddSharesTask<T> adding{count, size, data<T>(sum), shares.data()};
      emulate(adding, adding.grid(), adding.most_threads, adding.shared_bytes);
      CHECK(same(sum, expected));
    };
    add(dw, dw_shares);
    add(db, db_shares);
  }
};

template <class T>
void check(int64_t rows, int64_t size) {
  CAPTURE(rows);
  CAPTURE(size);
  Problem<T> problem(rows, size);
  problem.check_forward();
  problem.check_backward();
  problem.check_parameters();
}

}  // namespace

TEST_CASE("layer_norm on the GPU does what the CPU does") {
  check<float>(1, 1);
  check<float>(70, 33);
  check<float>(5, 1024);
  check<float>(3, 3000);
  check<float>(2, 34000);
  check<float>(2500, 9);
  check<float>(20000, 2);
  check<bf16>(130, 100);
  check<double>(3, 9000);
}
