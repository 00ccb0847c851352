/// The CPU side of ops/batch_norm.h. A channel is one thread's; its sums take the images in order,
/// each by Note [Order of sums].
#include <tenet/core/parallel.h>
#include <tenet/ops/batch_norm.h>
#include <tenet/ops/detail/loop.h>
#include <tenet/ops/detail/row.h>

#include <cmath>

namespace tenet::detail {

constinit Kernel<void(View, View, View)> channel_statistics_kernel{"batch_norm"};
constinit Kernel<void(const ChannelNorm&)> channel_norm_kernel{"batch_norm"};
constinit Kernel<void(const BatchNormBackward&)> batch_norm_backward_kernel{"batch_norm_backward"};

namespace {

/// One channel of an (N, C, elements).
template <class T>
struct Channel {
  T* data;
  int64_t images, elements, step;

  Channel(const View& v, int64_t channel)
      : data(v.as<T>() ? v.as<T>() + channel * v.shape[2] : nullptr),
        images(v.shape[0]),
        elements(v.shape[2]),
        step(v.shape[1] * v.shape[2]) {}

  int64_t count() const { return images * elements; }
  T* image(int64_t i) const { return data + i * step; }
};

template <class F>
void for_each_channel(const View& x, const F& channel) {
  const int64_t work = x.shape[0] * x.shape[2];
  parallel_for(x.shape[1], parallel_grain / (4 * work + 1) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) channel(c);
  });
}

/// The sum over a channel, where add(image) gives the function that adds element i to a sum.
template <class C, class T, class Add>
double channel_sum(const Channel<T>& x, const Add& add) {
  double total = 0;
  for (int64_t n = 0; n < x.images; ++n) total += ordered_sum<C>(x.elements, add(n));
  return total;
}

template <class T>
void statistics(const View& mean, const View& variance, const View& x) {
  using C = Compute<T>;
  for_each_channel(x, [&](int64_t c) {
    const Channel<const T> in(x, c);
    const auto count = static_cast<double>(in.count());
    const double total = channel_sum<C>(in, [&](int64_t n) {
      return [from = in.image(n)](C sum, int64_t i) { return sum + static_cast<C>(from[i]); };
    });
    const C center = static_cast<C>(total / count);
    const double squares = channel_sum<C>(in, [&](int64_t n) {
      return [from = in.image(n), center](C sum, int64_t i) {
        const C distance = static_cast<C>(from[i]) - center;
        return fused(distance, distance, sum);
      };
    });
    mean.as<C>()[c] = center;
    variance.as<C>()[c] = static_cast<C>(squares / count);
  });
}

template <class C>
C inverse_deviation(const View& variance, int64_t c, double epsilon) {
  return static_cast<C>(1 / std::sqrt(static_cast<double>(variance.as<const C>()[c]) + epsilon));
}

/// A parameter of a channel, or `otherwise` where there is none.
template <class C, class T>
C parameter(const View& p, int64_t c, C otherwise) {
  return p.data ? static_cast<C>(p.as<const T>()[c]) : otherwise;
}

template <class T>
void forward(const ChannelNorm& a) {
  using C = Compute<T>;
  for_each_channel(a.x, [&](int64_t c) {
    const Channel<const T> x(a.x, c);
    const Channel<T> y(a.y, c);
    const C mean = a.mean.as<const C>()[c], r = inverse_deviation<C>(a.variance, c, a.epsilon);
    const C weight = parameter<C, T>(a.weight, c, 1), bias = parameter<C, T>(a.bias, c, 0);
    for (int64_t n = 0; n < x.images; ++n) {
      const T* from = x.image(n);
      T* to = y.image(n);
      for (int64_t i = 0; i < x.elements; ++i) {
        to[i] = T(fused((static_cast<C>(from[i]) - mean) * r, weight, bias));
      }
    }
  });
}

/// In f64: of a channel with few elements nearly all of dy is taken away again.
template <class T>
void backward(const BatchNormBackward& a) {
  using C = Compute<T>;
  const auto wide = [](T x) { return static_cast<double>(static_cast<C>(x)); };
  for_each_channel(a.x, [&](int64_t c) {
    const Channel<const T> x(a.x, c), dy(a.dy, c);
    const double mean = a.mean.as<const C>()[c];
    const double r = 1 / std::sqrt(static_cast<double>(a.variance.as<const C>()[c]) + a.epsilon);
    const auto count = static_cast<double>(x.count());
    const double sum_dy = channel_sum<double>(dy, [&](int64_t n) {
      return [from = dy.image(n), wide](double sum, int64_t i) { return sum + wide(from[i]); };
    });
    const double sum_product = channel_sum<double>(dy, [&](int64_t n) {
      return [from = dy.image(n), input = x.image(n), mean, r, wide](double sum, int64_t i) {
        return fused(wide(from[i]), (wide(input[i]) - mean) * r, sum);
      };
    });
    if (a.dweight.data) a.dweight.as<T>()[c] = T(static_cast<C>(sum_product));
    if (a.dbias.data) a.dbias.as<T>()[c] = T(static_cast<C>(sum_dy));
    if (!a.dx.data) return;
    const Channel<T> dx(a.dx, c);
    const double mean_dy = sum_dy / count, mean_product = sum_product / count;
    const double scale = static_cast<double>(parameter<C, T>(a.weight, c, 1)) * r;
    for (int64_t n = 0; n < x.images; ++n) {
      const T *from = dy.image(n), *input = x.image(n);
      T* to = dx.image(n);
      for (int64_t i = 0; i < x.elements; ++i) {
        const double xhat = (wide(input[i]) - mean) * r;
        to[i] = T(static_cast<C>(scale * fused(-xhat, mean_product, wide(from[i]) - mean_dy)));
      }
    }
  });
}

void channel_statistics_cpu(View mean, View variance, View x) {
  dispatch(FloatTypes(), x.dtype, "batch_norm",
           [&]<class T>() { statistics<T>(mean, variance, x); });
}
void channel_norm_cpu(const ChannelNorm& a) {
  dispatch(FloatTypes(), a.x.dtype, "batch_norm", [&]<class T>() { forward<T>(a); });
}
void batch_norm_backward_cpu(const BatchNormBackward& a) {
  dispatch(FloatTypes(), a.x.dtype, "batch_norm", [&]<class T>() { backward<T>(a); });
}

constexpr auto cpu = Device::Kind::cpu;
const bool filled = channel_statistics_kernel.fill(cpu, &channel_statistics_cpu) &&
                    channel_norm_kernel.fill(cpu, &channel_norm_cpu) &&
                    batch_norm_backward_kernel.fill(cpu, &batch_norm_backward_cpu);

}  // namespace
}  // namespace tenet::detail
