/// Dropout on the GPU.
#include <tenet/core/dtype.h>
#include <tenet/cuda/detail/random.h>
#include <tenet/ops/dropout.h>

namespace tenet::cuda {
namespace {

template <class T>
struct Drop {
  T* y;
  const T* x;
  float p, scale;
  TENET_HD void operator()(int64_t i, const PhiloxBlock& words, int k) const {
    using C = Compute<T>;
    const C value = C(x[i]) * C(scale);
    y[i] = T(uniform_of_word(words.word[k]) >= p ? value : C(0));
  }
};

void dropout_cuda(View y, View x, PhiloxKey key, float p, float scale) {
  dispatch(FloatTypes(), y.dtype, "dropout", [&]<class T>() {
    for_each_word("dropout", key, y.numel(), Drop<T>{y.as<T>(), x.as<const T>(), p, scale});
  });
}

const bool filled = tenet::detail::dropout_kernel.fill(Device::Kind::cuda, &dropout_cuda);

}  // namespace
}  // namespace tenet::cuda
