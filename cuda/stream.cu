/// The exact residual stream on the GPU. What is out of range is clamped as on the CPU, and noted:
/// Note [Faults].
#include <tenet/cuda/detail/fault.h>
#include <tenet/cuda/detail/map_task.h>
#include <tenet/ops/detail/stream_rules.h>
#include <tenet/ops/stream.h>

namespace tenet::cuda {
namespace {

using tenet::detail::guarded;
using tenet::detail::Quantize;

constexpr int kThreads = 256;
constexpr int kWidth = 4;  // elements at a time

/// The integer of a Fault: whether delta, and not the sum, was bad.
std::string say_fault(const FaultFacts& facts, const Fault& fault) {
  try {
    tenet::detail::fail_value(facts.op, fault.integer != 0 ? "delta" : "x", fault.real, fault.place,
                              facts.shape, static_cast<int>(facts.numbers[0]));
  } catch (const Error& error) {
    return error.what();
  }
}
std::string say_encode_fault(const FaultFacts& facts, const Fault& fault) {
  Fault of_x = fault;
  of_x.integer = 0;
  return say_fault(facts, of_x);
}

template <class T>
using Group = Vector<T, kWidth>;

/// Calls element(i) for all i < count, kWidth of them at a time where all operands allow it.
template <class Element, class Four>
__device__ void for_each(int64_t count, bool aligned, const Element& element, const Four& four) {
  const int64_t thread = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const int64_t threads = int64_t{gridDim.x} * blockDim.x;
  const int64_t groups = aligned ? count / kWidth : 0;
  for (int64_t g = thread; g < groups; g += threads) four(g);
  for (int64_t i = groups * kWidth + thread; i < count; i += threads) element(i);
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    encode(int32_t* q, const T* x, int64_t count, bool aligned, Quantize<Compute<T>> quantize,
           FaultNote note) {
  const auto one = [&](int64_t i, T value) {
    bool bad;
    const int32_t units = quantize(Compute<T>(value), bad);
    if (bad) note_fault(note, i, 0, static_cast<double>(Compute<T>(value)));
    return units;
  };
  for_each(
      count, aligned, [&](int64_t i) { q[i] = one(i, x[i]); },
      [&](int64_t g) {
        const Group<T> from = reinterpret_cast<const Group<T>*>(x)[g];
        Group<int32_t> to;
#pragma unroll
        for (int k = 0; k < kWidth; ++k) to.at[k] = one(g * kWidth + k, from.at[k]);
        reinterpret_cast<Group<int32_t>*>(q)[g] = to;
      });
}

__global__ void __launch_bounds__(kThreads)
    decode(float* y, const int32_t* q, int64_t count, bool aligned, float unit) {
  for_each(
      count, aligned, [&](int64_t i) { y[i] = static_cast<float>(q[i]) * unit; },
      [&](int64_t g) {
        const Group<int32_t> from = reinterpret_cast<const Group<int32_t>*>(q)[g];
        Group<float> to;
#pragma unroll
        for (int k = 0; k < kWidth; ++k) to.at[k] = static_cast<float>(from.at[k]) * unit;
        reinterpret_cast<Group<float>*>(y)[g] = to;
      });
}

template <class T, bool subtract>
__global__ void __launch_bounds__(kThreads)
    couple(int32_t* y, const int32_t* x, const T* delta, int64_t count, bool aligned,
           Quantize<Compute<T>> quantize, FaultNote note) {
  const auto one = [&](int64_t i, int32_t q, T by) {
    bool bad;
    const int32_t units = quantize(Compute<T>(by), bad);
    if constexpr (subtract) return tenet::detail::wrapping_sub(q, units);
    const int32_t sum = tenet::detail::wrapping_add(q, units);
    if (bad || guarded(sum)) note_fault(note, i, bad, static_cast<double>(Compute<T>(by)));
    return sum;
  };
  for_each(
      count, aligned, [&](int64_t i) { y[i] = one(i, x[i], delta[i]); },
      [&](int64_t g) {
        const Group<int32_t> from = reinterpret_cast<const Group<int32_t>*>(x)[g];
        const Group<T> by = reinterpret_cast<const Group<T>*>(delta)[g];
        Group<int32_t> to;
#pragma unroll
        for (int k = 0; k < kWidth; ++k) {
          to.at[k] = one(g * kWidth + k, from.at[k], by.at[k]);
        }
        reinterpret_cast<Group<int32_t>*>(y)[g] = to;
      });
}

/// Whether Groups may be read and written at all of them.
bool aligned(std::initializer_list<View> views) {
  for (const View& v : views) {
    const auto bytes = static_cast<uintptr_t>(kWidth * itemsize(v.dtype));
    if (reinterpret_cast<uintptr_t>(v.data) % bytes != 0) return false;
  }
  return true;
}

unsigned grid(const View& y) { return grid_for(y.numel(), kThreads * kWidth); }

void encode_cuda(View q, View x, int fraction_bits) {
  dispatch(FloatTypes(), x.dtype, "encode", [&]<class T>() {
    const FaultNote note = expect_faults(
        {.op = "encode", .numbers = {fraction_bits}, .shape = x.shape}, &say_encode_fault);
    launch("encode", &encode<T>, grid(q), kThreads, 0, q.as<int32_t>(), x.as<const T>(), q.numel(),
           aligned({q, x}), Quantize<Compute<T>>(fraction_bits), note);
  });
}

void decode_cuda(View y, View q, int fraction_bits) {
  const float unit = 1.0f / static_cast<float>(int64_t{1} << fraction_bits);
  launch("decode", &decode, grid(y), kThreads, 0, y.as<float>(), q.as<const int32_t>(), y.numel(),
         aligned({y, q}), unit);
}

template <bool subtract>
void couple_cuda(View y, View x, View delta, int fraction_bits) {
  const char* name = subtract ? "coupling_sub" : "coupling_add";
  dispatch(FloatTypes(), delta.dtype, name, [&]<class T>() {
    FaultNote note;
    if (!subtract) {
      note = expect_faults({.op = name, .numbers = {fraction_bits}, .shape = y.shape}, &say_fault);
    }
    launch(name, &couple<T, subtract>, grid(y), kThreads, 0, y.as<int32_t>(), x.as<const int32_t>(),
           delta.as<const T>(), y.numel(), aligned({y, x, delta}),
           Quantize<Compute<T>>(fraction_bits), note);
  });
}

const bool filled =
    tenet::detail::encode_kernel.fill(Device::Kind::cuda, &encode_cuda) &&
    tenet::detail::decode_kernel.fill(Device::Kind::cuda, &decode_cuda) &&
    tenet::detail::coupling_add_kernel.fill(Device::Kind::cuda, &couple_cuda<false>) &&
    tenet::detail::coupling_sub_kernel.fill(Device::Kind::cuda, &couple_cuda<true>);

}  // namespace
}  // namespace tenet::cuda
