#include <cuda/emulated_thread.h>
#include <cuda/same_bits.h>
#include <doctest/doctest.h>
#include <tenet/cuda/detail/reduce_task.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/reduce.h>
#include <tenet/ops/views.h>

using namespace tenet;
using namespace tenet::test;

namespace {

/// As reduce_into() of cuda/detail/reduce.h does it; `many` takes the way of many elements always.
template <class F, class Out, class T, class Make = cuda::Alike<F>>
void reduce_emulated(const View& y, const View& x, bool many, const Make& make = {}) {
  const cuda::ReduceSizes sizes(y, x);
  if (sizes.few() && !many) {
    emulate(cuda::ReduceFewTask<F, Make, Out, T>{sizes, x.as<const T>(), y.as<Out>(), make}, 2, 64);
    return;
  }
  using Task = cuda::ReduceTask<F, Make, Out, T>;
  std::vector<typename F::Lane> parts(static_cast<size_t>(sizes.outputs * sizes.blocks));
  const Task task{sizes, x.as<const T>(), y.as<Out>(), sizes.blocks == 1 ? nullptr : parts.data(),
                  make};
  emulate(task, task.grid(), Task::most_threads, Task::shared_bytes);
  if (sizes.blocks == 1) return;
  for (const int width : {1, 32}) {
    const cuda::JoinTask<F, Make, Out> join{sizes, parts.data(), y.as<Out>(), make, width};
    emulate(join, join.grid(), join.most_threads, join.shared_bytes);
  }
}

/// The kernel's result has the bits of the CPU's.
template <class F, class T, class Out = T>
void check(const Tensor& x, const Axes& axes, Tensor (*op)(const Tensor&, const Axes&, bool)) {
  const Tensor expected = op(x, axes, true).contiguous();
  for (const bool many : {false, true}) {
    const Tensor y = zeros(expected.shape(), {expected.dtype(), Device::cpu()});
    reduce_emulated<F, Out, T>(view(y), view(x), many);
    CHECK_MESSAGE(same_bits(y, expected), to_string(x.shape()), " many ", many);
  }
}

/// var and logsumexp: a first pass finds what is taken away from each element.
void check_centered(const Tensor& x, const Axes& axes) {
  const Tensor first = mean(x, axes, true).contiguous();
  const Tensor largest = tenet::max(x, axes, true).contiguous();
  for (const bool many : {false, true}) {
    const Tensor variance = empty_like(first), level = empty_like(first);
    reduce_emulated<detail::SquaredDeviation<float>, float, float>(
        view(variance), view(x), many, cuda::FromMean<float>{view(first).as<const float>(), 1});
    CHECK(same_bits(variance, var(x, axes, true)));
    reduce_emulated<detail::LogSumExp<float>, float, float>(
        view(level), view(x), many, cuda::FromLargest<float>{view(largest).as<const float>()});
    CHECK(same_bits(level, logsumexp(x, axes, true)));
  }
}

void check_all(const Tensor& x, const Axes& axes) {
  check<detail::Sum<float>, float>(x, axes, &sum);
  check<detail::Extreme<true, float>, float>(x, axes, &tenet::max);
  if (axes.all() || axes.list().size() == 1) {
    check<detail::ExtremePlace<false, float>, float, int64_t>(x, axes, &argmin);
  }
}

Tensor numbers(const Shape& shape) {
  Generator generator(7);
  return randn(shape, generator);
}

}  // namespace

TEST_CASE("reductions of the GPU add in the CPU's order") {
  check_all(numbers({3, 5}), {1});
  check_all(numbers({3, 5}), {0});
  check_all(numbers({2, 1500}), {1});
  check_all(numbers({70, 33}), {0});
  check_all(numbers({2100, 35}), {0});
  check_all(numbers({5000}), {});
  check_all(numbers({3, 40, 5, 20}), {1, 3});
  check_all(numbers({3, 40, 5, 20}), {0, 2});
  check_all(numbers({1, 1}), {});
}

TEST_CASE("reductions of the GPU take strided operands") {
  const Tensor x = numbers({40, 60, 3});
  check_all(transpose(x, 0, 1), {0});
  check_all(transpose(x, 0, 2), {2});
  check_all(slice(x, 1, 3, 50), {1});
  check_all(expand(numbers({40, 1, 3}), {40, 60, 3}), {1});
}

TEST_CASE("reductions of the GPU in two passes have the CPU's bits") {
  check_centered(numbers({3, 20}), {1});
  check_centered(numbers({70, 33}), {0});
  check_centered(numbers({2, 2500}), {1});
}

TEST_CASE("reductions of the GPU of half types and over nothing") {
  const Tensor x = numbers({50, 70}).to(DType::bf16);
  check<detail::Sum<bf16>, bf16>(x, {0}, &sum);
  check<detail::Mean<bf16>, bf16>(x, {1}, &mean);
  check<detail::Sum<float>, float>(zeros({4, 0}), {1}, &sum);
  check<detail::Sum<int64_t>, int64_t>(arange(0, 99, 1, {DType::i64, Device::cpu()}), {}, &sum);
}
