#include <fmt/format.h>

#include <tenet/models/compatibility.h>
#include <tenet/models/detail/config_json.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace tenet {

std::vector<std::string> beyond_transformers(const ReformerConfig& config) {
  const bool hashes = config.has(AttentionKind::lsh);
  std::vector<std::string> list;
  if (config.lsh_preset != "hugging_face" && (hashes || config.has(AttentionKind::local))) {
    list.push_back("preset " + config.lsh_preset);
  }
  if (config.residual == "exact") list.emplace_back("exact residual");
  if (config.has(AttentionKind::full)) list.emplace_back("full attention");
  if (hashes && config.evaluation_hashes > 0 && config.evaluation_hashes != config.num_hashes) {
    list.push_back(fmt::format("evaluation in {} rounds", config.evaluation_hashes));
  }
  constexpr std::string_view own[] = {"elu", "selu", "softplus", "hardswish", "gelu_tanh"};
  if (std::find(std::begin(own), std::end(own), config.hidden_act) != std::end(own)) {
    list.push_back("activation " + config.hidden_act);
  }
  return list;
}

std::vector<std::string> keys_beyond_transformers(const std::string& path) {
  std::vector<std::string> keys;
  const nlohmann::json json = detail::read_json_object(path);
  if (json.contains("tenet")) {
    for (const auto& [key, value] : json["tenet"].items()) keys.push_back("tenet." + key);
  }
  const std::vector<std::string> unknown = unknown_config_keys(path);
  keys.insert(keys.end(), unknown.begin(), unknown.end());
  return keys;
}

}  // namespace tenet
