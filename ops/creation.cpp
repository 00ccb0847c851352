#include <tenet/core/detail/core_kernels.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/detail/loop.h>
#include <tenet/ops/detail/random.h>

#include <cmath>

namespace tenet {
namespace {

Tensor finished(Tensor y, const TensorOptions& options) {
  if (options.requires_grad) y.set_requires_grad(true);
  return y;
}

Tensor unfilled(const Shape& shape, const TensorOptions& options, const char* op) {
  check(options.dtype != DType::fixed32, "{}: fixed32 cannot be asked for; use encode()", op);
  return empty(shape, {options.dtype, options.device});
}

Tensor filled_with(Tensor y, Scalar value) {
  detail::fill_kernel(y.device(), view(y), value);
  return y;
}

void arange_cpu(View y, Scalar start, Scalar step) {
  dispatch(NumberTypes(), y.dtype, "arange", [&]<class T>() {
    using C = std::conditional_t<std::is_integral_v<T>, int64_t, double>;
    const C first = start.as<C>(), by = step.as<C>();
    T* to = y.as<T>();
    parallel_for(y.numel(), detail::parallel_grain, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        to[i] = T(static_cast<Compute<T>>(first + static_cast<C>(i) * by));
      }
    });
  });
}

/// How many steps lead from start to before stop.
int64_t steps_between(const Scalar& start, const Scalar& stop, const Scalar& step) {
  check(step.as_double() != 0, "arange: the step is 0");
  const auto integral = [](const Scalar& s) { return s.category() != DTypeCategory::floating; };
  if (integral(start) && integral(stop) && integral(step)) {
    const int64_t by = step.as_int64(), distance = stop.as_int64() - start.as_int64();
    const int64_t count = distance / by + (distance % by != 0 ? 1 : 0);
    return (distance > 0) == (by > 0) && distance != 0 ? count : 0;
  }
  const double count = std::ceil((stop.as_double() - start.as_double()) / step.as_double());
  check(count < 0x1p62, "arange: {} to {} by {} is not finite", start.as_double(), stop.as_double(),
        step.as_double());
  return std::max<int64_t>(0, static_cast<int64_t>(count));
}

void rand_cpu(View y, PhiloxKey key) {
  dispatch(FloatTypes(), y.dtype, "rand", [&]<class T>() {
    detail::fill_random<T>(y, key, [](uint32_t word) { return detail::uniform_of_type<T>(word); });
  });
}

void randn_cpu(View y, PhiloxKey key) {
  dispatch(FloatTypes(), y.dtype, "randn", [&]<class T>() {
    T* to = y.as<T>();
    const int64_t count = y.numel();
    detail::for_each_words(count, key, [=](int64_t begin, int64_t n, const uint32_t* words) {
      for (int64_t i = 0; i < n; ++i) {
        const int64_t pair = i & ~int64_t{1};
        to[begin + i] = T(normal_of_words(words[pair], words[pair + 1], static_cast<int>(i & 1)));
      }
    });
  });
}

void randint_cpu(View y, PhiloxKey key, int64_t low, uint64_t range) {
  dispatch(NumberTypes(), y.dtype, "randint", [&]<class T>() {
    detail::fill_random<T>(y, key, [=](uint32_t word) {
      return T(static_cast<Compute<T>>(low + static_cast<int64_t>((word * range) >> 32)));
    });
  });
}

void bernoulli_cpu(View y, PhiloxKey key, double p) {
  dispatch(AllTypes(), y.dtype, "bernoulli", [&]<class T>() {
    detail::fill_random<T>(y, key, [=](uint32_t word) {
      return T(static_cast<Compute<T>>(uniform_of_word(word) < p ? 1 : 0));
    });
  });
}

}  // namespace

Tensor zeros(Shape shape, TensorOptions options) { return full(shape, 0, options); }
Tensor ones(Shape shape, TensorOptions options) { return full(shape, 1, options); }
Tensor full(Shape shape, Scalar value, TensorOptions options) {
  return finished(filled_with(unfilled(shape, options, "full"), value), options);
}

Tensor zeros_like(const Tensor& like) { return filled_with(empty_like(like), 0); }
Tensor ones_like(const Tensor& like) { return full_like(like, 1); }
Tensor full_like(const Tensor& like, Scalar value) {
  check(like.dtype() != DType::fixed32, "full_like: fixed-point stream; decode() it first");
  return filled_with(empty_like(like), value);
}

Tensor arange(Scalar stop) { return arange(0, stop); }
Tensor arange(Scalar stop, TensorOptions options) { return arange(0, stop, 1, options); }
Tensor arange(Scalar start, Scalar stop, Scalar step) {
  const auto floating = [](const Scalar& s) { return s.category() == DTypeCategory::floating; };
  const bool any = floating(start) || floating(stop) || floating(step);
  return arange(start, stop, step, {.dtype = any ? DType::f32 : DType::i64});
}
Tensor arange(Scalar start, Scalar stop, Scalar step, TensorOptions options) {
  Tensor y = unfilled({steps_between(start, stop, step)}, options, "arange");
  detail::arange_kernel(y.device(), view(y), start, step);
  return finished(std::move(y), options);
}

Tensor eye(int64_t rows, int64_t columns, TensorOptions options) {
  const int64_t width = columns < 0 ? rows : columns;
  Tensor y = zeros({rows, width}, {options.dtype, options.device});
  const Tensor diagonal = detail::view_of(y, {std::min(rows, width)}, {width + 1}, 0);
  detail::fill_kernel(y.device(), view(diagonal), 1);
  return finished(std::move(y), options);
}

Tensor rand(Shape shape, Generator& generator, TensorOptions options) {
  Tensor y = unfilled(shape, options, "rand");
  detail::rand_kernel(y.device(), view(y), generator.take(static_cast<uint64_t>(y.numel())));
  return finished(std::move(y), options);
}
Tensor rand(Shape shape, TensorOptions options) {
  return rand(shape, default_generator(), options);
}

Tensor randn(Shape shape, Generator& generator, TensorOptions options) {
  Tensor y = unfilled(shape, options, "randn");
  detail::randn_kernel(y.device(), view(y), generator.take(static_cast<uint64_t>(y.numel())));
  return finished(std::move(y), options);
}
Tensor randn(Shape shape, TensorOptions options) {
  return randn(shape, default_generator(), options);
}

Tensor randint(Shape shape, int64_t low, int64_t high, Generator& generator,
               TensorOptions options) {
  const uint64_t range = static_cast<uint64_t>(high) - static_cast<uint64_t>(low);
  check(low < high && range <= (uint64_t{1} << 32),
        "randint: from {} to {}; 1 to 2^32 different values are possible", low, high);
  Tensor y = unfilled(shape, options, "randint");
  detail::randint_kernel(y.device(), view(y), generator.take(static_cast<uint64_t>(y.numel())), low,
                         range);
  return finished(std::move(y), options);
}
Tensor randint(Shape shape, int64_t low, int64_t high, TensorOptions options) {
  return randint(shape, low, high, default_generator(), options);
}

Tensor bernoulli(Shape shape, double p, Generator& generator, TensorOptions options) {
  check(p >= 0 && p <= 1, "bernoulli: p is {}; it must be from 0 to 1", p);
  Tensor y = unfilled(shape, options, "bernoulli");
  detail::bernoulli_kernel(y.device(), view(y), generator.take(static_cast<uint64_t>(y.numel())),
                           p);
  return finished(std::move(y), options);
}
Tensor bernoulli(Shape shape, double p, TensorOptions options) {
  return bernoulli(shape, p, default_generator(), options);
}

namespace detail {

constinit Kernel<void(View y, Scalar start, Scalar step)> arange_kernel{"arange"};
constinit Kernel<void(View y, PhiloxKey key)> rand_kernel{"rand"};
constinit Kernel<void(View y, PhiloxKey key)> randn_kernel{"randn"};
constinit Kernel<void(View y, PhiloxKey key, int64_t low, uint64_t range)> randint_kernel{
    "randint"};
constinit Kernel<void(View y, PhiloxKey key, double p)> bernoulli_kernel{"bernoulli"};

}  // namespace detail

namespace {

const bool filled = detail::arange_kernel.fill(Device::Kind::cpu, &arange_cpu) &&
                    detail::rand_kernel.fill(Device::Kind::cpu, &rand_cpu) &&
                    detail::randn_kernel.fill(Device::Kind::cpu, &randn_cpu) &&
                    detail::randint_kernel.fill(Device::Kind::cpu, &randint_cpu) &&
                    detail::bernoulli_kernel.fill(Device::Kind::cpu, &bernoulli_cpu);

}  // namespace
}  // namespace tenet
