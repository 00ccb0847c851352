#include <cuda/emulated_thread.h>
#include <cuda/same_bits.h>
#include <doctest/doctest.h>
#include <tenet/cuda/detail/cross_entropy_task.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/cross_entropy.h>

using namespace tenet;
using namespace tenet::test;

namespace {

constexpr int64_t ignored = 2;

template <class Task>
void run_rows(const Task& task) {
  using C = typename Task::C;
  emulate(task, task.plan.blocks(), task.plan.threads(), task.plan.template shared_bytes<C>());
}

template <class T>
void check(int64_t rows, int64_t classes, double scale = 1) {
  using C = Compute<T>;
  CAPTURE(rows);
  CAPTURE(classes);
  Generator generator(5);
  const Tensor logits = mul(randn({rows, classes}, generator), scale).to(dtype_of<T>);
  const Tensor targets = randint({rows}, 0, classes, generator);
  const TensorOptions wide{dtype_of<C>, Device::cpu()};
  const Tensor loss = empty({rows}, wide), lse = empty({rows}, wide),
               dloss = randn({rows}, generator).to(dtype_of<C>);
  const Tensor dx = empty_like(logits);
  detail::cross_entropy_kernel(Device::cpu(), view(loss), view(lse), view(logits), view(targets),
                               ignored);
  detail::cross_entropy_backward_kernel(Device::cpu(), view(dx), view(logits), view(lse),
                                        view(targets), view(dloss), ignored);
  const Tensor loss2 = empty_like(loss), lse2 = empty_like(lse), dx2 = logits.clone();
  const int64_t* const at = view(targets).as<const int64_t>();
  run_rows(cuda::CrossEntropyTask<T>{cuda::RowPlan::of<C>(rows, classes), view(loss2).as<C>(),
                                     view(lse2).as<C>(), view(logits).as<const T>(), at, ignored});
  CHECK(same_bits(loss2, loss));
  CHECK(same_bits(lse2, lse));
  run_rows(cuda::CrossEntropyBackwardTask<T>{
      cuda::RowPlan::uncached(rows, classes), view(dx2).as<T>(), view(dx2).as<const T>(),
      view(lse2).as<const C>(), at, view(dloss).as<const C>(), 1, ignored});
  CHECK(same_bits(dx2, dx));
}

}  // namespace

TEST_CASE("cross_entropy on the GPU does what the CPU does") {
  check<float>(40, 3);
  check<float>(21, 257);
  check<float>(3, 2500);
  check<float>(2, 50000);
  check<bf16>(21, 257);
  check<double>(21, 257);
}

TEST_CASE("cross_entropy on the GPU sums rows of large logits anew") {
  check<float>(21, 257, 40);
  check<float>(5, 2500, 40);
}

TEST_CASE("cross_entropy on the GPU reads nothing through a target outside the classes") {
  const std::vector<float> logits{1, 2, 3};
  const int64_t target = 1000000000000;
  float loss = -1, lse = -1;
  run_rows(cuda::CrossEntropyTask<float>{cuda::RowPlan::of<float>(1, 3), &loss, &lse, logits.data(),
                                         &target, -100});
  CHECK(loss == 0);
}
