#include <tenet/nn/init.h>
#include <tenet/nn/position.h>
#include <tenet/ops/concatenate.h>
#include <tenet/ops/views.h>

namespace tenet::nn {

LearnedPositionalEmbedding::LearnedPositionalEmbedding(int64_t max_positions, int64_t d_model, double std,
                                                       Generator& generator)
    : table_(normal_parameter({max_positions, d_model}, std, generator)) {}

Tensor LearnedPositionalEmbedding::operator()(int64_t length) {
  check(length <= table_.size(0), "positions: length {} exceeds {} positions", length, table_.size(0));
  return slice(table_, 0, 0, length);
}

void LearnedPositionalEmbedding::fields(Fields& f) { f.parameter("embedding.weight", table_); }

AxialPositionalEmbedding::AxialPositionalEmbedding(std::vector<int64_t> shape,
                                                   std::vector<int64_t> widths, double std,
                                                   Generator& generator)
    : shape_(std::move(shape)) {
  check(!shape_.empty() && shape_.size() == widths.size(),
        "axial positions: {} axes with {} widths; one width per axis is needed", shape_.size(),
        widths.size());
  for (size_t k = 0; k < shape_.size(); ++k) {
    check(shape_[k] >= 1 && widths[k] >= 1, "axial positions: axis {} has size {} and width {}", k,
          shape_[k], widths[k]);
    Shape weight;
    for (size_t axis = 0; axis < shape_.size(); ++axis) weight.push_back(axis == k ? shape_[k] : 1);
    weight.push_back(widths[k]);
    weights_.push_back(normal_parameter(weight, std, generator));
  }
}

Tensor AxialPositionalEmbedding::operator()(int64_t length) {
  Shape grid{std::span<const int64_t>(shape_)};
  check(length <= grid.numel(), "positions: length {} exceeds the {} positions of shape {}", length,
        grid.numel(), grid);
  const int64_t per_row = std::max<int64_t>(grid.numel() / grid[0], 1);
  grid[0] = (length + per_row - 1) / per_row;
  Tensors parts;
  int64_t width = 0;
  for (size_t k = 0; k < weights_.size(); ++k) {
    Tensor weight = k == 0 ? slice(weights_[0], 0, 0, grid[0]) : weights_[k];
    Shape full = grid;
    full.push_back(weight.shape().back());
    width += weight.shape().back();
    parts.push_back(expand(weight, full));
  }
  const Tensor all = reshape(concatenate(parts, -1), {grid.numel(), width});
  return slice(all, 0, 0, length);
}

void AxialPositionalEmbedding::fields(Fields& f) {
  for (size_t k = 0; k < weights_.size(); ++k) f.parameter("weights." + std::to_string(k), weights_[k]);
}

}  // namespace tenet::nn
