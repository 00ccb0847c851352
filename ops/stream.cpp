/// Policy: a value that does not fit is clamped in the kernel, NaN-safe, so the arithmetic is
/// always defined and always invertible; a status word remembers the first bad element and becomes
/// an Error after the parallel region.
#include <tenet/core/node.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/detail/loop.h>
#include <tenet/ops/detail/stream_rules.h>
#include <tenet/ops/stream.h>

#include <atomic>
#include <cstdlib>

namespace tenet {
namespace {

using detail::fail_value;
using detail::guarded;
using detail::Quantize;
using detail::wrapping_add;
using detail::wrapping_sub;

/// The gradient passes unchanged but for its type.
struct EncodeNode : Node {
  DType dtype = DType::f32;
  Tensors backward(const Tensors& dy) override { return {dy[0].to(dtype)}; }
};

/// The same, in memory of its own if dy is strided: a coupling then adds to it in place.
struct DecodeNode : Node {
  Tensors backward(const Tensors& dy) override { return {dy[0].contiguous()}; }
};

/// y = x +- delta; dx = dy, ddelta = +-dy in delta's type.
struct CouplingNode : Node {
  DType dtype = DType::f32;
  bool subtract = false;
  Tensors backward(const Tensors& dy) override {
    Tensor ddelta;
    if (needs_grad(1)) ddelta = (subtract ? neg(dy[0]) : dy[0]).to(dtype);
    return {dy[0], ddelta};
  }
};

/// The smallest index of a bad element; the size of all integers if there is none.
class FirstBad {
 public:
  void note(int64_t index) {
    int64_t known = index_.load(std::memory_order_relaxed);
    while (index < known && !index_.compare_exchange_weak(known, index)) {
    }
  }
  bool any() const { return index_.load() != none; }
  int64_t index() const { return index_.load(); }

 private:
  static constexpr int64_t none = INT64_MAX;
  std::atomic<int64_t> index_{none};
};

/// Elements whose status is gathered before it is looked at.
constexpr int64_t status_block = 1024;

/// Calls element(i, bad) for contiguous elements in [0, count), noting the first bad one. Parallel.
template <class Element>
void for_each_checked(int64_t count, FirstBad& first, Element element) {
  parallel_for(count, detail::parallel_grain, [&](int64_t begin, int64_t end) {
    for (int64_t from = begin; from < end; from += status_block) {
      const int64_t to = std::min(end, from + status_block);
      int32_t any = 0;
      TENET_IVDEP
      for (int64_t i = from; i < to; ++i) any |= element(i);
      for (int64_t i = from; any != 0 && i < to; ++i) {
        if (element(i) == 0) continue;
        first.note(i);
        any = 0;
      }
    }
  });
}

void encode_cpu(View q, View x, int fraction_bits) {
  dispatch(FloatTypes(), x.dtype, "encode", [&]<class T>() {
    using C = Compute<T>;
    const Quantize<C> quantize(fraction_bits);
    const T* from = x.as<const T>();
    int32_t* to = q.as<int32_t>();
    FirstBad first;
    for_each_checked(q.numel(), first, [=](int64_t i) {
      bool bad;
      to[i] = quantize(C(from[i]), bad);
      return static_cast<int32_t>(bad);
    });
    if (first.any()) {
      fail_value("encode", "x", C(from[first.index()]), first.index(), x.shape, fraction_bits);
    }
  });
}

void decode_cpu(View y, View q, int fraction_bits) {
  const float unit = 1.0f / static_cast<float>(int64_t{1} << fraction_bits);
  const int32_t* from = q.as<const int32_t>();
  float* to = y.as<float>();
  parallel_for(y.numel(), detail::parallel_grain, [=](int64_t begin, int64_t end) {
    TENET_IVDEP
    for (int64_t i = begin; i < end; ++i) to[i] = static_cast<float>(from[i]) * unit;
  });
}

void coupling_add_cpu(View y, View x, View delta, int fraction_bits) {
  dispatch(FloatTypes(), delta.dtype, "coupling_add", [&]<class T>() {
    using C = Compute<T>;
    const Quantize<C> quantize(fraction_bits);
    const T* add = delta.as<const T>();
    const int32_t* from = x.as<const int32_t>();
    int32_t* to = y.as<int32_t>();
    FirstBad first;
    for_each_checked(y.numel(), first, [=](int64_t i) {
      bool bad;
      to[i] = wrapping_add(from[i], quantize(C(add[i]), bad));
      return static_cast<int32_t>(bad) | static_cast<int32_t>(guarded(to[i]));
    });
    if (!first.any()) return;
    const int64_t i = first.index();
    bool bad;
    quantize(C(add[i]), bad);
    fail_value("coupling_add", bad ? "delta" : "x", C(add[i]), i, y.shape, fraction_bits);
  });
}

void coupling_sub_cpu(View y, View x, View delta, int fraction_bits) {
  dispatch(FloatTypes(), delta.dtype, "coupling_sub", [&]<class T>() {
    using C = Compute<T>;
    const Quantize<C> quantize(fraction_bits);
    const T* sub = delta.as<const T>();
    const int32_t* from = x.as<const int32_t>();
    int32_t* to = y.as<int32_t>();
    parallel_for(y.numel(), detail::parallel_grain, [=](int64_t begin, int64_t end) {
      TENET_IVDEP
      for (int64_t i = begin; i < end; ++i) {
        bool bad;
        to[i] = wrapping_sub(from[i], quantize(C(sub[i]), bad));
      }
    });
  });
}

Tensor coupling(const Tensor& x, const Tensor& delta, bool subtract, const char* op) {
  check(x.shape() == delta.shape(), "{}: x is {}, delta {}; the shapes must be equal", op,
        x.shape(), delta.shape());
  check(x.device() == delta.device(), "{}: operands are on {} and {}; move one with .to(device)",
        op, x.device(), delta.device());
  check(is_floating(delta.dtype()), "{}: delta is {}; it must be floating", op, delta.dtype());
  if (x.dtype() != DType::fixed32) {
    check(is_floating(x.dtype()), "{}: x is {}; it must be fixed32 or floating", op, x.dtype());
    const Tensor cast = delta.to(x.dtype());
    return subtract ? sub(x, cast) : add(x, cast);
  }
  const Tensor from = x.contiguous(), by = delta.contiguous();
  Tensor y = empty_like(from);
  const auto& kernel = subtract ? detail::coupling_sub_kernel : detail::coupling_add_kernel;
  kernel(y.device(), view(y), view(from), view(by), x.fraction_bits());
  if (auto* node = record<CouplingNode>(op, y, x, delta)) {
    node->dtype = delta.dtype();
    node->subtract = subtract;
  }
  return y;
}

}  // namespace

Tensor encode(const Tensor& x, int fraction_bits) {
  check(is_floating(x.dtype()), "encode: x is {}; it must be floating", x.dtype());
  const Tensor from = x.contiguous();
  Tensor q = empty_fixed(x.shape(), fraction_bits, x.device());
  detail::encode_kernel(x.device(), view(q), view(from), fraction_bits);
  if (auto* node = record<EncodeNode>("encode", q, x)) node->dtype = x.dtype();
  return q;
}

Tensor decode(const Tensor& q) {
  check(q.dtype() == DType::fixed32, "decode: x is {}; only fixed32 is decoded", q.dtype());
  const Tensor from = q.contiguous();
  Tensor y = empty(q.shape(), {DType::f32, q.device()});
  detail::decode_kernel(q.device(), view(y), view(from), q.fraction_bits());
  record<DecodeNode>("decode", y, q);
  return y;
}

Tensor coupling_add(const Tensor& x, const Tensor& delta) {
  return coupling(x, delta, false, "coupling_add");
}
Tensor coupling_sub(const Tensor& x, const Tensor& delta) {
  return coupling(x, delta, true, "coupling_sub");
}

namespace detail {

constinit Kernel<void(View q, View x, int fraction_bits)> encode_kernel{"encode"};
constinit Kernel<void(View y, View q, int fraction_bits)> decode_kernel{"decode"};
constinit Kernel<void(View y, View x, View delta, int fraction_bits)> coupling_add_kernel{
    "coupling_add"};
constinit Kernel<void(View y, View x, View delta, int fraction_bits)> coupling_sub_kernel{
    "coupling_sub"};

}  // namespace detail

namespace {

const bool filled = detail::encode_kernel.fill(Device::Kind::cpu, &encode_cpu) &&
                    detail::decode_kernel.fill(Device::Kind::cpu, &decode_cpu) &&
                    detail::coupling_add_kernel.fill(Device::Kind::cpu, &coupling_add_cpu) &&
                    detail::coupling_sub_kernel.fill(Device::Kind::cpu, &coupling_sub_cpu);

}  // namespace
}  // namespace tenet
