/// Convolutions on the GPU: products of weights and patches, a piece of bounded size at a time,
/// each image cut and added up without regard to the others.
#include <tenet/core/detail/core_kernels.h>
#include <tenet/cuda/detail/conv2d_plan.h>
#include <tenet/cuda/detail/depthwise.h>
#include <tenet/cuda/detail/patches_task.h>
#include <tenet/cuda/detail/product.h>
#include <tenet/cuda/detail/runtime.h>
#include <tenet/ops/conv2d.h>
#include <tenet/ops/detail/depthwise.h>

#include <optional>

namespace tenet::cuda {
namespace {

using tenet::detail::ConvSizes;

template <class Task>
__global__ void __launch_bounds__(256) run_each(Task task) {
  task.run(blockIdx.x, static_cast<int>(threadIdx.x));
}

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// A window that is one element, under which images are their own patches.
tenet::detail::Window one_tap(const ConvSizes& s) {
  tenet::detail::Window w;
  w.rows.size = s.window.rows.count(), w.columns.size = s.window.columns.count();
  return w;
}

/// Patches of some windows of a block, at data + image * image_step + group * group_step + row *
/// row_step + window, in elements.
struct PatchPlaces {
  void* data;
  int64_t image_step, group_step, row_step;
};

template <class Word>
void gather(const View& x, const tenet::detail::Window& window, int64_t channels, int64_t groups,
            const Block& b, int64_t begin, int64_t windows, const PatchPlaces& to) {
  using Task = GatherPatchesTask<Word>;
  Task task{};
  task.group_input = channels * window.plane();
  task.image_input = groups * task.group_input;
  task.x = x.as<const Word>() + b.image * task.image_input + b.group * task.group_input;
  task.patches = static_cast<Word*>(to.data);
  task.taps = Taps(window);
  task.by_windows = Quotient(windows);
  task.begin = begin, task.rows = channels * window.taps(), task.groups = b.groups;
  task.image_step = to.image_step, task.group_step = to.group_step, task.row_step = to.row_step;
  task.blocks = ceil_div(task.rows * windows, Task::threads * Task::each);
  launch("conv2d_patches", &run_each<Task>, blocks_of(b.images * b.groups * task.blocks, "conv2d"),
         Task::threads, 0, task);
}

/// The patches of windows [begin, begin + windows) of a block's images and groups.
void gather(const View& x, const tenet::detail::Window& window, int64_t channels, int64_t groups,
            const Block& b, int64_t begin, int64_t windows, const PatchPlaces& to) {
  switch (itemsize(x.dtype)) {
    case 2:
      return gather<uint16_t>(x, window, channels, groups, b, begin, windows, to);
    case 4:
      return gather<uint32_t>(x, window, channels, groups, b, begin, windows, to);
    default:
      return gather<uint64_t>(x, window, channels, groups, b, begin, windows, to);
  }
}

void* at(const View& v, int64_t offset) {
  return static_cast<std::byte*>(v.data) + offset * itemsize(v.dtype);
}

bool patches_are_input(const ConvSizes& s) {
  const auto plain = [](const tenet::detail::WindowAxis& a) {
    return a.kernel == 1 && a.stride == 1 && a.padding == 0;
  };
  return plain(s.window.rows) && plain(s.window.columns);
}

/// y = bias along the windows, to which the products are then added: one rounding in all.
void write_bias(const View& y, const View& bias) {
  View rows = bias;
  rows.shape = Shape{y.shape[1], 1, 1};
  rows.strides = Strides{1, 0, 0};
  tenet::detail::copy_kernel(y.device, y, broadcast_to(rows, y.shape));
}

void conv2d_cuda(View y, View x, View w, View bias, const Conv2dOptions& options) {
  const ConvSizes s(x, w, y, options);
  check_taps(s.window, s.channels);
  if (tenet::detail::is_depthwise(s)) return cuda::depthwise_output(s, y, x, w, bias);
  if (bias.data) write_bias(y, bias);
  const bool in_place = patches_are_input(s);
  const int64_t size = itemsize(x.dtype);
  const int64_t lines = ceil_div(s.windows, 64);  // of 64 windows
  Piece piece = Piece::of(patch_bytes / size, s.images, s.groups, lines, s.rows * 64);
  if (in_place) piece = {std::max<int64_t>(s.images, 1), s.groups, lines};
  const int64_t most = std::min(piece.parts, lines) * 64;
  std::optional<Workspace<std::byte>> space;
  if (!in_place) space.emplace(piece.images * piece.groups * s.rows * most * size);
  for_each_piece(piece, s.images, s.groups, lines, [&](const Block& b) {
    const int64_t begin = b.part * 64, windows = std::min(b.parts * 64, s.windows - begin);
    PatchPlaces places{at(x, s.input(b.image, b.group) + begin), s.groups * s.rows * s.windows,
                       s.rows * s.windows, s.windows};
    if (!in_place) {
      const int64_t row_step = ceil_div(windows, 16) * 16;
      places = {space->data(), b.groups * s.rows * row_step, s.rows * row_step, row_step};
      gather(x, s.window, s.channels, s.groups, b, begin, windows, places);
    }
    product(
        {.m = s.outputs,
         .n = windows,
         .k = s.rows,
         .batch = {b.images, b.groups},
         .a = {at(w, b.group * s.outputs * s.rows), w.dtype, s.rows, 1, {0, s.outputs * s.rows}},
         .b = {places.data, x.dtype, places.row_step, 1, {places.image_step, places.group_step}},
         .c = {at(y, s.output(b.image, b.group) + begin),
               y.dtype,
               s.windows,
               1,
               {s.groups * s.outputs * s.windows, s.outputs * s.windows}},
         .accumulate = bias.data != nullptr},
        Rows::fixed);
  });
}

template <class T>
void add_patches(const ConvSizes& s, const View& dx, const Block& b, const void* patches) {
  using Task = AddPatchesTask<T>;
  const int64_t plane = s.window.plane();
  Task task{};
  task.patches = static_cast<const Compute<T>*>(patches);
  task.dx = dx.as<T>() + s.input(b.image, b.group) + b.part * plane;
  task.taps = Taps(s.window);
  task.by_plane = SmallQuotient(std::max<int64_t>(plane, 1));
  const int64_t blocks = ceil_div(b.parts * plane, Task::threads);
  task.by_groups = SmallQuotient(b.groups);
  task.by_blocks = SmallQuotient(std::max<int64_t>(blocks, 1));
  task.channels = b.parts, task.windows = s.windows;
  task.kernel_rows = s.window.rows.kernel;
  task.image_output = s.groups * s.channels * plane, task.group_output = s.channels * plane;
  launch("conv2d_add_patches", &run_each<Task>,
         blocks_of(b.images * b.groups * blocks, "conv2d_input"), Task::threads, 0, task);
}

void conv2d_input_cuda(View dx, View dy, View w, const Conv2dOptions& options) {
  const ConvSizes s(dx, w, dy, options);
  check_taps(s.window, s.channels);
  if (tenet::detail::is_depthwise(s)) return cuda::depthwise_input(s, dx, dy, w);
  const DType wide = accumulate_dtype(dx.dtype);
  const int64_t size = itemsize(wide), channel = s.taps * s.windows;
  const Piece piece = Piece::of(patch_bytes / size, s.images, s.groups, s.channels,
                                std::max(channel, s.window.plane()));
  const Workspace<std::byte> space(piece.images * piece.groups * std::min(piece.parts, s.channels) *
                                   channel * size);
  for_each_piece(piece, s.images, s.groups, s.channels, [&](const Block& b) {
    const int64_t rows = b.parts * s.taps, item = rows * s.windows;
    product({.m = rows,
             .n = s.windows,
             .k = s.outputs,
             .batch = {b.images, b.groups},
             .a = {at(w, b.group * s.outputs * s.rows + b.part * s.taps),
                   w.dtype,
                   1,
                   s.rows,
                   {0, s.outputs * s.rows}},
             .b = {at(dy, s.output(b.image, b.group)),
                   dy.dtype,
                   s.windows,
                   1,
                   {s.groups * s.outputs * s.windows, s.outputs * s.windows}},
             .c = {space.data(), wide, s.windows, 1, {b.groups * item, item}}},
            Rows::fixed);
    dispatch(FloatTypes(), dx.dtype, "conv2d",
             [&]<class T>() { add_patches<T>(s, dx, b, space.data()); });
  });
}

/// Windows of a block's images side by side, as columns of matrices that have `rows` rows, one
/// matrix for each group.
PatchPlaces side_by_side(const Workspace<std::byte>& space, const Block& b, int64_t rows,
                         int64_t windows) {
  const int64_t row_step = ceil_div(b.images * windows, 16) * 16;
  return {space.data(), windows, rows * row_step, row_step};
}

void conv2d_weight_cuda(View dw, View dy, View x, const Conv2dOptions& options) {
  const ConvSizes s(x, dw, dy, options);
  check_taps(s.window, s.channels);
  if (tenet::detail::is_depthwise(s)) return cuda::depthwise_weight(s, dw, dy, x);
  const DType wide = accumulate_dtype(dw.dtype);
  const int64_t size = itemsize(x.dtype), lines = ceil_div(s.windows, 64);
  const Piece piece =
      Piece::of(patch_bytes / size, s.images, s.groups, lines, (s.rows + s.outputs) * 64);
  const int64_t columns = ceil_div(piece.images * std::min(piece.parts, lines) * 64, 16) * 16;
  const Workspace<std::byte> patches(piece.groups * s.rows * columns * size);
  const Workspace<std::byte> outputs(piece.groups * s.outputs * columns * size);
  std::optional<Workspace<std::byte>> space;
  if (wide != dw.dtype) space.emplace(dw.numel() * itemsize(wide));
  const View sums{space ? space->data() : dw.data, wide, dw.device, dw.shape,
                  contiguous_strides(dw.shape)};
  tenet::detail::fill_kernel(dw.device, sums, 0);
  for_each_piece(piece, s.images, s.groups, lines, [&](const Block& b) {
    const int64_t begin = b.part * 64, windows = std::min(b.parts * 64, s.windows - begin);
    const PatchPlaces read = side_by_side(patches, b, s.rows, windows);
    const PatchPlaces d = side_by_side(outputs, b, s.outputs, windows);
    gather(x, s.window, s.channels, s.groups, b, begin, windows, read);
    gather(dy, one_tap(s), s.outputs, s.groups, b, begin, windows, d);
    product({.m = s.outputs,
             .n = s.rows,
             .k = b.images * windows,
             .batch = {b.groups},
             .a = {d.data, dy.dtype, d.row_step, 1, {d.group_step}},
             .b = {read.data, x.dtype, 1, read.row_step, {read.group_step}},
             .c = {at(sums, b.group * s.outputs * s.rows), wide, s.rows, 1, {s.outputs * s.rows}},
             .accumulate = true},
            Rows::summed);
  });
  if (space) tenet::detail::copy_kernel(dw.device, dw, sums);
}

constexpr auto gpu = Device::Kind::cuda;
const bool filled = tenet::detail::conv2d_kernel.fill(gpu, &conv2d_cuda) &&
                    tenet::detail::conv2d_input_kernel.fill(gpu, &conv2d_input_cuda) &&
                    tenet::detail::conv2d_weight_kernel.fill(gpu, &conv2d_weight_cuda);

}  // namespace
}  // namespace tenet::cuda
