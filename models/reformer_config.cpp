#include <tenet/core/error.h>
#include <tenet/core/version.h>
#include <tenet/models/detail/config_json.h>
#include <tenet/models/reformer_config.h>
#include <tenet/nn/attention.h>

#include <bit>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <type_traits>

namespace tenet {
namespace {

using Json = nlohmann::ordered_json;

/// Calls v(key, member) for every key of the top level whose member is of a plain type.
template <class Config, class Visitor>
void visit_plain(Config& c, Visitor&& v) {
  v("attention_head_size", c.attention_head_size);
  v("axial_pos_embds", c.axial_pos_embds);
  v("axial_pos_shape", c.axial_pos_shape);
  v("axial_pos_embds_dim", c.axial_pos_embds_dim);
  v("axial_norm_std", c.axial_norm_std);
  v("chunk_size_feed_forward", c.chunk_size_feed_forward);
  v("chunk_size_lm_head", c.chunk_size_lm_head);
  v("feed_forward_size", c.feed_forward_size);
  v("hidden_act", c.hidden_act);
  v("hidden_size", c.hidden_size);
  v("is_decoder", c.is_decoder);
  v("layer_norm_eps", c.layer_norm_eps);
  v("initializer_range", c.initializer_range);
  v("local_attn_chunk_length", c.local_attn_chunk_length);
  v("lsh_attn_chunk_length", c.lsh_attn_chunk_length);
  v("local_num_chunks_before", c.local_num_chunks_before);
  v("local_num_chunks_after", c.local_num_chunks_after);
  v("lsh_num_chunks_before", c.lsh_num_chunks_before);
  v("lsh_num_chunks_after", c.lsh_num_chunks_after);
  v("max_position_embeddings", c.max_position_embeddings);
  v("num_attention_heads", c.num_attention_heads);
  v("num_hashes", c.num_hashes);
  v("pad_token_id", c.pad_token_id);
  v("eos_token_id", c.eos_token_id);
  v("vocab_size", c.vocab_size);
  v("tie_word_embeddings", c.tie_word_embeddings);
  v("use_cache", c.use_cache);
  v("hidden_dropout_prob", c.hidden_dropout_prob);
  v("local_attention_probs_dropout_prob", c.local_attention_probs_dropout_prob);
  v("lsh_attention_probs_dropout_prob", c.lsh_attention_probs_dropout_prob);
}

/// The same for the object "tenet".
template <class Config, class Visitor>
void visit_tenet(Config& c, Visitor&& v) {
  v("lsh_preset", c.lsh_preset);
  v("residual", c.residual);
  v("fraction_bits", c.fraction_bits);
  v("byte_offset", c.byte_offset);
  v("evaluation_hashes", c.evaluation_hashes);
  v("position_init", c.position_init);
  v("seed", c.seed);
}

/// Keys that are read or written by hand, and those of Hugging Face that carry nothing we need.
// clang-format off
constexpr std::string_view special_keys[] = {
    "attn_layers", "hash_seed", "num_buckets", "num_hidden_layers", "tenet", "model_type",
    "architectures", "torch_dtype", "dtype", "transformers_version", "output_past", "_name_or_path",
    "bos_token_id", "num_chunks_before", "num_chunks_after", "intermediate_size",
    "classifier_dropout", "task_specific_params"};
// clang-format on

std::vector<std::string_view> keys_of(void (*visit)(std::vector<std::string_view>&)) {
  std::vector<std::string_view> keys;
  visit(keys);
  return keys;
}

std::vector<std::string_view> top_level_keys() {
  return keys_of([](std::vector<std::string_view>& keys) {
    const ReformerConfig config;
    visit_plain(config, [&](const char* key, const auto&) { keys.emplace_back(key); });
    keys.insert(keys.end(), std::begin(special_keys), std::end(special_keys));
  });
}

std::vector<std::string_view> tenet_keys() {
  return keys_of([](std::vector<std::string_view>& keys) {
    const ReformerConfig config;
    visit_tenet(config, [&](const char* key, const auto&) { keys.emplace_back(key); });
    keys.emplace_back("version");
  });
}

/// transformers' choice: 2^e nearest below 2 chunks, in two factors above a limit.
std::vector<int64_t> hugging_face_buckets(int64_t length, const ReformerConfig& c) {
  const int64_t chunk = c.lsh_attn_chunk_length;
  const auto chunks = static_cast<uint64_t>(std::max<int64_t>(length / chunk, 1));
  const int bits = static_cast<int>(std::bit_width(2 * chunks)) - 1;
  const auto root = static_cast<int64_t>(std::sqrt(c.max_position_embeddings / chunk));
  const int64_t limit = 2 * std::max(root, chunk);
  if (int64_t{1} << bits <= limit) return {int64_t{1} << bits};
  return {int64_t{1} << bits / 2, int64_t{1} << (bits - bits / 2)};
}

void check_positive(const char* key, int64_t value) {
  check(value >= 1, "config: \"{}\" is {}, it must be at least 1", key, value);
}

void check_not_negative(const char* key, double value) {
  check(value >= 0, "config: \"{}\" is {}, it must not be negative", key, value);
}

void check_probability(const char* key, double value) {
  check(value >= 0 && value < 1, "config: \"{}\" is {}, it must be in [0, 1)", key, value);
}

/// Error: a number that is out of range on its own.
void check_ranges(const ReformerConfig& c) {
  for (const auto& [key, value] :
       {std::pair("hidden_size", c.hidden_size),
        std::pair("num_attention_heads", c.num_attention_heads),
        std::pair("attention_head_size", c.attention_head_size),
        std::pair("feed_forward_size", c.feed_forward_size), std::pair("vocab_size", c.vocab_size),
        std::pair("max_position_embeddings", c.max_position_embeddings),
        std::pair("local_attn_chunk_length", c.local_attn_chunk_length),
        std::pair("lsh_attn_chunk_length", c.lsh_attn_chunk_length),
        std::pair("num_hashes", c.num_hashes)}) {
    check_positive(key, value);
  }
  // Above this the least common multiple of two chunks could not be held.
  for (const int64_t chunk : {c.local_attn_chunk_length, c.lsh_attn_chunk_length}) {
    check(chunk <= INT32_MAX, "config: a chunk of {} positions; at most {} are possible", chunk,
          INT32_MAX);
  }
  visit_plain(c, [](std::string_view key, const auto& value) {
    if constexpr (std::is_same_v<decltype(value), const int64_t&> ||
                  std::is_same_v<decltype(value), const double&>) {
      if (!key.ends_with("_id")) check_not_negative(key.data(), static_cast<double>(value));
    }
  });
  check_probability("hidden_dropout_prob", c.hidden_dropout_prob);
  check_probability("local_attention_probs_dropout_prob", c.local_attention_probs_dropout_prob);
  check_probability("lsh_attention_probs_dropout_prob", c.lsh_attention_probs_dropout_prob);
}

void read_special(const nlohmann::json& json, ReformerConfig& config) {
  using detail::get_or;
  if (json.contains("attn_layers")) {
    config.attn_layers.clear();
    for (const std::string& name : get_or(json, "attn_layers", std::vector<std::string>())) {
      config.attn_layers.push_back(parse_attention(name, 1)[0]);
    }
  }
  if (json.contains("hash_seed") && !json["hash_seed"].is_null()) {
    config.hash_seed = get_or(json, "hash_seed", int64_t{0});
  }
  const auto is = [&](const char* key) { return json.contains(key) && !json[key].is_null(); };
  check(!is("model_type") || json["model_type"] == "reformer",
        "config: \"model_type\" is {}, not \"reformer\"",
        json.value("model_type", nlohmann::json()).dump());
  const int64_t layers = get_or(json, "num_hidden_layers", config.layers());
  check(layers == config.layers(), "config: \"num_hidden_layers\" is {}, \"attn_layers\" has {}",
        layers, config.layers());
  if (is("num_buckets") && !json["num_buckets"].is_array()) {
    config.num_buckets = {get_or(json, "num_buckets", int64_t{0})};
  } else {
    config.num_buckets = get_or(json, "num_buckets", std::vector<int64_t>());
  }
}

}  // namespace

void ReformerConfig::validate() const {
  check(!attn_layers.empty(), "config: \"attn_layers\" is empty");
  check_ranges(*this);
  if (axial_pos_embds) {
    const int64_t width = std::reduce(axial_pos_embds_dim.begin(), axial_pos_embds_dim.end());
    check(axial_pos_shape.size() == axial_pos_embds_dim.size(),
          "config: \"axial_pos_shape\" has {} axes, \"axial_pos_embds_dim\" {}",
          axial_pos_shape.size(), axial_pos_embds_dim.size());
    check(width == hidden_size,
          "config: \"axial_pos_embds_dim\" adds up to {}, \"hidden_size\" is {}", width,
          hidden_size);
    for (int64_t size : axial_pos_shape) check_positive("axial_pos_shape", size);
    const Shape grid{std::span<const int64_t>(axial_pos_shape)};
    check(elements_fit(grid, 1), "config: \"axial_pos_shape\" {} has too many positions", grid);
    for (int64_t size : axial_pos_embds_dim) check_positive("axial_pos_embds_dim", size);
  }
  for (int64_t factor : num_buckets) {
    check(factor >= 2 && factor % 2 == 0,
          "config: \"num_buckets\" has the factor {}, it must be even", factor);
  }
  check(
      !tie_word_embeddings,
      "config: \"tie_word_embeddings\" is true; the head is twice as wide as the embedding, so the "
      "two cannot share weights");
  nn::parse_attention_preset(lsh_preset);
  check(!has_chunks() || !is_decoder || !has(AttentionKind::local) || local_num_chunks_after == 0,
        "config: \"is_decoder\" is true and \"local_num_chunks_after\" {}; it must be 0",
        local_num_chunks_after);
  check(!has_chunks() || !is_decoder || !has(AttentionKind::lsh) || lsh_num_chunks_after == 0,
        "config: \"is_decoder\" is true and \"lsh_num_chunks_after\" {}; it must be 0",
        lsh_num_chunks_after);
  check(residual == "exact" || residual == "float",
        "config: \"tenet.residual\" is \"{}\"; use \"exact\" or \"float\"", residual);
  check(position_init == "normal" || position_init == "harmonic",
        "config: \"tenet.position_init\" is \"{}\"; use \"normal\" or \"harmonic\"", position_init);
  check(fraction_bits >= 1 && fraction_bits <= 29,
        "config: \"tenet.fraction_bits\" is {}, not in 1..29", fraction_bits);
  check(byte_offset >= -1,
        "config: \"tenet.byte_offset\" is {}, it must be at least 0, or -1 if tokens are no bytes",
        byte_offset);
}

int64_t ReformerConfig::padded_length(int64_t length) const {
  if (!has_chunks()) return length;
  int64_t shortest = INT64_MAX, multiple = 1;
  for (const auto& [kind, chunk] : {std::pair(AttentionKind::local, local_attn_chunk_length),
                                    std::pair(AttentionKind::lsh, lsh_attn_chunk_length)}) {
    if (!has(kind)) continue;
    shortest = std::min(shortest, chunk);
    multiple = std::lcm(multiple, chunk);
  }
  return length <= shortest ? length : (length + multiple - 1) / multiple * multiple;
}

void ReformerConfig::resolve_buckets(int64_t length) {
  if (!num_buckets.empty()) return;
  num_buckets = has_chunks() ? hugging_face_buckets(length, *this)
                             : num_buckets_for(length, lsh_attn_chunk_length);
}

std::string ReformerConfig::to_json() const {
  Json json;
  json["architectures"] = {is_decoder ? "ReformerModelWithLMHead" : "ReformerForMaskedLM"};
  json["model_type"] = "reformer";
  json["attn_layers"] = Json::array();
  for (AttentionKind kind : attn_layers) json["attn_layers"].push_back(to_string(kind));
  json["num_hidden_layers"] = layers();
  visit_plain(*this, [&](const char* key, const auto& value) { json[key] = value; });
  json["hash_seed"] = hash_seed ? Json(*hash_seed) : Json();
  json["num_buckets"] = num_buckets.empty()       ? Json()
                        : num_buckets.size() == 1 ? Json(num_buckets[0])
                                                  : Json(num_buckets);
  json["torch_dtype"] = "float32";
  json["tenet"]["version"] = version();
  visit_tenet(*this, [&](const char* key, const auto& value) { json["tenet"][key] = value; });
  return json.dump(2) + "\n";
}

ReformerConfig read_reformer_config(const std::string& path, bool strict) {
  const nlohmann::json json = detail::read_json_object(path);
  detail::check_keys(json, top_level_keys(),
                     strict ? detail::UnknownKeys::near_is_error : detail::UnknownKeys::keep);
  ReformerConfig config;
  const auto read_from = [](const nlohmann::json& object) {
    return
        [&object](const char* key, auto& member) { member = detail::get_or(object, key, member); };
  };
  visit_plain(config, read_from(json));
  read_special(json, config);
  config.byte_offset = config.vocab_size == 256 ? 0 : config.vocab_size == 258 ? 2 : -1;
  if (json.contains("tenet")) {
    const nlohmann::json& object = json["tenet"];
    check(object.is_object(), "config: \"tenet\" is no object");
    detail::check_keys(object, tenet_keys(), detail::UnknownKeys::error, "tenet.");
    visit_tenet(config, read_from(object));
  }
  config.validate();
  return config;
}

std::vector<std::string> unknown_config_keys(const std::string& path) {
  return detail::check_keys(detail::read_json_object(path), top_level_keys(),
                            detail::UnknownKeys::keep);
}

ReformerConfig new_reformer_config(int64_t layers, int64_t d_model, int64_t heads, int64_t d_ff,
                                   int64_t length) {
  check_positive("heads", heads);
  check_positive("length", length);
  check(d_model % heads == 0, "config: {} heads do not divide a width of {}", heads, d_model);
  ReformerConfig config;
  config.attn_layers = parse_attention("local,lsh", layers);
  config.hidden_size = d_model;
  config.num_attention_heads = heads;
  config.attention_head_size = d_model / heads;
  config.feed_forward_size = d_ff;
  config.max_position_embeddings = length;
  config.axial_pos_shape = axial_shape_for(length);
  config.axial_pos_embds_dim = {d_model / 4, d_model - d_model / 4};
  config.axial_norm_std = 0.05;
  config.position_init = "harmonic";
  config.initializer_range = 0.05;
  config.num_buckets = num_buckets_for(length, config.lsh_attn_chunk_length);
  config.num_hashes = 2;
  config.evaluation_hashes = 4;
  config.is_decoder = true;
  config.layer_norm_eps = 1e-6;
  config.hidden_dropout_prob = 0;
  config.local_attention_probs_dropout_prob = 0;
  config.vocab_size = 258;
  config.lsh_preset = "windowed";
  config.residual = "exact";
  config.byte_offset = 2;
  return config;
}

std::vector<int64_t> axial_shape_for(int64_t length) {
  int64_t columns = 1;
  while (columns * columns < length) columns *= 2;
  return {(length + columns - 1) / columns, columns};
}

std::vector<int64_t> num_buckets_for(int64_t length, int64_t chunk) {
  const double wanted = 2.0 * static_cast<double>(length) / static_cast<double>(chunk);
  const int bits = std::max(1, static_cast<int>(std::lround(std::log2(std::max(wanted, 2.0)))));
  if (bits <= 7) return {int64_t{1} << bits};
  return {int64_t{1} << (bits / 2), int64_t{1} << (bits - bits / 2)};
}

std::vector<AttentionKind> parse_attention(std::string_view names, int64_t layers) {
  check_positive("layers", layers);
  std::vector<AttentionKind> pattern;
  for (size_t begin = 0; begin <= names.size();) {
    const size_t end = std::min(names.find(',', begin), names.size());
    const std::string_view name = names.substr(begin, end - begin);
    check(name == "lsh" || name == "local" || name == "full",
          "config: attention \"{}\"; use lsh, local or full", name);
    pattern.push_back(name == "lsh"     ? AttentionKind::lsh
                      : name == "local" ? AttentionKind::local
                                        : AttentionKind::full);
    begin = end + 1;
  }
  std::vector<AttentionKind> result;
  for (int64_t i = 0; i < layers; ++i) {
    result.push_back(pattern[static_cast<size_t>(i) % pattern.size()]);
  }
  return result;
}

const char* to_string(AttentionKind kind) {
  switch (kind) {
    case AttentionKind::local:
      return "local";
    case AttentionKind::lsh:
      return "lsh";
    case AttentionKind::full:
      break;
  }
  return "full";
}

}  // namespace tenet
