#include <tenet/ops/update/detail/blocks.h>
#include <tenet/ops/update/update.h>

#include <numeric>

namespace tenet::detail {

constinit Kernel<void(const std::vector<View>&, View)> square_sum_kernel{"gradient_norm"};
constinit Kernel<void(const std::vector<View>&, View)> scale_kernel{"clip_grad_norm"};

namespace {

template <class T>
double square_sum(const View& x, int64_t begin, int64_t end) {
  const T* values = x.as<const T>();
  constexpr int64_t lanes = 8;
  double sums[lanes] = {};
  const int64_t whole = begin + (end - begin) / lanes * lanes;
  for (int64_t i = begin; i < whole; i += lanes) {
    for (int64_t lane = 0; lane < lanes; ++lane) {
      const double value = static_cast<double>(Compute<T>(values[i + lane]));
      sums[lane] += value * value;
    }
  }
  for (int64_t i = whole; i < end; ++i) {
    const double value = static_cast<double>(Compute<T>(values[i]));
    sums[i - whole] += value * value;
  }
  double sum = 0;
  for (const double lane : sums) sum += lane;
  return sum;
}

template <class T>
void scale(const View& x, double factor, int64_t begin, int64_t end) {
  T* values = x.as<T>();
  const Compute<T> by = Compute<T>(factor);
  for (int64_t i = begin; i < end; ++i) values[i] = T(Compute<T>(values[i]) * by);
}

std::vector<Block> blocks_of_views(const std::vector<View>& views) {
  std::vector<int64_t> sizes;
  sizes.reserve(views.size());
  for (const View& v : views) sizes.push_back(v.numel());
  return blocks_of(sizes);
}

void square_sum_cpu(const std::vector<View>& views, View sum) {
  std::vector<double (*)(const View&, int64_t, int64_t)> runs;
  for (const View& v : views) {
    dispatch(FloatTypes(), v.dtype, "gradient_norm",
             [&]<class T>() { runs.push_back(&square_sum<T>); });
  }
  const std::vector<Block> blocks = blocks_of_views(views);
  std::vector<double> parts(blocks.size());
  parallel_each(blocks.size(), [&](size_t i) {
    const Block& block = blocks[i];
    parts[i] = runs[block.tensor](views[block.tensor], block.begin, block.end);
  });
  *sum.as<double>() = std::accumulate(parts.begin(), parts.end(), 0.0);
}

void scale_cpu(const std::vector<View>& views, View factor) {
  const double by = *factor.as<const double>();
  std::vector<void (*)(const View&, double, int64_t, int64_t)> runs;
  for (const View& v : views) {
    dispatch(FloatTypes(), v.dtype, "clip_grad_norm",
             [&]<class T>() { runs.push_back(&scale<T>); });
  }
  const std::vector<Block> blocks = blocks_of_views(views);
  parallel_each(blocks.size(), [&](size_t i) {
    const Block& block = blocks[i];
    runs[block.tensor](views[block.tensor], by, block.begin, block.end);
  });
}

const bool filled = square_sum_kernel.fill(Device::Kind::cpu, &square_sum_cpu) &&
                    scale_kernel.fill(Device::Kind::cpu, &scale_cpu);

}  // namespace
}  // namespace tenet::detail
