#include <fmt/format.h>

#include <tenet/nn/init.h>
#include <tenet/nn/position.h>
#include <tenet/ops/concatenate.h>
#include <tenet/ops/embedding.h>
#include <tenet/ops/reduce.h>
#include <tenet/ops/views.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

namespace tenet::nn {
namespace {

/// Rows i of `size` with mean square std^2: cosines and sines of 2 pi f i / size, f = 1, 2, ..,
/// size / 2, 1, 2, ...
Tensor harmonic_parameter(Shape shape, int64_t size, double std) {
  Tensor weight = constant_parameter(shape, 0);
  auto* x = weight.mutable_data<float>();
  const int64_t width = shape.back();
  const int64_t harmonics = std::max<int64_t>(size / 2, 1);
  for (int64_t i = 0; i < size; ++i) {
    for (int64_t j = 0; j < width; ++j) {
      const auto turns =
          static_cast<double>((1 + j / 2 % harmonics) * i) / static_cast<double>(size);
      const double angle = 2 * std::numbers::pi * turns;
      const double wave = j % 2 == 0 ? std::cos(angle) : std::sin(angle);
      x[i * width + j] = static_cast<float>(std * std::numbers::sqrt2 * wave);
    }
  }
  return weight;
}

void check_positions(const Tensor& positions, int64_t count) {
  check(positions.dtype() == DType::i64, "positions: dtype {}; give i64", positions.dtype());
  if (positions.numel() == 0) return;
  const auto low = min(positions).item<int64_t>(), high = max(positions).item<int64_t>();
  check(low >= 0 && high < count, "positions: {} is outside 0 to {}", low < 0 ? low : high,
        count - 1);
}

}  // namespace

LearnedPositionalEmbedding::LearnedPositionalEmbedding(int64_t max_positions, int64_t d_model,
                                                       double std, Generator& generator) {
  check(max_positions >= 1 && d_model >= 1,
        "positions: {} positions of width {}; both must be at least 1", max_positions, d_model);
  table_ = normal_parameter({max_positions, d_model}, std, generator);
}

Tensor LearnedPositionalEmbedding::operator()(int64_t length) const {
  check(length >= 0, "positions: length {} is negative", length);
  check(length <= table_.size(0), "positions: length {} exceeds {} positions", length,
        table_.size(0));
  return slice(table_, 0, 0, length);
}

Tensor LearnedPositionalEmbedding::operator()(const Tensor& positions) const {
  check_positions(positions, table_.size(0));
  return embedding(table_, positions);
}

void LearnedPositionalEmbedding::fields(Fields& f) { f.parameter("embedding.weight", table_); }

std::string LearnedPositionalEmbedding::describe() const {
  return fmt::format("LearnedPositionalEmbedding({} x {})", table_.size(0), table_.size(1));
}

AxialPositionalEmbedding::AxialPositionalEmbedding(std::vector<int64_t> shape,
                                                   std::vector<int64_t> widths, double std,
                                                   Generator& generator, PositionInit init)
    : shape_(std::move(shape)), widths_(std::move(widths)) {
  check(!shape_.empty() && shape_.size() == widths_.size() && shape_.size() < Shape::max_dim,
        "axial positions: {} axes with {} widths; one width per axis is needed", shape_.size(),
        widths_.size());
  const Shape grid{std::span<const int64_t>(shape_)};
  for (size_t k = 0; k < shape_.size(); ++k) {
    check(shape_[k] >= 1 && widths_[k] >= 1, "axial positions: axis {} has size {} and width {}", k,
          shape_[k], widths_[k]);
    Shape weight;
    for (size_t axis = 0; axis < shape_.size(); ++axis) weight.push_back(axis == k ? shape_[k] : 1);
    weight.push_back(widths_[k]);
    weights_.push_back(init == PositionInit::harmonic ? harmonic_parameter(weight, shape_[k], std)
                                                      : normal_parameter(weight, std, generator));
  }
  check(elements_fit(grid, 1), "axial positions: shape {} has too many positions", grid);
}

Tensor AxialPositionalEmbedding::operator()(int64_t length) const {
  Shape grid{std::span<const int64_t>(shape_)};
  check(length >= 0, "positions: length {} is negative", length);
  check(length <= grid.numel(), "positions: length {} exceeds the {} positions of shape {}", length,
        grid.numel(), grid);
  // The smallest leading part of the grid that holds `length` positions.
  int64_t below = grid.numel();
  for (int64_t& size : grid) {
    below /= size;
    size = std::max<int64_t>((length + below - 1) / below, 1);
    if (size > 1) break;
  }
  Tensors parts;
  for (size_t k = 0; k < weights_.size(); ++k) {
    const int axis = static_cast<int>(k);
    Shape full = grid;
    full.push_back(widths_[k]);
    parts.push_back(expand(slice(weights_[k], axis, 0, grid[axis]), full));
  }
  const int64_t width = std::reduce(widths_.begin(), widths_.end());
  const Tensor all = reshape(concatenate(parts, -1), {grid.numel(), width});
  return slice(all, 0, 0, length);
}

Tensor AxialPositionalEmbedding::operator()(const Tensor& positions) const {
  const Shape grid{std::span<const int64_t>(shape_)};
  check_positions(positions, grid.numel());
  const std::vector<int64_t> all = positions.to_vector<int64_t>();
  Tensors parts;
  int64_t below = grid.numel();
  for (size_t k = 0; k < weights_.size(); ++k) {
    below /= shape_[k];
    std::vector<int64_t> index;
    index.reserve(all.size());
    for (const int64_t position : all) index.push_back(position / below % shape_[k]);
    const Tensor rows = reshape(weights_[k], {shape_[k], widths_[k]});
    parts.push_back(
        embedding(rows, from_vector(index, positions.shape(), {DType::i64, positions.device()})));
  }
  return concatenate(parts, -1);
}

void AxialPositionalEmbedding::fields(Fields& f) { f.parameter("weights", weights_); }

std::string AxialPositionalEmbedding::describe() const {
  return fmt::format("AxialPositionalEmbedding({} -> {})", fmt::join(shape_, " x "),
                     fmt::join(widths_, " + "));
}

}  // namespace tenet::nn
