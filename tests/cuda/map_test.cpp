// The loops of elementwise operations, transposing copies and lists of tensors, as the GPU's
// threads run them.
#include "blocks.h"

#include <doctest/doctest.h>
#include <tenet/cuda/detail/map_task.h>
#include <tenet/cuda/detail/random_task.h>
#include <tenet/cuda/detail/tensor_list_task.h>
#include <tenet/cuda/detail/transpose_task.h>

#include <memory>
#include <numeric>

using namespace tenet;
using namespace tenet::cuda;
using cuda_test::numbers;

namespace {

struct Combine {
  template <class A, class B>
  A operator()(A a, B b) const {
    return a * static_cast<A>(3) - static_cast<A>(b);
  }
};

template <class T>
View view_of(T* data, Shape shape, Strides strides) {
  return {const_cast<std::remove_const_t<T>*>(data),
          dtype_of<std::remove_const_t<T>>,
          {},
          shape,
          strides};
}

template <class Task>
void run_threads(const Task& task, int64_t threads) {
  for (int64_t thread = 0; thread < threads; ++thread) task.run(thread, threads);
}

/// y = Combine(a, b) with contiguous operands, `b` repeated or not, from `offset` on.
template <class Y, class B>
void check_contiguous(int64_t count, bool repeated, int64_t offset) {
  CAPTURE(count);
  std::mt19937 random(3);
  using Task = ContiguousMap<Combine, Y, Y, B>;
  const auto a = numbers<Y>(count + offset + 16, random);
  const auto b = numbers<B>(count + offset + 16, random);
  std::vector<Y> y(a.size(), Y(Compute<Y>(77)));
  Task task{.y = y.data() + offset, .count = count};
  task.x[0] = a.data() + offset, task.x[1] = b.data() + offset;
  task.repeats[1] = repeated;
  const auto fits = [](const void* data, size_t size) {
    return reinterpret_cast<uintptr_t>(data) % (size * Task::width) == 0;
  };
  task.aligned = fits(task.y, sizeof(Y)) && fits(task.x[0], sizeof(Y)) &&
                 (repeated || fits(task.x[1], sizeof(B)));
  run_threads(task, 37);
  for (int64_t i = 0; i < std::ssize(y); ++i) {
    const size_t at = static_cast<size_t>(i);
    Compute<Y> want = 77;
    if (i >= offset && i < offset + count) {
      const size_t from = repeated ? static_cast<size_t>(offset) : at;
      want = Compute<Y>(Y(Combine()(Compute<Y>(a[at]), Compute<B>(b[from]))));
    }
    CHECK(Compute<Y>(y[at]) == want);
  }
}

}  // namespace

TEST_CASE("contiguous maps write every element once, in vectors and without") {
  for (const int64_t count : {0, 1, 3, 4, 7, 8, 64, 255, 1000}) {
    for (const bool repeated : {false, true}) {
      for (const int64_t offset : {0, 1, 8}) {
        check_contiguous<float, float>(count, repeated, offset);
        check_contiguous<double, float>(count, repeated, offset);
        check_contiguous<bf16, float>(count, repeated, offset);
        check_contiguous<f16, uint8_t>(count, repeated, offset);
        check_contiguous<int64_t, int32_t>(count, repeated, offset);
      }
    }
  }
}

TEST_CASE("strided maps find the places of every element") {
  std::mt19937 random(5);
  const Shape shape{3, 5, 7, 2};
  const auto a = numbers<float>(4000, random), b = numbers<float>(4000, random);
  std::vector<float> y(4000, 99.0f);
  const Strides ys{100, 17, 2, 1}, as{1, 200, 3, 50}, bs{0, 7, 0, 1};
  StridedMap<Combine, float, float, float> task{.y = y.data(), .count = shape.numel()};
  task.x[0] = a.data(), task.x[1] = b.data();
  task.index = Indexing<3>(shape, {view_of(y.data(), shape, ys), view_of(a.data(), shape, as),
                                   view_of(b.data(), shape, bs)});
  run_threads(task, 11);
  int64_t written = 0;
  for (const float value : y) written += value != 99.0f;
  CHECK(written <= shape.numel());
  const auto place = [](const Strides& s, int64_t i, int64_t j, int64_t k, int64_t l) {
    return static_cast<size_t>(i * s[0] + j * s[1] + k * s[2] + l * s[3]);
  };
  for (int64_t i = 0; i < 3; ++i) {
    for (int64_t j = 0; j < 5; ++j) {
      for (int64_t k = 0; k < 7; ++k) {
        for (int64_t l = 0; l < 2; ++l) {
          CHECK(y[place(ys, i, j, k, l)] ==
                Combine()(a[place(as, i, j, k, l)], b[place(bs, i, j, k, l)]));
        }
      }
    }
  }
}

TEST_CASE("division by multiplication is exact") {
  std::mt19937 random(9);
  for (const uint32_t d : {1u, 2u, 3u, 5u, 7u, 10u, 64u, 641u, 65535u, 65537u, 0x7fffffffu}) {
    const Divider by(d);
    for (int i = 0; i < 2000; ++i) {
      const uint32_t n = (i < 20 ? static_cast<uint32_t>(i) * d : random()) & 0x7fffffffu;
      CHECK(by.divide(n) == n / d);
    }
    CHECK(by.divide(0x7fffffffu) == 0x7fffffffu / d);
  }
}

TEST_CASE("transposing copies move every element") {
  std::mt19937 random(11);
  for (const Shape& shape : {Shape{33, 40}, Shape{9, 2, 65}, Shape{31, 3, 2, 8}, Shape{64, 64}}) {
    CAPTURE(shape);
    const auto x = numbers<float>(shape.numel(), random);
    std::vector<float> y(x.size(), 0.0f);
    // The source's axes lie in memory in the opposite order.
    Strides from = shape;
    int64_t step = 1;
    for (int axis = 0; axis < shape.dim(); ++axis) from[axis] = step, step *= shape[axis];
    const auto task = TransposeTask<float>::of(view_of(y.data(), shape, contiguous_strides(shape)),
                                               view_of(x.data(), shape, from));
    REQUIRE(task.has_value());
    const auto shared = std::make_unique<TransposeTask<float>::Shared>();
    for (int64_t block = 0; block < task->blocks(); ++block) {
      for (int t = 0; t < task->kThreads; ++t) task->load(*shared, block, t);
      for (int t = 0; t < task->kThreads; ++t) task->store(*shared, block, t);
    }
    for (int64_t i = 0; i < shape.numel(); ++i) {
      int64_t rest = i, at = 0;
      for (int axis = shape.dim() - 1; axis >= 0; --axis) {
        at += rest % shape[axis] * from[axis];
        rest /= shape[axis];
      }
      CHECK(y[static_cast<size_t>(i)] == x[static_cast<size_t>(at)]);
    }
  }
  const Shape shape{16, 16};
  std::vector<float> same(256);
  CHECK_FALSE(TransposeTask<float>::of(view_of(same.data(), shape, {16, 1}),
                                       view_of(same.data(), shape, {16, 1})));
}

TEST_CASE("lists of tensors cover every element once, in as many launches as it takes") {
  std::vector<int64_t> sizes(130);
  std::iota(sizes.begin(), sizes.end(), int64_t{0});
  sizes[7] = 3 * TensorList<int>::kChunk + 5, sizes[60] = TensorList<int>::kChunk;
  std::vector<std::vector<int>> visits;
  for (const int64_t size : sizes) visits.emplace_back(static_cast<size_t>(size));
  int launches = 0;
  in_lists<int*>(
      visits, [](std::vector<int>& v) { return v.data(); },
      [](const std::vector<int>& v) { return std::ssize(v); },
      [&](const TensorList<int*>& list) {
        ++launches;
        for (int32_t number = 0; number < list.chunks(); ++number) {
          const auto chunk = list.chunk(number);
          for (int64_t i = chunk.begin; i < chunk.end; ++i) ++list.entry[chunk.tensor][i];
        }
      });
  CHECK(launches == 3);
  for (const auto& tensor : visits) {
    for (const int count : tensor) CHECK(count == 1);
  }
}

TEST_CASE("draws give each element its word") {
  const PhiloxKey key{.seed = 5, .stream = 3, .offset = 11};
  for (const int64_t count : {0, 1, 4, 5, 1023}) {
    std::vector<uint32_t> words(static_cast<size_t>(count));
    const auto keep = [&](int64_t i, const PhiloxBlock& block, int k) {
      words[static_cast<size_t>(i)] = block.word[k];
    };
    run_threads(RandomTask<decltype(keep)>{key, count, keep}, 7);
    for (int64_t i = 0; i < count; ++i) {
      CHECK(words[static_cast<size_t>(i)] ==
            philox_block(key, static_cast<uint64_t>(i / 4)).word[i % 4]);
    }
  }
}
