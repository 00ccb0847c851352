#include <cuda/emulated_thread.h>
#include <cuda/same_bits.h>
#include <doctest/doctest.h>
#include <tenet/core/grad_mode.h>
#include <tenet/cuda/detail/softmax_task.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/softmax.h>
#include <tenet/ops/views.h>

using namespace tenet;
using namespace tenet::test;

namespace {

Shape rows_of(const View& v) {
  Shape rows = v.shape;
  rows.erase(rows.dim() - 1);
  return rows;
}

template <class Task>
void run(const Task& task) {
  using C = typename Task::C;
  emulate(task, task.plan.blocks(), task.plan.threads(), task.plan.template shared_bytes<C>());
}

template <class T, bool logarithm>
Tensor forward(const Tensor& input) {
  const Tensor y = empty_like(input);
  const View to = view(y), x = view(input);
  const Shape rows = rows_of(to);
  run(cuda::SoftmaxTask<T, logarithm>{cuda::RowPlan::of<Compute<T>>(rows.numel(), x.shape.back()),
                                      cuda::Indexing<2>(rows, {to, x}), to.strides.back(),
                                      x.strides.back(), to.as<T>(), x.as<const T>()});
  return y;
}

template <class T, bool logarithm>
Tensor backward(const Tensor& output, const Tensor& gradient) {
  const Tensor dx = empty_like(output);
  const View to = view(dx), y = view(output), dy = view(gradient);
  const Shape rows = rows_of(y);
  run(cuda::SoftmaxBackwardTask<T, logarithm>{
      cuda::RowPlan::of<Compute<T>>(rows.numel(), y.shape.back(), 2),
      cuda::Indexing<3>(rows, {to, y, dy}), to.strides.back(), y.strides.back(), dy.strides.back(),
      to.as<T>(), y.as<const T>(), dy.as<const T>()});
  return dx;
}

Tensor numbers(const Shape& shape, DType dtype = DType::f32) {
  Generator generator(11);
  return randn(shape, generator).to(dtype);
}

template <class T>
void check_forward(const Tensor& x) {
  const std::string of = to_string(x.shape());
  CHECK_MESSAGE(same_bits(forward<T, false>(x), softmax(x)), of);
  CHECK_MESSAGE(same_bits(forward<T, true>(x), log_softmax(x)), of);
}

template <class T>
void check_backward(const Tensor& x) {
  const Tensor y = softmax(x), log_y = log_softmax(x), dy = numbers(x.shape(), x.dtype());
  const Tensor dx = empty_like(y), log_dx = empty_like(y);
  detail::softmax_backward_kernel(dx.device(), view(dx), view(y), view(dy));
  detail::log_softmax_backward_kernel(dx.device(), view(log_dx), view(log_y), view(dy));
  const std::string of = to_string(x.shape());
  CHECK_MESSAGE(same_bits(backward<T, false>(y, dy), dx), of);
  CHECK_MESSAGE(same_bits(backward<T, true>(log_y, dy), log_dx), of);
}

}  // namespace

TEST_CASE("softmax on the GPU does what the CPU does") {
  for (const int64_t n : {1, 15, 17, 257, 1024, 1025, 2049, 5000, 40000}) {
    check_forward<float>(numbers({n < 2000 ? 19 : 2, n}));
    check_backward<float>(numbers({n < 2000 ? 19 : 2, n}));
  }
  check_forward<bf16>(numbers({3, 300}, DType::bf16));
  check_backward<bf16>(numbers({3, 300}, DType::bf16));
  check_forward<double>(numbers({3, 12000}, DType::f64));
}

TEST_CASE("softmax on the GPU of strided rows and of rows without a number above -inf") {
  const Tensor x = numbers({20, 30, 3});
  check_forward<float>(transpose(x, 0, 2).contiguous());
  CHECK(same_bits(forward<float, false>(transpose(x, 0, 2)), softmax(transpose(x, 0, 2))));
  check_forward<float>(full({2, 40}, -INFINITY));
}
