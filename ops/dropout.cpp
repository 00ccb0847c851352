#include <tenet/core/autograd.h>
#include <tenet/core/node.h>
#include <tenet/ops/detail/map.h>
#include <tenet/ops/detail/random.h>
#include <tenet/ops/dropout.h>

namespace tenet {
namespace {

Tensor dropout_at(const Tensor& x, const PhiloxKey& key, double p);

void fill_kept(const Tensor& y, const Tensor& x, const PhiloxKey& key, double p) {
  const float scale = p < 1 ? static_cast<float>(1 / (1 - p)) : 0.0f;
  detail::dropout_kernel(x.device(), view(y), view(x), key, static_cast<float>(p), scale);
}

/// y = keep x / (1 - p) with keep from the key; dx = keep dy / (1 - p), the same function of dy.
struct DropoutNode : Node {
  PhiloxKey key;
  double p = 0;
  Tensors backward(const Tensors& dy) override {
    if (grad_enabled() || !detail::may_overwrite(dy[0])) {
      return {dropout_at(dy[0].contiguous(), key, p)};
    }
    fill_kept(dy[0], dy[0], key, p);
    return {dy[0]};
  }
};

Tensor dropout_at(const Tensor& x, const PhiloxKey& key, double p) {
  Tensor y = empty_like(x);
  fill_kept(y, x, key, p);
  if (auto* node = record<DropoutNode>("dropout", y, x)) {
    node->key = key;
    node->p = p;
  }
  return y;
}

void dropout_cpu(View y, View x, PhiloxKey key, float p, float scale) {
  dispatch(FloatTypes(), y.dtype, "dropout", [&]<class T>() {
    using C = Compute<T>;
    const T* from = x.as<const T>();
    T* to = y.as<T>();
    detail::for_each_words(y.numel(), key, [=](int64_t begin, int64_t n, const uint32_t* words) {
      for (int64_t i = 0; i < n; ++i) {
        const C value = C(from[begin + i]) * C(scale);
        to[begin + i] = T(uniform_of_word(words[i]) >= p ? value : C(0));
      }
    });
  });
}

}  // namespace

Tensor dropout(const Tensor& x, double p, Generator& generator, bool training) {
  check(p >= 0 && p <= 1, "dropout: p is {}; it must be from 0 to 1", p);
  check(x.dtype() != DType::fixed32, "dropout: fixed-point stream; decode() it first");
  check(is_floating(x.dtype()), "dropout: dtype {} is not supported", x.dtype());
  if (!training || p == 0) return x;
  return dropout_at(x.contiguous(), generator.take(static_cast<uint64_t>(x.numel())), p);
}

Tensor dropout(const Tensor& x, double p, bool training) {
  return dropout(x, p, default_generator(), training);
}

namespace detail {

constinit Kernel<void(View y, View x, PhiloxKey key, float p, float scale)> dropout_kernel{
    "dropout"};

}  // namespace detail

namespace {

const bool filled = detail::dropout_kernel.fill(Device::Kind::cpu, &dropout_cpu);

}  // namespace
}  // namespace tenet
