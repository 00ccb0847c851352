#include <tenet/core/grad_mode.h>
#include <tenet/core/safetensors.h>
#include <tenet/models/checkpoint.h>
#include <tenet/ops/creation.h>

#include <filesystem>
#include <limits>
#include <map>

#include "byte_model.h"

using namespace tenet;
using namespace tenet::test;

namespace {

Tensor logits_of(Reformer& model) {
  model.eval();
  const NoGrad scope;
  return model.logits(random_tokens({2, 32}, 3));
}

/// Saves a model, lets `change` alter the tensors of model.safetensors, and loads it.
template <class Change>
std::unique_ptr<Reformer> load_changed(const ScratchFolder& folder, Reformer& model,
                                       Change&& change) {
  save_checkpoint(folder.path(), model, {}, "{}");
  nn::StateDict state;
  for (auto& [name, tensor] : safetensors::load(folder / "model.safetensors").tensors) {
    state.emplace(name, tensor.clone());
  }
  change(state);
  safetensors::save(folder / "model.safetensors", state);
  return load_model(folder.path());
}

}  // namespace

TEST_CASE("a saved model gives the same logits, bit for bit") {
  for (const char* residual : {"exact", "float"}) {
    ReformerConfig config = byte_config();
    config.residual = residual;
    Reformer model(config);
    model.to(test_device());
    const ScratchFolder folder;
    save_checkpoint(folder.path(), model, {}, "{}");
    const auto loaded = load_model(folder.path());
    CHECK(loaded->config().to_json() == model.config().to_json());
    CHECK(same_bits(logits_of(*loaded), logits_of(model)));
  }
}

TEST_CASE("parameters have Hugging Face's names and shapes") {
  ReformerConfig config = byte_config();
  config.attention_head_size = 4;  // 2 heads: A = 8
  Reformer model(config);
  model.to(test_device());
  const std::string layers = "reformer.encoder.layers.",
                    positions = "reformer.embeddings.position_embeddings.";
  std::map<std::string, Shape> expected{
      {"reformer.embeddings.word_embeddings.weight", {258, 16}},
      {positions + "weights.0", {config.axial_pos_shape[0], 1, 4}},
      {positions + "weights.1", {1, config.axial_pos_shape[1], 12}},
      {layers + "0.attention.self_attention.query.weight", {8, 16}},
      {layers + "0.attention.self_attention.key.weight", {8, 16}},
      {layers + "0.attention.self_attention.value.weight", {8, 16}},
      {layers + "1.attention.self_attention.query_key.weight", {8, 16}},
      {layers + "1.attention.self_attention.value.weight", {8, 16}},
      {"reformer.encoder.layer_norm.weight", {32}},
      {"reformer.encoder.layer_norm.bias", {32}},
      {"lm_head.decoder.weight", {258, 32}},
      {"lm_head.bias", {258}}};
  for (const std::string layer : {"0.", "1."}) {
    expected[layers + layer + "attention.layer_norm.weight"] = {16};
    expected[layers + layer + "attention.layer_norm.bias"] = {16};
    expected[layers + layer + "attention.output.dense.weight"] = {16, 8};
    expected[layers + layer + "feed_forward.layer_norm.weight"] = {16};
    expected[layers + layer + "feed_forward.layer_norm.bias"] = {16};
    expected[layers + layer + "feed_forward.dense.dense.weight"] = {32, 16};
    expected[layers + layer + "feed_forward.dense.dense.bias"] = {32};
    expected[layers + layer + "feed_forward.output.dense.weight"] = {16, 32};
    expected[layers + layer + "feed_forward.output.dense.bias"] = {16};
  }
  const nn::StateDict state = model.state_dict();
  CHECK(state.size() == expected.size());
  for (const auto& [name, shape] : expected) {
    REQUIRE_MESSAGE(state.contains(name), name);
    CHECK_MESSAGE(state.at(name).shape() == shape, name);
  }
  config.axial_pos_embds = false;
  const nn::StateDict learned = Reformer(config).state_dict();
  CHECK(learned.at(positions + "embedding.weight").shape() == Shape{32, 16});
}

TEST_CASE("the head's bias under its other name, and constants of old files") {
  const ScratchFolder folder;
  Reformer model(byte_config());
  model.to(test_device());
  const auto loaded = load_changed(folder, model, [](nn::StateDict& state) {
    state["lm_head.decoder.bias"] = full({258}, 0.5);
    state.erase("lm_head.bias");
    state["reformer.encoder.layers.0.attention.self_attention.mask_value_float32"] = scalar(-1e9);
  });
  CHECK(loaded->state_dict().at("lm_head.bias").to_vector<float>() ==
        std::vector<float>(258, 0.5f));
}

TEST_CASE("weights of any floating type are converted") {
  const ScratchFolder folder;
  for (const DType dtype : {DType::f16, DType::bf16, DType::f64}) {
    CAPTURE(dtype);
    Reformer model(byte_config());
    model.to(test_device());
    const auto loaded = load_changed(folder, model, [&](nn::StateDict& state) {
      for (auto& [name, tensor] : state) tensor = tensor.to(dtype);
    });
    for (const auto& [name, p] : loaded->named_parameters()) CHECK(p.dtype() == DType::f32);
    model.to(dtype);
    model.to(DType::f32);
    CHECK(same_bits(logits_of(*loaded), logits_of(model)));
  }
}

TEST_CASE("a file that does not fit is one clear error") {
  const ScratchFolder folder;
  Reformer model(byte_config());
  model.to(test_device());
  const std::string weights = folder / "model.safetensors";
  const auto error = [&](auto&& change) {
    return error_of([&] { load_changed(folder, model, change); });
  };
  CHECK(error([](nn::StateDict& state) { state["lm_head.bias"] = zeros({320}); }) ==
        "load: " + weights +
            ": load_state_dict: lm_head.bias has shape (320,), the module's (258,)");
  CHECK(error([](nn::StateDict& state) { state.erase("lm_head.bias"); }) ==
        "load: " + weights + ": load_state_dict: missing lm_head.bias");
  CHECK(error([](nn::StateDict& state) { state["extra"] = zeros({2}); }) ==
        "load: " + weights + ": load_state_dict: unexpected extra");
  CHECK(error([](nn::StateDict& state) { state["lm_head.bias"] = zeros({258}, {DType::i64}); }) ==
        "load: " + weights + ": load_state_dict: lm_head.bias is i64, the module's f32");
  const std::string damaged = " at number 7; the file is damaged";
  for (const double value :
       {std::numeric_limits<double>::quiet_NaN(), -std::numeric_limits<double>::infinity()}) {
    CHECK(error([&](nn::StateDict& state) {
            state.at("lm_head.bias").mutable_data<float>()[7] = static_cast<float>(value);
          }) == fmt::format("load: {}: lm_head.bias holds {}{}", weights, value, damaged));
  }
}

TEST_CASE("a file that is cut off or hostile is an error, wherever it is cut") {
  const ScratchFolder folder;
  Reformer model(byte_config());
  model.to(test_device());
  save_checkpoint(folder.path(), model, {}, "{}");
  const std::string path = folder / "model.safetensors", whole = contents(path);
  const std::string start = "load: " + path + ": safetensors: \"" + path + "\"";
  const auto error = [&](const std::string& bytes) {
    folder.write("model.safetensors", bytes);
    return error_of([&] { load_model(folder.path()); });
  };
  CHECK(error(whole).empty());
  for (size_t length = 0; length < whole.size(); length += 1 + length / 3) {
    CHECK_MESSAGE(error(whole.substr(0, length)).starts_with(start), length);
  }
  CHECK(error("") == start + " has 0 bytes; the header's length alone takes 8");
  CHECK(error(whole.substr(0, 100)).ends_with("; it is truncated"));
  CHECK(error(whole.substr(0, whole.size() - 1)).ends_with("the file is truncated or damaged"));
  CHECK(error(std::string(8, '\xff') + "{}") ==
        start + " has a header of 18446744073709551615 bytes; at most 100000000 are read");
  CHECK(error(std::string("\x10\x27\0\0\0\0\0\0", 8) + std::string(10000, '[')) ==
        start + " has a header that is not JSON, at byte 1 of it");
}

TEST_CASE("a configuration far from its weights does not fill the memory") {
  const ScratchFolder folder;
  ReformerConfig config = byte_config();
  Reformer model(config);
  model.to(test_device());
  save_checkpoint(folder.path(), model, {}, "{}");
  config.vocab_size = int64_t{1} << 50;
  folder.write("config.json", config.to_json());
  CHECK(error_of([&] { load_model(folder.path()); }) ==
        "load: " + folder / "model.safetensors" +
            ": config.json describes a model of about 5.4e+16 numbers, the file holds 1.7e+04");
  folder.write("config.json", R"({"vocab_size": 1e999})");
  CHECK(error_of([&] { load_model(folder.path()); }) ==
        "config: \"" + folder / "config.json" +
            "\" has a number out of range: number overflow parsing '1e999'");
}

TEST_CASE("folders without a model") {
  const ScratchFolder folder;
  CHECK(error_of([&] { load_model(folder / "none"); }) ==
        "load: " + folder / "none" + " is no folder; give a checkpoint folder");
  CHECK(error_of([&] { load_model(folder.path()); }) ==
        "config: \"" + folder / "config.json" + "\" does not exist");
  folder.write("pytorch_model.bin", "x");
  CHECK(error_of([&] { load_model(folder.path()); }) ==
        "load: " + folder.path() +
            " holds pytorch_model.bin only; load it in transformers and save_pretrained(..., "
            "safe_serialization=True)");
  folder.write("model.safetensors.index.json", "{}");
  CHECK(error_of([&] { load_model(folder.path()); }) ==
        "load: " + folder.path() +
            " holds its weights in several files; load it in transformers and "
            "save_pretrained(..., max_shard_size=\"1TB\")");
}
