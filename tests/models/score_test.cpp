/// Promise: a folder that Hugging Face's transformers wrote gives the logits, the loss and the
/// gradients that transformers gave, recorded by tests/reference/hugging_face_fixtures.py.
#include <compare.h>
#include <recorded.h>
#include <tenet/core/safetensors.h>
#include <tenet/models/checkpoint.h>
#include <tenet/models/score.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/concatenate.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/elementwise.h>
#include <tenet/ops/reduce.h>

#include <doctest/doctest.h>
#include <algorithm>
#include <filesystem>

#include "byte_model.h"

using namespace tenet;
using namespace tenet::test;

namespace {

using Named = std::map<std::string, Tensor>;

std::string folder_of(const std::string& name) { return reference_path("hugging_face/" + name); }

Named input_of(const std::string& name) {
  return safetensors::load(folder_of(name) + "/input.safetensors").tensors;
}

}  // namespace

TEST_CASE("models of transformers give its logits, loss and gradients") {
  for (const char* name : {"decoder", "padded", "masked", "encoder", "axial", "short", "hashes",
                           "mixed", "ahead", "cube", "places", "left"}) {
    const Named want = safetensors::load(folder_of(name) + "/output.safetensors").tensors;
    const bool trained = want.size() > 2;
    for (const DType dtype : {DType::f32, DType::f64}) {
      const Named got = score(folder_of(name), input_of(name), {.grad = trained, .dtype = dtype});
      CHECK(got.size() == want.size());
      double worst = 0;
      for (const auto& [key, tensor] : want) {
        CAPTURE(key);
        REQUIRE(got.contains(key));
        worst = std::max(worst, recorded_error(got.at(key), tensor));
      }
      MESSAGE(fmt::format("{} {}", name, dtype)
              << ": " << want.size() << " tensors, off by " << worst);
      CHECK(worst < 2e-5);
    }
  }
}

TEST_CASE("what transformers writes again is what it read") {
  const ScratchFolder folder;
  const auto model = load_model(folder_of("encoder"));
  save_checkpoint(folder / "model", *model, {}, "{}");
  const Named once = score(folder_of("encoder"), input_of("encoder"));
  const Named again = score(folder / "model", input_of("encoder"));
  CHECK(same_bits(once.at("logits"), again.at("logits")));
}

TEST_CASE("a trace names what every layer computes") {
  const Named got = score(folder_of("padded"), input_of("padded"), {.trace = true});
  CHECK(got.at("emb").shape() == Shape{2, 24, 12});
  CHECK(got.at("last_hidden").shape() == Shape{2, 19, 24});
  for (const char* layer : {"0", "1", "2"}) {
    for (const char* what : {"attn.", "x1.", "x2."}) {
      CHECK(got.at(std::string(what) + layer).shape() == Shape{2, 24, 12});
    }
  }
  CHECK(got.at("buckets.0").shape() == Shape{2, 2, 72});
  CHECK(got.at("order.2").dtype() == DType::i64);
  CHECK_FALSE(got.contains("buckets.1"));
}

TEST_CASE("explicit positions are those of the tokens") {
  const Named plain = input_of("axial");
  Named given = plain;
  given["position_ids"] = stack({arange(36), arange(36)}, 0);
  CHECK(same_bits(score(folder_of("axial"), plain).at("logits"),
                  score(folder_of("axial"), given).at("logits")));
}

TEST_CASE("errors of score") {
  const std::string folder = folder_of("decoder");
  const auto error = [&](const std::string& name, const Tensor& tensor, const std::string& text,
                         const ScoreOptions& options = {}) {
    Named input = input_of("decoder");
    if (tensor.defined()) {
      input[name] = tensor;
    } else {
      input.erase(name);
    }
    check_error([&] { score(folder, input, options); }, text);
  };
  error("input_ids", {}, "score: there are no input_ids");
  error("input_ids", zeros({2, 24}), "score: input_ids are f32 (2, 24), not i64 (B, L)");
  error("input_ids", full({2, 24}, 29, {DType::i64}),
        "reformer: token 29 at (0, 0) is outside 0..28, the vocabulary");
  error("input_ids", full({2, 60}, 1, {DType::i64}),
        "score: labels are i64 (2, 24), not i64 (2, 60) as input_ids");
  error("labels", {}, "score: gradients need labels", {.grad = true});
  error("labels", zeros({2, 5}, {DType::i64}),
        "score: labels are i64 (2, 5), not i64 (2, 24) as input_ids");
  error("labels", full({2, 24}, -5, {DType::i64}),
        "reformer: target -5 at (0, 0) is outside 0..28, the vocabulary, and not -100");
  error("attention_mask", ones({24}, {DType::i64}),
        "score: attention_mask is i64 (24,), input_ids (2, 24) need i64 or boolean (2, 24)");
  error("attention_mask", ones({2, 24}),
        "score: attention_mask is f32 (2, 24), input_ids (2, 24) need i64 or boolean (2, 24)");
  error("position_ids", full({2, 24}, 48, {DType::i64}),
        "reformer: position 48 at (0, 0) is outside 0..47, the model's positions");
  error("rotation.9", zeros({1}),
        "score: the input has a tensor \"rotation.9\"; input_ids, labels, attention_mask, "
        "position_ids and rotation.0 to rotation.1 are read");
  error("rotation.0", zeros({2, 5, 2, 2}),
        "reformer: there are rotations of layer 0, which is local; only lsh layers hash");
  error("rotation.1", zeros({2, 5, 2, 3}),
        "reformer: rotations of layer 1 are f32 (2, 5, 2, 3), expected floating (2, 5, R, 2)");
}

TEST_CASE("a model without a head gives its last hidden states") {
  // What ReformerModel of transformers writes: names without "reformer.", no lm_head.
  const ScratchFolder folder;
  nn::StateDict state;
  const Named whole = safetensors::load(folder_of("decoder") + "/model.safetensors").tensors;
  for (const auto& [name, tensor] : whole) {
    if (name.starts_with("reformer.")) state.emplace(name.substr(9), tensor);
  }
  folder.write("config.json", contents(folder_of("decoder") + "/config.json"));
  safetensors::save(folder / "model.safetensors", state);
  CHECK_FALSE(has_head(folder.path()));
  CHECK(has_head(folder_of("decoder")));
  Named input = input_of("decoder");
  check_error(
      [&] { score(folder.path(), input); },
      "score: " + folder.path() + " holds a model without a head, so labels cannot be scored");
  input.erase("labels");
  const Named got = score(folder.path(), input);
  CHECK(got.size() == 1);
  CHECK(same_bits(got.at("last_hidden"),
                  score(folder_of("decoder"), input, {.trace = true}).at("last_hidden")));
  check_error([&] { load_model(folder.path()); },
              "load: " + folder / "model.safetensors" +
                  ": load_state_dict: missing lm_head.decoder.weight, lm_head.bias");
  const auto model = load_model(folder.path(), {.new_head = true});
  const Tensor head = Reformer(model->config()).state_dict().at("lm_head.decoder.weight");
  CHECK(same_bits(model->state_dict().at("lm_head.decoder.weight"), head));
}

TEST_CASE("integers of 32 bits, and a boolean mask") {
  Named input = input_of("masked");
  const Named want = score(folder_of("masked"), input);
  for (const char* name : {"input_ids", "labels", "attention_mask"}) {
    input[name] = input[name].to(DType::i32);
  }
  Named got = score(folder_of("masked"), input);
  CHECK(same_bits(got.at("logits"), want.at("logits")));
  CHECK(same_bits(got.at("loss"), want.at("loss")));
  input["attention_mask"] = not_equal(input["attention_mask"], 0);
  CHECK(same_bits(score(folder_of("masked"), input).at("logits"), want.at("logits")));
}

TEST_CASE("labels that are all ignored, and no rows") {
  Named input = input_of("decoder");
  input["labels"] = full({2, 24}, -100, {DType::i64});
  Named got = score(folder_of("decoder"), input, {.grad = true});
  CHECK(got.at("loss").item<double>() == 0);
  CHECK(sum(abs(got.at("grad.lm_head.bias"))).item<double>() == 0);
  input["input_ids"] = input["labels"] = zeros({0, 24}, {DType::i64});
  got = score(folder_of("decoder"), input, {.grad = true, .trace = true});
  CHECK(got.at("logits").shape() == Shape{0, 24, 29});
  CHECK(got.at("loss").item<double>() == 0);
}
