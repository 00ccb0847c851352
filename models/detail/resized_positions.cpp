#include <fmt/ranges.h>

#include <tenet/core/grad_mode.h>
#include <tenet/models/detail/resized_positions.h>
#include <tenet/ops/inplace.h>
#include <tenet/ops/views.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <span>

namespace tenet::detail {
namespace {

/// The tables of positions by name.
std::map<std::string, Shape> position_tables(const ReformerConfig& c) {
  const std::string path = "reformer.embeddings.position_embeddings.";
  if (!c.axial_pos_embds) {
    return {{path + "embedding.weight", {c.max_position_embeddings, c.hidden_size}}};
  }
  std::map<std::string, Shape> tables;
  for (size_t k = 0; k < c.axial_pos_shape.size(); ++k) {
    Shape shape;
    for (size_t axis = 0; axis < c.axial_pos_shape.size(); ++axis) {
      shape.push_back(axis == k ? c.axial_pos_shape[k] : 1);
    }
    shape.push_back(c.axial_pos_embds_dim[k]);
    tables.emplace(fmt::format("{}weights.{}", path, k), shape);
  }
  return tables;
}

int64_t product(std::span<const int64_t> sizes) {
  return std::reduce(sizes.begin(), sizes.end(), int64_t{1}, std::multiplies());
}

}  // namespace

ReformerConfig with_positions(ReformerConfig config, const LoadOptions& options) {
  const int64_t wanted = options.max_position_embeddings;
  check(wanted >= 0, "load: {} positions; at least 1 are needed", wanted);
  std::vector<int64_t> shape = options.axial_pos_shape;
  if (wanted == 0 && shape.empty()) return config;
  check(shape.empty() || (config.axial_pos_embds && shape.size() == config.axial_pos_shape.size()),
        "load: axial_pos_shape ({}) does not fit the model, which has {} axial axes",
        fmt::join(shape, ", "), config.axial_pos_embds ? config.axial_pos_shape.size() : 0);
  if (config.axial_pos_embds && shape.empty()) {
    shape = config.axial_pos_shape;
    const int64_t rest = product(std::span(shape).subspan(1));
    shape[0] = (wanted + rest - 1) / rest;
  }
  for (const int64_t size : shape) check(size >= 1, "load: an axial axis of {} positions", size);
  config.max_position_embeddings = wanted > 0 ? wanted : product(shape);
  if (!config.axial_pos_embds) return config;
  check(product(shape) >= config.max_position_embeddings,
        "load: axial_pos_shape ({}) has {} positions, {} are asked for", fmt::join(shape, ", "),
        product(shape), config.max_position_embeddings);
  config.axial_pos_shape = shape;
  return config;
}

void resize_position_tables(nn::StateDict& state, const ReformerConfig& saved,
                            const Reformer& model) {
  const ReformerConfig& now = model.config();
  if (now.max_position_embeddings == saved.max_position_embeddings &&
      now.axial_pos_shape == saved.axial_pos_shape) {
    return;
  }
  const NoGrad scope;
  const nn::StateDict fresh = model.state_dict();
  for (const auto& [name, shape] : position_tables(saved)) {
    const auto found = state.find(name);
    // What does not fit its own configuration is left for load_state_dict() to name.
    if (found == state.end() || found->second.shape() != shape ||
        !is_floating(found->second.dtype())) {
      continue;
    }
    const Tensor whole = fresh.at(name).clone();
    Tensor to = whole, from = found->second;
    for (int axis = 0; axis < to.dim(); ++axis) {
      const int64_t size = std::min(to.size(axis), from.size(axis));
      to = slice(to, axis, 0, size), from = slice(from, axis, 0, size);
    }
    copy_(to, from.to(to.dtype()));
    found->second = whole;
  }
}

}  // namespace tenet::detail
