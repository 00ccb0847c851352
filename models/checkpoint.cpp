#include <tenet/core/safetensors.h>
#include <tenet/models/atomic_file.h>
#include <tenet/models/checkpoint.h>
#include <tenet/models/detail/resized_positions.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

namespace tenet {
namespace {

/// Constants that old files of Hugging Face carry beside the weights.
bool is_stale(const std::string& name) {
  return name.find("mask_value_float") != std::string::npos;
}

nn::StateDict model_tensors(const std::string& path) {
  nn::StateDict state;
  for (auto& [name, tensor] : safetensors::load(path).tensors) {
    // A ReformerModel alone leaves out the name of the whole.
    const bool bare = name.starts_with("embeddings.") || name.starts_with("encoder.");
    if (!is_stale(name)) state.emplace(bare ? "reformer." + name : name, std::move(tensor));
  }
  // Hugging Face's head has one bias under two names.
  if (const auto alias = state.find("lm_head.decoder.bias"); alias != state.end()) {
    state.emplace("lm_head.bias", alias->second);
    state.erase(alias);
  }
  return state;
}

/// Whether there is a head to logits, or a part of one.
bool holds_head(const nn::StateDict& state) {
  return std::any_of(state.begin(), state.end(),
                     [](const auto& named) { return named.first.starts_with("lm_head."); });
}

/// Error, which says what to do, if the folder has its weights in another form or none.
void check_weights_file(const std::string& folder, const std::string& weights) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (fs::exists(weights, error)) return;
  check(!fs::exists(folder + "/model.safetensors.index.json", error),
        "load: {} holds its weights in several files; load it in transformers and "
        "save_pretrained(..., max_shard_size=\"1TB\")",
        folder);
  check(!fs::exists(folder + "/pytorch_model.bin", error),
        "load: {} holds pytorch_model.bin only; load it in transformers and save_pretrained(..., "
        "safe_serialization=True)",
        folder);
}

/// About how many numbers a model of this configuration has.
double parameter_estimate(const ReformerConfig& c) {
  const auto d = static_cast<double>(c.hidden_size), f = static_cast<double>(c.feed_forward_size);
  const double attention =
      static_cast<double>(c.num_attention_heads) * static_cast<double>(c.attention_head_size);
  double positions = static_cast<double>(c.max_position_embeddings) * d;
  if (c.axial_pos_embds) {
    positions = 0;
    for (size_t i = 0; i < c.axial_pos_shape.size(); ++i) {
      positions +=
          static_cast<double>(c.axial_pos_shape[i]) * static_cast<double>(c.axial_pos_embds_dim[i]);
    }
  }
  return 3 * static_cast<double>(c.vocab_size) * d + positions +
         static_cast<double>(c.layers()) * d * (3 * attention + 2 * f);
}

/// Error where the two are so far apart that making the model could exhaust the memory; a smaller
/// difference is named tensor by tensor.
void check_size(const ReformerConfig& config, const nn::StateDict& state) {
  double held = 0;
  for (const auto& [name, tensor] : state) held += static_cast<double>(tensor.numel());
  const double wanted = parameter_estimate(config);
  check(wanted < 4 * held + 1e8,
        "config.json describes a model of about {:.1e} numbers, the file holds {:.1e}", wanted,
        held);
}

void check_finite(const Reformer& model) {
  for (const auto& [name, parameter] : model.named_parameters()) {
    const auto* x = parameter.data<float>();
    for (int64_t i = 0; i < parameter.numel(); ++i) {
      check(std::isfinite(x[i]), "{} holds {} at number {}; the file is damaged", name, x[i], i);
    }
  }
}

}  // namespace

std::vector<std::string> checkpoint_files() {
  return {"config.json", "model.safetensors", "optimizer.safetensors", "state.json"};
}

std::unique_ptr<Reformer> load_model(const std::string& folder, const LoadOptions& options) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::file_type type = fs::status(folder, error).type();
  check(type != fs::file_type::none, "load: cannot read \"{}\": {}", folder, error.message());
  check(type == fs::file_type::directory, "load: {} is no folder; give a checkpoint folder",
        folder);
  const AtomicFolder files(folder, checkpoint_files());
  const std::string weights = files.path("model.safetensors");
  check_weights_file(folder, weights);
  ReformerConfig saved = read_reformer_config(files.path("config.json"));
  if (saved.has(AttentionKind::lsh)) {
    saved.resolve_buckets(options.length > 0 ? saved.padded_length(options.length)
                                             : saved.max_position_embeddings);
  }
  const ReformerConfig config = detail::with_positions(saved, options);
  const auto named = [&](auto&& f) {
    try {
      return f();
    } catch (const Error& error) {
      throw Error(fmt::format("load: {}: {}", weights, error.what()));
    }
  };
  nn::StateDict state = named([&] { return model_tensors(weights); });
  named([&] { check_size(saved, state); });
  auto model = std::make_unique<Reformer>(config);
  if (options.new_head && !holds_head(state)) {
    for (const char* name : {"lm_head.decoder.weight", "lm_head.bias"}) {
      state.emplace(name, model->state_dict().at(name).clone());
    }
  }
  detail::resize_position_tables(state, saved, *model);
  named([&] {
    model->load_state_dict(state);
    check_finite(*model);
  });
  return model;
}

bool has_head(const std::string& folder) {
  return holds_head(
      model_tensors(AtomicFolder(folder, checkpoint_files()).path("model.safetensors")));
}

void save_checkpoint(const std::string& folder, Reformer& model,
                     const std::map<std::string, Tensor>& optimizer_state,
                     const std::string& state_json) {
  const std::map<std::string, std::string> metadata{{"format", "pt"}};
  AtomicFolder(folder, checkpoint_files()).save([&](const std::string& staging) {
    write_file(staging + "/config.json", model.config().to_json());
    safetensors::save(staging + "/model.safetensors", model.state_dict(), metadata);
    safetensors::save(staging + "/optimizer.safetensors", optimizer_state, metadata);
    write_file(staging + "/state.json", state_json);
  });
}

}  // namespace tenet
