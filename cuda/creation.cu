/// New tensors: counting and random numbers, on the GPU.
#include <tenet/cuda/detail/random.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/detail/random.h>

namespace tenet::cuda {
namespace {

template <class T>
struct Uniform {
  T* y;
  TENET_HD void operator()(int64_t i, const PhiloxBlock& words, int k) const {
    y[i] = tenet::detail::uniform_of_type<T>(words.word[k]);
  }
};

template <class T>
struct Normal {
  T* y;
  TENET_HD void operator()(int64_t i, const PhiloxBlock& words, int k) const {
    const int pair = k & ~1;
    y[i] = T(normal_of_words(words.word[pair], words.word[pair + 1], k & 1));
  }
};

template <class T>
struct Integer {
  T* y;
  int64_t low;
  uint64_t range;
  TENET_HD void operator()(int64_t i, const PhiloxBlock& words, int k) const {
    const int64_t above = static_cast<int64_t>((words.word[k] * range) >> 32);
    y[i] = T(static_cast<Compute<T>>(low + above));
  }
};

template <class T>
struct Chance {
  T* y;
  double p;
  TENET_HD void operator()(int64_t i, const PhiloxBlock& words, int k) const {
    y[i] = T(static_cast<Compute<T>>(uniform_of_word(words.word[k]) < p ? 1 : 0));
  }
};

void rand_cuda(View y, PhiloxKey key) {
  dispatch(FloatTypes(), y.dtype, "rand",
           [&]<class T>() { for_each_word("rand", key, y.numel(), Uniform<T>{y.as<T>()}); });
}

void randn_cuda(View y, PhiloxKey key) {
  dispatch(FloatTypes(), y.dtype, "randn",
           [&]<class T>() { for_each_word("randn", key, y.numel(), Normal<T>{y.as<T>()}); });
}

void randint_cuda(View y, PhiloxKey key, int64_t low, uint64_t range) {
  dispatch(NumberTypes(), y.dtype, "randint", [&]<class T>() {
    for_each_word("randint", key, y.numel(), Integer<T>{y.as<T>(), low, range});
  });
}

void bernoulli_cuda(View y, PhiloxKey key, double p) {
  dispatch(AllTypes(), y.dtype, "bernoulli", [&]<class T>() {
    for_each_word("bernoulli", key, y.numel(), Chance<T>{y.as<T>(), p});
  });
}

template <class T, class C>
__global__ void count_up(T* y, int64_t count, C first, C by) {
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count;
       i += int64_t{gridDim.x} * blockDim.x) {
    y[i] = T(static_cast<Compute<T>>(first + static_cast<C>(i) * by));
  }
}

void arange_cuda(View y, Scalar start, Scalar step) {
  dispatch(NumberTypes(), y.dtype, "arange", [&]<class T>() {
    using C = std::conditional_t<std::is_integral_v<T>, int64_t, double>;
    launch("arange", &count_up<T, C>, grid_for(y.numel(), 256), 256, 0, y.as<T>(), y.numel(),
           start.as<C>(), step.as<C>());
  });
}

const bool filled = tenet::detail::arange_kernel.fill(Device::Kind::cuda, &arange_cuda) &&
                    tenet::detail::rand_kernel.fill(Device::Kind::cuda, &rand_cuda) &&
                    tenet::detail::randn_kernel.fill(Device::Kind::cuda, &randn_cuda) &&
                    tenet::detail::randint_kernel.fill(Device::Kind::cuda, &randint_cuda) &&
                    tenet::detail::bernoulli_kernel.fill(Device::Kind::cuda, &bernoulli_cuda);

}  // namespace
}  // namespace tenet::cuda
