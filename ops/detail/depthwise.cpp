#include <tenet/core/memory.h>
#include <tenet/ops/detail/depthwise.h>
#include <tenet/ops/detail/loop.h>
#include <tenet/ops/detail/row.h>

namespace tenet::detail {
namespace {

/// Planes with room around them: the input with its padding, so that every tap of every window
/// reads an element, and the output with rows as far apart as the windows' first elements where the
/// strides are 1. Then tap t of window q reads input[q + offset(t)], and a tap is one loop.
class Planes {
 public:
  explicit Planes(const ConvSizes& s)
      : window_(s.window),
        width_(s.window.columns.size + 2 * s.window.columns.padding),
        height_(s.window.rows.size + 2 * s.window.rows.padding),
        unit_(s.window.rows.stride == 1 && s.window.columns.stride == 1),
        pitch_(unit_ ? width_ : s.window.columns.count()) {}

  int64_t input_size() const { return height_ * width_; }
  int64_t output_size() const { return window_.rows.count() * pitch_; }
  int64_t step() const { return window_.columns.stride; }
  int64_t offset(int64_t tap) const {
    const int64_t i = tap / window_.columns.kernel, j = tap % window_.columns.kernel;
    return i * window_.rows.dilation * width_ + j * window_.columns.dilation;
  }

  /// Calls fn(output, input, n): the n windows from `output` read from `input` on, step() apart.
  template <class F>
  void for_each_stretch(const F& fn) const {
    constexpr int64_t longest = 2048;
    const int64_t columns = window_.columns.count();
    if (unit_) {
      const int64_t all = output_size() - (pitch_ - columns);
      for (int64_t q = 0; q < all; q += longest) fn(q, q, std::min(longest, all - q));
    } else {
      for (int64_t row = 0; row < window_.rows.count(); ++row) {
        fn(row * pitch_, row * window_.rows.stride * width_, columns);
      }
    }
  }

  /// Copies between dense planes and those with room.
  template <class C, class T>
  void read_input(const T* plane, C* padded) const {
    std::fill_n(padded, input_size(), C(0));
    copy_rows(plane, window_.columns.size, padded + input_begin(), width_, window_.rows.size,
              window_.columns.size);
  }
  template <class C, class T>
  void write_input(const C* padded, T* plane) const {
    copy_rows(padded + input_begin(), width_, plane, window_.columns.size, window_.rows.size,
              window_.columns.size);
  }
  template <class C, class T>
  void read_output(const T* plane, C* wide) const {
    const int64_t columns = window_.columns.count();
    std::fill_n(wide, output_size(), C(0));
    copy_rows(plane, columns, wide, pitch_, window_.rows.count(), columns);
  }
  template <class C, class T>
  void write_output(const C* wide, T* plane) const {
    const int64_t columns = window_.columns.count();
    copy_rows(wide, pitch_, plane, columns, window_.rows.count(), columns);
  }

 private:
  int64_t input_begin() const { return window_.rows.padding * width_ + window_.columns.padding; }
  template <class From, class To>
  static void copy_rows(const From* from, int64_t from_pitch, To* to, int64_t to_pitch,
                        int64_t rows, int64_t columns) {
    for (int64_t i = 0; i < rows; ++i, from += from_pitch, to += to_pitch) {
      for (int64_t j = 0; j < columns; ++j) to[j] = To(static_cast<Compute<From>>(from[j]));
    }
  }

  const Window& window_;
  int64_t width_, height_;
  bool unit_;
  int64_t pitch_;
};

/// to[i * to_step] += factor * from[i * from_step], where the longer steps are the inputs'.
template <class C>
void add_scaled(int64_t n, C factor, const C* __restrict from, int64_t from_step, C* __restrict to,
                int64_t to_step) {
  if (from_step == 1 && to_step == 1) {
    for (int64_t i = 0; i < n; ++i) to[i] = fused(factor, from[i], to[i]);
  } else {
    for (int64_t i = 0; i < n; ++i) {
      to[i * to_step] = fused(factor, from[i * from_step], to[i * to_step]);
    }
  }
}

/// Calls fn(task, input, output) for each task < count, in parallel, with room for two planes.
template <class C, class F>
void for_each_plane(const ConvSizes& s, const Planes& planes, int64_t count, int64_t work,
                    const F& fn) {
  const int64_t size = planes.input_size() + planes.output_size();
  const memory::Workspace<C> space(std::min<int64_t>(num_threads(), count) * size);
  const int64_t grain = parallel_grain / (work * s.taps * s.outputs * s.windows + 1) + 1;
  parallel_for(count, grain, [&](int64_t begin, int64_t end) {
    C* const own = space.data() + thread_in_parallel() * size;
    for (int64_t task = begin; task < end; ++task) fn(task, own, own + planes.input_size());
  });
}

template <class T>
void output(const ConvSizes& s, const View& y, const View& x, const View& w, const View& bias) {
  using C = Compute<T>;
  const Planes planes(s);
  for_each_plane<C>(s, planes, s.images * s.groups, 1, [&](int64_t plane, C* in, C* out) {
    planes.read_input(x.as<const T>() + plane * s.window.plane(), in);
    for (int64_t o = 0; o < s.outputs; ++o) {
      const int64_t channel = plane % s.groups * s.outputs + o;
      std::fill_n(out, planes.output_size(), C(0));
      planes.for_each_stretch([&](int64_t to, int64_t from, int64_t n) {
        for (int64_t tap = 0; tap < s.taps; ++tap) {
          const auto weight = static_cast<C>(w.as<const T>()[channel * s.taps + tap]);
          add_scaled(n, weight, in + from + planes.offset(tap), planes.step(), out + to, 1);
        }
        const auto extra = static_cast<C>(bias.data ? bias.as<const T>()[channel] : T(0));
        for (int64_t i = 0; i < n; ++i) out[to + i] += extra;
      });
      planes.write_output(out, y.as<T>() + (plane * s.outputs + o) * s.windows);
    }
  });
}

template <class T>
void input_gradient(const ConvSizes& s, const View& dx, const View& dy, const View& w) {
  using C = Compute<T>;
  const Planes planes(s);
  for_each_plane<C>(s, planes, s.images * s.groups, 1, [&](int64_t plane, C* in, C* out) {
    std::fill_n(in, planes.input_size(), C(0));
    for (int64_t o = 0; o < s.outputs; ++o) {
      planes.read_output(dy.as<const T>() + (plane * s.outputs + o) * s.windows, out);
      const T* weights = w.as<const T>() + (plane % s.groups * s.outputs + o) * s.taps;
      planes.for_each_stretch([&](int64_t from, int64_t to, int64_t n) {
        for (int64_t tap = 0; tap < s.taps; ++tap) {
          add_scaled(n, static_cast<C>(weights[tap]), out + from, 1, in + to + planes.offset(tap),
                     planes.step());
        }
      });
    }
    planes.write_input(in, dx.as<T>() + plane * s.window.plane());
  });
}

template <class T>
void weight_gradient(const ConvSizes& s, const View& dw, const View& dy, const View& x) {
  using C = Compute<T>;
  const Planes planes(s);
  const int64_t count = s.outputs * s.taps;
  const memory::Workspace<double> totals(s.groups * count);
  std::fill_n(totals.data(), s.groups * count, 0.0);
  for_each_plane<C>(s, planes, s.groups, s.images, [&](int64_t group, C* in, C* out) {
    double* const sums = totals.data() + group * count;
    for (int64_t image = 0; image < s.images; ++image) {
      planes.read_input(x.as<const T>() + s.input(image, group), in);
      for (int64_t o = 0; o < s.outputs; ++o) {
        planes.read_output(dy.as<const T>() + s.output(image, group) + o * s.windows, out);
        planes.for_each_stretch([&](int64_t at, int64_t from, int64_t n) {
          for (int64_t tap = 0; tap < s.taps; ++tap) {
            const C *d = out + at, *read = in + from + planes.offset(tap);
            const int64_t step = planes.step();
            sums[o * s.taps + tap] +=
                step == 1
                    ? ordered_sum<C>(n, [=](C sum, int64_t i) { return fused(d[i], read[i], sum); })
                    : ordered_sum<C>(
                          n, [=](C sum, int64_t i) { return fused(d[i], read[i * step], sum); });
          }
        });
      }
    }
    T* const to = dw.as<T>() + group * count;
    for (int64_t i = 0; i < count; ++i) to[i] = T(static_cast<C>(sums[i]));
  });
}

}  // namespace

void depthwise_output(const ConvSizes& s, const View& y, const View& x, const View& w,
                      const View& bias) {
  dispatch(FloatTypes(), y.dtype, "conv2d", [&]<class T>() { output<T>(s, y, x, w, bias); });
}
void depthwise_input(const ConvSizes& s, const View& dx, const View& dy, const View& w) {
  dispatch(FloatTypes(), dx.dtype, "conv2d", [&]<class T>() { input_gradient<T>(s, dx, dy, w); });
}
void depthwise_weight(const ConvSizes& s, const View& dw, const View& dy, const View& x) {
  dispatch(FloatTypes(), dw.dtype, "conv2d", [&]<class T>() { weight_gradient<T>(s, dw, dy, x); });
}

}  // namespace tenet::detail
