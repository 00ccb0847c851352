/// The CPU side of ops/conv2d.h: products of weights and patches, a block of windows at a time.
#include <tenet/core/memory.h>
#include <tenet/core/parallel.h>
#include <tenet/ops/conv2d.h>
#include <tenet/ops/detail/depthwise.h>
#include <tenet/ops/detail/map.h>
#include <tenet/ops/detail/pack.h>
#include <tenet/ops/detail/patches.h>
#include <tenet/ops/detail/transpose.h>
#include <tenet/ops/gemm/detail/gemm.h>

#include <exception>
#include <mutex>
#include <utility>

namespace tenet::detail {

constinit Kernel<void(View, View, View, View, const Conv2dOptions&)> conv2d_kernel{"conv2d"};
constinit Kernel<void(View, View, View, const Conv2dOptions&)> conv2d_input_kernel{"conv2d_input"};
constinit Kernel<void(View, View, View, const Conv2dOptions&)> conv2d_weight_kernel{
    "conv2d_weight"};

namespace {

/// Windows that a block has: of y at most, and of the gradients, where sums go through blocks in
/// order; and patch rows that are gathered at a time.
constexpr int64_t most_windows = 512, gradient_windows = 256, block_rows = 1024;
/// Multiply-adds below which another thread does not pay.
constexpr int64_t thread_work = int64_t{1} << 18;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// Some whole images, or a stretch of the windows of one.
struct Block {
  int64_t image, images, begin, end;
  int64_t per_image() const { return end - begin; }
  int64_t windows() const { return images * per_image(); }
};

/// All images in blocks of about `target` windows.
struct Blocks {
  Blocks(const ConvSizes& s, int64_t target)
      : s(s),
        images_each(std::max<int64_t>(target / s.windows, 1)),
        length(ceil_div(ceil_div(s.windows, ceil_div(s.windows, target)), 16) * 16),
        parts(ceil_div(s.windows, length)),
        sets(ceil_div(s.images, images_each)) {}

  const ConvSizes& s;
  int64_t images_each, length;
  int64_t parts;  // blocks that share their images
  int64_t sets;   // of images

  Block at(int64_t set, int64_t part) const {
    const int64_t image = set * images_each;
    return {image, std::min(images_each, s.images - image), part * length,
            std::min(s.windows, (part + 1) * length)};
  }
  int64_t most_windows() const { return images_each * std::min(length, s.windows); }
};

/// parallel_for() whose fn may throw: the first thing thrown in the region is thrown after it.
template <class F>
void parallel_tasks(int64_t count, int64_t work, const F& fn) {
  std::mutex mutex;
  std::exception_ptr failure;
  const int64_t grain = thread_work / std::max<int64_t>(work, 1) + 1;
  parallel_for(count, grain, [&](int64_t begin, int64_t end) {
    try {
      fn(begin, end);
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
    }
  });
  if (failure) std::rethrow_exception(failure);
}

template <class T>
MatrixView matrix(const T* data, int64_t row_stride, int64_t column_stride = 1) {
  return {.data = const_cast<T*>(data),
          .dtype = dtype_of<T>,
          .row_stride = row_stride,
          .column_stride = column_stride};
}

MatrixView transposed(MatrixView m) {
  std::swap(m.row_stride, m.column_stride);
  return m;
}

/// The patches of a block: gathered, or in place where a patch is one element.
template <class T>
class Patches {
 public:
  Patches(const ConvSizes& s, const T* x, int64_t rows, int64_t windows)
      : s_(s),
        x_(x),
        in_place_(s.taps == 1 && s.window.columns.stride == 1 && s.window.rows.stride == 1 &&
                  s.window.columns.padding == 0 && s.window.rows.padding == 0),
        space_(rows * windows) {}

  MatrixView get(const Block& b, int64_t group, int64_t row, int64_t rows) const {
    if (in_place_ && b.images == 1) {
      return matrix(x_ + s_.input(b.image, group) + row * s_.windows + b.begin, s_.windows);
    }
    for (int64_t i = 0; i < b.images; ++i) {
      gather_patches(s_.window, x_ + s_.input(b.image + i, group), {row, rows, b.begin, b.end},
                     space_.data() + i * b.per_image(), b.windows());
    }
    return matrix(space_.data(), b.windows());
  }

 private:
  const ConvSizes& s_;
  const T* x_;
  bool in_place_;
  memory::Workspace<T> space_;
};

/// The outputs x windows matrix of a block of y's shape: in place, or gathered from its images.
template <class T>
class Outputs {
 public:
  Outputs(const ConvSizes& s, const T* dy, int64_t windows)
      : s_(s), dy_(dy), space_(s.outputs * windows) {}

  MatrixView get(const Block& b, int64_t group) const {
    const T* from = dy_ + s_.output(b.image, group) + b.begin;
    if (b.images == 1) return matrix(from, s_.windows);
    for (int64_t i = 0; i < b.images; ++i, from += s_.groups * s_.outputs * s_.windows) {
      for (int64_t o = 0; o < s_.outputs; ++o) {
        std::copy_n(from + o * s_.windows, b.per_image(),
                    space_.data() + o * b.windows() + i * b.per_image());
      }
    }
    return matrix(space_.data(), b.windows());
  }

 private:
  const ConvSizes& s_;
  const T* dy_;
  memory::Workspace<T> space_;
};

/// sums (+)= weights patches: outputs x windows. In bf16 the order of a sum is promised to depend
/// on the row of the first factor alone (Note [Order of products]): there windows are the rows.
template <class T>
constexpr bool windows_are_rows = std::is_same_v<T, bf16>;

template <class T>
MatrixView sums_matrix(const ConvSizes& s, const Block& b,
                       const memory::Workspace<Compute<T>>& sums) {
  if (windows_are_rows<T>) return matrix(sums.data(), 1, s.outputs);
  return matrix(sums.data(), b.windows());
}

template <class T>
void add_product(Gemm g) {
  if (windows_are_rows<T>) {
    std::swap(g.m, g.n);
    g.a = transposed(std::exchange(g.b, transposed(g.a)));
    g.c = transposed(g.c);
  }
  gemm(g);
}

/// to[j * ld + i] = from[i * ld_from + j] + extra(j), i < n, j < outputs.
template <class T, class Extra>
void write_transposed(const float* from, int64_t ld_from, int64_t n, int64_t outputs, T* to,
                      int64_t ld, const Extra& extra) {
  for (int64_t i = 0; i < n; i += Pack::size) {
    for (int64_t j = 0; j < outputs; j += Pack::size) {
      const int64_t width = std::min(n - i, Pack::size), height = std::min(outputs - j, Pack::size);
      Pack::Vector square[Pack::size] = {};
      for (int64_t k = 0; k < width; ++k) {
        const float* row = from + (i + k) * ld_from + j;
        square[k] = (height == Pack::size ? Pack::load(row) : Pack::load(row, height)).vector();
      }
      transpose_registers<Pack::size, Pack::Mask>(square);
      for (int64_t k = 0; k < height; ++k) {
        float line[Pack::size];
        (Pack(square[k]) + Pack(extra(j + k))).store(line);
        narrow(line, to + (j + k) * ld + i, width);
      }
    }
  }
}

/// y of a block from the sums of one group.
template <class T>
void write_output(const ConvSizes& s, const Block& b, int64_t group, const MatrixView& sums,
                  const T* bias, T* y) {
  using C = Compute<T>;
  const int64_t n = b.per_image();
  for (int64_t i = 0; i < b.images; ++i) {
    const C* from = static_cast<const C*>(sums.data) + i * n * sums.column_stride;
    T* to = y + s.output(b.image + i, group) + b.begin;
    const auto extra = [&](int64_t o) {
      return static_cast<C>(bias ? bias[group * s.outputs + o] : T(0));
    };
    if (sums.column_stride == 1) {
      for (int64_t o = 0; o < s.outputs; ++o) {
        const C* line = from + o * sums.row_stride;
        for (int64_t q = 0; q < n; ++q) to[o * s.windows + q] = T(line[q] + extra(o));
      }
      continue;
    }
    if constexpr (std::is_same_v<C, float>) {
      write_transposed(from, s.outputs, n, s.outputs, to, s.windows, extra);
    }
  }
}

/// A size of blocks that gives every thread some; it changes no bits of y.
int64_t shared_target(const ConvSizes& s) {
  const int64_t fair = ceil_div(s.images * s.windows * s.groups, 4 * num_threads());
  return std::clamp<int64_t>(ceil_div(fair, 32) * 32, 32, most_windows);
}

template <class T>
void forward(const View& y, const View& x, const View& w, const View& bias,
             const Conv2dOptions& options) {
  using C = Compute<T>;
  const ConvSizes s(x, w, y, options);
  if (is_depthwise(s)) return depthwise_output(s, y, x, w, bias);
  const Blocks blocks(s, shared_target(s));
  const int64_t windows = blocks.most_windows();
  const int64_t tasks = blocks.sets * blocks.parts * s.groups;
  parallel_tasks(tasks, s.outputs * s.rows * windows, [&](int64_t begin, int64_t end) {
    const Patches<T> patches(s, x.as<const T>(), std::min(block_rows, s.rows), windows);
    const memory::Workspace<C> sums(s.outputs * windows);
    for (int64_t task = begin; task < end; ++task) {
      const int64_t group = task % s.groups, number = task / s.groups;
      const Block b = blocks.at(number / blocks.parts, number % blocks.parts);
      const T* weight = w.as<const T>() + group * s.outputs * s.rows;
      const MatrixView result = sums_matrix<T>(s, b, sums);
      for (int64_t row = 0; row == 0 || row < s.rows; row += block_rows) {
        const int64_t rows = std::min(block_rows, s.rows - row);
        add_product<T>({.m = s.outputs,
                        .n = b.windows(),
                        .k = rows,
                        .a = matrix(weight + row, s.rows),
                        .b = patches.get(b, group, row, rows),
                        .c = result,
                        .accumulate = row > 0});
      }
      write_output(s, b, group, result, bias.as<const T>(), y.as<T>());
    }
  });
}

/// The channels [first, first + count) of a group.
struct Channels {
  int64_t first, count;
};

/// Adds to planes (images, channels, plane) of one set of images the gradients that reach them.
template <class T>
void add_gradients(const Blocks& blocks, int64_t set, int64_t group, Channels channels, const T* w,
                   const Outputs<T>& dy, Compute<T>* patches, Compute<T>* planes,
                   int64_t image_stride) {
  const ConvSizes& s = blocks.s;
  const int64_t rows = channels.count * s.taps;
  for (int64_t part = 0; part < blocks.parts; ++part) {
    const Block b = blocks.at(set, part);
    gemm({.m = rows,
          .n = b.windows(),
          .k = s.outputs,
          .a = matrix(w + group * s.outputs * s.rows + channels.first * s.taps, 1, s.rows),
          .b = dy.get(b, group),
          .c = matrix(patches, b.windows())});
    for (int64_t i = 0; i < b.images; ++i) {
      add_patches(s.window, planes + i * image_stride, {0, rows, b.begin, b.end},
                  patches + i * b.per_image(), b.windows());
    }
  }
}

template <class T>
void input_gradient(const View& dx, const View& dy, const View& w, const Conv2dOptions& options) {
  using C = Compute<T>;
  const ConvSizes s(dx, w, dy, options);
  if (is_depthwise(s)) return depthwise_input(s, dx, dy, w);
  const Blocks blocks(s, gradient_windows);
  const int64_t shares = 2 * num_threads();  // in which threads divide the work evenly enough
  const int64_t least = ceil_div(shares, std::max<int64_t>(blocks.sets * s.groups, 1));
  const int64_t splits = std::clamp<int64_t>(std::max(least, s.rows / block_rows), 1,
                                             std::max<int64_t>(s.channels, 1));
  const int64_t each = ceil_div(s.channels, splits), plane = s.window.plane();
  const int64_t tasks = blocks.sets * s.groups * splits;
  const int64_t work = s.outputs * each * s.taps * s.windows * blocks.images_each;
  parallel_tasks(tasks, work, [&](int64_t begin, int64_t end) {
    const Outputs<T> outputs(s, dy.as<const T>(), blocks.most_windows());
    const memory::Workspace<C> patches(each * s.taps * blocks.most_windows());
    const memory::Workspace<C> planes(std::is_same_v<T, C> ? 0 : blocks.images_each * each * plane);
    for (int64_t task = begin; task < end; ++task) {
      const int64_t split = task % splits, group = task / splits % s.groups;
      const int64_t set = task / splits / s.groups;
      const Channels channels{split * each, std::min(each, s.channels - split * each)};
      if (channels.count <= 0) continue;
      const Block b = blocks.at(set, 0);
      T* const to = dx.as<T>() + s.input(b.image, group) + channels.first * plane;
      const int64_t stride = s.groups * s.channels * plane, own = channels.count * plane;
      C* sums = planes.data();
      int64_t step = own;
      if constexpr (std::is_same_v<T, C>) sums = to, step = stride;
      for (int64_t i = 0; i < b.images; ++i) std::fill_n(sums + i * step, own, C(0));
      add_gradients(blocks, set, group, channels, w.as<const T>(), outputs, patches.data(), sums,
                    step);
      if constexpr (std::is_same_v<T, C>) continue;
      for (int64_t i = 0; i < b.images; ++i) {
        std::transform(sums + i * own, sums + (i + 1) * own, to + i * stride,
                       [](C value) { return T(value); });
      }
    }
  });
}

template <class T>
void weight_gradient(const View& dw, const View& dy, const View& x, const Conv2dOptions& options) {
  using C = Compute<T>;
  const ConvSizes s(x, dw, dy, options);
  if (is_depthwise(s)) return depthwise_weight(s, dw, dy, x);
  const Blocks blocks(s, gradient_windows);
  const int64_t splits =
      std::clamp<int64_t>(std::max(ceil_div(2 * num_threads(), s.groups), s.rows / block_rows), 1,
                          std::max<int64_t>(s.rows, 1));
  const int64_t each = ceil_div(s.rows, splits);
  const int64_t work = s.outputs * each * s.windows * s.images;
  parallel_tasks(s.groups * splits, work, [&](int64_t begin, int64_t end) {
    const Patches<T> patches(s, x.as<const T>(), each, blocks.most_windows());
    const Outputs<T> outputs(s, dy.as<const T>(), blocks.most_windows());
    const memory::Workspace<C> sums(s.outputs * each);
    for (int64_t task = begin; task < end; ++task) {
      const int64_t group = task / splits, row = task % splits * each;
      const int64_t rows = std::min(each, s.rows - row);
      if (rows <= 0) continue;
      std::fill_n(sums.data(), s.outputs * rows, C(0));
      for (int64_t number = 0; number < blocks.sets * blocks.parts; ++number) {
        const Block b = blocks.at(number / blocks.parts, number % blocks.parts);
        gemm({.m = s.outputs,
              .n = rows,
              .k = b.windows(),
              .a = outputs.get(b, group),
              .b = transposed(patches.get(b, group, row, rows)),
              .c = matrix(sums.data(), rows),
              .accumulate = true});
      }
      T* to = dw.as<T>() + group * s.outputs * s.rows + row;
      for (int64_t o = 0; o < s.outputs; ++o) {
        for (int64_t r = 0; r < rows; ++r) to[o * s.rows + r] = T(sums[o * rows + r]);
      }
    }
  });
}

void conv2d_cpu(View y, View x, View w, View bias, const Conv2dOptions& options) {
  dispatch(FloatTypes(), y.dtype, "conv2d", [&]<class T>() { forward<T>(y, x, w, bias, options); });
}
void conv2d_input_cpu(View dx, View dy, View w, const Conv2dOptions& options) {
  dispatch(FloatTypes(), dx.dtype, "conv2d",
           [&]<class T>() { input_gradient<T>(dx, dy, w, options); });
}
void conv2d_weight_cpu(View dw, View dy, View x, const Conv2dOptions& options) {
  dispatch(FloatTypes(), dw.dtype, "conv2d",
           [&]<class T>() { weight_gradient<T>(dw, dy, x, options); });
}

constexpr auto cpu = Device::Kind::cpu;
const bool filled = conv2d_kernel.fill(cpu, &conv2d_cpu) &&
                    conv2d_input_kernel.fill(cpu, &conv2d_input_cpu) &&
                    conv2d_weight_kernel.fill(cpu, &conv2d_weight_cpu);

}  // namespace
}  // namespace tenet::detail
