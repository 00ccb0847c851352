#include <tenet/core/safetensors.h>
#include <tenet/models/atomic_file.h>
#include <tenet/models/checkpoint.h>

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
    if (!is_stale(name)) state.emplace(name, std::move(tensor));
  }
  // Hugging Face's head has one bias under two names.
  if (const auto alias = state.find("lm_head.decoder.bias"); alias != state.end()) {
    state.emplace("lm_head.bias", alias->second);
    state.erase(alias);
  }
  return state;
}

}  // namespace

std::vector<std::string> checkpoint_files() {
  return {"config.json", "model.safetensors", "optimizer.safetensors", "state.json"};
}

std::unique_ptr<Reformer> load_model(const std::string& folder, int64_t length) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::file_type type = fs::status(folder, error).type();
  check(type != fs::file_type::none, "load: cannot read \"{}\": {}", folder, error.message());
  check(type == fs::file_type::directory, "load: {} is no folder; give a checkpoint folder",
        folder);
  const AtomicFolder files(folder, checkpoint_files());
  const std::string weights = files.path("model.safetensors");
  check(fs::exists(weights, error) || !fs::exists(folder + "/pytorch_model.bin", error),
        "load: {} holds pytorch_model.bin only; load it in transformers and save_pretrained(..., "
        "safe_serialization=True)",
        folder);
  ReformerConfig config = read_reformer_config(files.path("config.json"));
  if (length > 0) config.resolve_buckets(config.padded_length(length));
  auto model = std::make_unique<Reformer>(config);
  try {
    model->load_state_dict(model_tensors(weights));
  } catch (const Error& error) {
    throw Error(fmt::format("load: {}: {}", weights, error.what()));
  }
  return model;
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
