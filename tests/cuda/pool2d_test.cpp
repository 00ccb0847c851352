#include <cuda/emulated_thread.h>
#include <cuda/same_bits.h>
#include <doctest/doctest.h>
#include <tenet/cuda/detail/pool2d_task.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/detail/window.h>
#include <tenet/ops/pool2d.h>

using namespace tenet;
using namespace tenet::test;

namespace {

constexpr Device cpu = Device::cpu();

Tensor numbers(const Shape& shape, DType dtype) {
  Generator generator(23);
  return randn(shape, generator).to(dtype);
}

/// The five kernels over planes of w, two images of three channels.
template <class T>
void check(const detail::Window& w) {
  const Shape images{2, 3, w.rows.size, w.columns.size};
  const Shape pooled{2, 3, w.rows.count(), w.columns.count()};
  const Tensor x = numbers(images, dtype_of<T>), y = empty_like(x, pooled), y2 = empty_like(y);
  const Tensor index = empty(pooled, {DType::i32, cpu}), index2 = empty_like(index);
  const cuda::PoolPlan plan(6, w);
  const int64_t windows = w.windows(), elements = w.plane();

  detail::max_pool2d_kernel(cpu, view(y), view(index), view(x), w);
  emulate(cuda::MaxPoolTask<T>{plan, view(y2).as<T>(), view(index2).as<int32_t>(),
                               view(x).as<const T>()},
          1, 64);
  CHECK(same_bits(y2, y));
  CHECK(same_bits(index2, index));

  const int32_t* const at = view(index).as<const int32_t>();
  detail::pick_kernel(cpu, view(y), view(x), view(index));
  emulate(
      cuda::PickTask<T>{y.numel(), windows, elements, view(y2).as<T>(), view(x).as<const T>(), at},
      1, 64);
  CHECK(same_bits(y2, y));

  const Tensor dy = numbers(pooled, dtype_of<T>), dx = empty_like(x), dx2 = empty_like(x);
  detail::unpick_kernel(cpu, view(dx), view(dy), view(index));
  std::vector<int32_t> head(static_cast<size_t>(x.numel()), -1);
  std::vector<int32_t> next(static_cast<size_t>(y.numel()));
  emulate(cuda::LinkTask{y.numel(), windows, elements, at, head.data(), next.data()}, 3, 64);
  emulate(cuda::UnpickTask<T>{x.numel(), windows, elements, head.data(), next.data(),
                              view(dx2).as<T>(), view(dy).as<const T>()},
          1, 64);
  CHECK(same_bits(dx2, dx));

  for (const bool count_padding : {false, true}) {
    detail::avg_pool2d_kernel(cpu, view(y), view(x), w, count_padding);
    emulate(cuda::AvgPoolTask<T>{plan, count_padding, view(y2).as<T>(), view(x).as<const T>()}, 1,
            64);
    CHECK(same_bits(y2, y));
    detail::avg_unpool2d_kernel(cpu, view(dx), view(dy), w, count_padding);
    emulate(cuda::AvgUnpoolTask<T>{plan, count_padding, view(dx2).as<T>(), view(dy).as<const T>()},
            1, 64);
    CHECK(same_bits(dx2, dx));
  }
}

}  // namespace

TEST_CASE("pooling on the GPU does what the CPU does") {
  check<float>({{.size = 8, .kernel = 2, .stride = 2}, {.size = 6, .kernel = 2, .stride = 2}});
  check<float>({{.size = 9, .kernel = 3, .stride = 2, .padding = 1},
                {.size = 7, .kernel = 3, .stride = 1, .padding = 1}});
  check<float>({{.size = 5, .kernel = 4, .stride = 1, .padding = 2},
                {.size = 11, .kernel = 2, .stride = 5}});
  check<bf16>({{.size = 6, .kernel = 3, .stride = 1, .padding = 1},
               {.size = 6, .kernel = 5, .stride = 1, .padding = 2}});
}
