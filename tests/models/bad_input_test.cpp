/// Promise: input that a Reformer cannot take is one error that names the value, and what looks
/// like it but can be taken has a defined, finite result.
#include <compare.h>
#include <tenet/core/autograd.h>
#include <tenet/core/grad_mode.h>
#include <tenet/models/score.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/elementwise.h>
#include <tenet/ops/reduce.h>
#include <tenet/ops/views.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "byte_model.h"

using namespace tenet;
using namespace tenet::test;

namespace {

/// Tokens 1 but for `id` at (1, 3).
Tensor tokens_with(int64_t id) {
  Tensor ids = full({2, 8}, 1, {DType::i64});
  ids.mutable_data<int64_t>()[8 + 3] = id;
  return ids;
}

ReformerConfig preset_config(const char* preset, const char* attention = "local,lsh") {
  ReformerConfig config = small_config({.attention = attention, .residual = "float"});
  config.lsh_preset = preset;
  config.num_buckets = {2, 4};
  return config;
}

Tensor random_rotations() {
  Generator generator(4);
  return randn({2, 8, 5, 3}, generator);
}

bool all_finite(const Tensor& x) {
  const std::vector<double> values = x.to_vector<double>();
  return std::all_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); });
}

constexpr const char* presets[] = {"windowed", "paper", "trax", "hugging_face"};

}  // namespace

TEST_CASE("tokens that a Reformer cannot take") {
  Reformer model(preset_config("hugging_face"));
  model.to(test_device());
  const auto error = [&](const Tensor& tokens) { return error_of([&] { model.logits(tokens); }); };
  CHECK(error(tokens_with(32)) == "reformer: token 32 at (1, 3) is outside 0..31, the vocabulary");
  CHECK(error(tokens_with(-1)) == "reformer: token -1 at (1, 3) is outside 0..31, the vocabulary");
  CHECK(error(zeros({2, 8})) == "reformer: tokens are f32, expected i64 or i32");
  CHECK(error(zeros({8}, {DType::i64})) ==
        "reformer: tokens have shape (8,), expected (B, L), L at least 1");
  CHECK(error(zeros({2, 0}, {DType::i64})) ==
        "reformer: tokens have shape (2, 0), expected (B, L), L at least 1");
  CHECK(error(zeros({1, 65}, {DType::i64})) ==
        "reformer: length 65 exceeds the model's 64 positions");
  CHECK(error_of([&] { model.next_logits(tokens_with(32)); }) ==
        "reformer: token 32 at (1, 3) is outside 0..31, the vocabulary");
  model.eval();
  CHECK(same_bits(model.logits(tokens_with(5)), model.logits(tokens_with(5).to(DType::i32))));
}

TEST_CASE("a padding token outside the vocabulary matters only where it pads") {
  ReformerConfig config = preset_config("hugging_face");
  config.pad_token_id = 32;
  Reformer model(config);
  model.to(test_device());
  CHECK(all_finite(model.logits(zeros({1, 16}, {DType::i64}))));
  CHECK(error_of([&] {
          model.logits(zeros({1, 9}, {DType::i64}));
        }) == "reformer: \"pad_token_id\" 32 is outside 0..31, the vocabulary");
}

TEST_CASE("targets that are no classes") {
  Reformer model(preset_config("windowed"));
  model.to(test_device());
  const auto error = [&](const Tensor& targets) {
    return error_of([&] { model.loss(tokens_with(1), targets); });
  };
  const std::string range = " at (1, 3) is outside 0..31, the vocabulary, and not -100";
  CHECK(error(tokens_with(32)) == "reformer: target 32" + range);
  CHECK(error(tokens_with(-5)) == "reformer: target -5" + range);
  CHECK(error(tokens_with(-100)).empty());
  CHECK(error(zeros({2, 8})) == "reformer: targets are f32, expected i64 or i32");
  CHECK(error(zeros({2, 7}, {DType::i64})) == "reformer: targets have shape (2, 7), tokens (2, 8)");
}

TEST_CASE("masks and positions that do not fit the tokens") {
  Reformer model(preset_config("hugging_face"));
  model.to(test_device());
  const auto error = [&](const ReformerCall& call) {
    return error_of([&] { model.logits(tokens_with(1), call); });
  };
  CHECK(error({.mask = ones({2, 7}, {DType::boolean})}) ==
        "reformer: the mask is boolean (2, 7), tokens (2, 8) need boolean (2, 8)");
  CHECK(error({.mask = ones({2, 8})}) ==
        "reformer: the mask is f32 (2, 8), tokens (2, 8) need boolean (2, 8)");
  CHECK(error({.positions = tokens_with(64)}) ==
        "reformer: position 64 at (1, 3) is outside 0..63, the model's positions");
  CHECK(error({.positions = tokens_with(-1)}) ==
        "reformer: position -1 at (1, 3) is outside 0..63, the model's positions");
  CHECK(error({.positions = zeros({2, 9}, {DType::i64})}) ==
        "reformer: positions are i64 (2, 9), tokens (2, 8) need i64 (2, 8)");
}

TEST_CASE("rotations that do not fit the layers") {
  for (const char* preset : presets) {
    Reformer model(preset_config(preset));
    model.to(test_device());
    const auto error = [&](const Tensor& local, const Tensor& lsh, int64_t hashes = 0) {
      return error_of([&] {
        model.logits(tokens_with(1), {.hashes = hashes, .rotations = {local, lsh}});
      });
    };
    CHECK(error({}, random_rotations()).empty());
    const std::string expected = ", expected floating (2, 8, R, 3)";
    CHECK(error({}, ones({2, 8, 5, 4})) ==
          "reformer: rotations of layer 1 are f32 (2, 8, 5, 4)" + expected);
    CHECK(error({}, ones({2, 8, 0, 3})) ==
          "reformer: rotations of layer 1 are f32 (2, 8, 0, 3)" + expected);
    CHECK(error({}, ones({8, 5, 3})) ==
          "reformer: rotations of layer 1 are f32 (8, 5, 3)" + expected);
    CHECK(error({}, ones({2, 8, 5, 3}, {DType::i64})) ==
          "reformer: rotations of layer 1 are i64 (2, 8, 5, 3)" + expected);
    CHECK(error({}, full({2, 8, 5, 3}, std::numeric_limits<double>::quiet_NaN())) ==
          "reformer: rotations of layer 1 hold nan");
    CHECK(error(ones({2, 8, 5, 3}), {}) ==
          "reformer: there are rotations of layer 0, which is local; only lsh layers hash");
    CHECK(error({}, ones({2, 8, 5, 3}), 2) ==
          "reformer: rotations of layer 1 have 5 rounds, the call asks for 2");
  }
  Reformer model(preset_config("windowed"));
  model.to(test_device());
  CHECK(error_of([&] { model.logits(tokens_with(1), {.rotations = {Tensor()}}); }) ==
        "reformer: rotations of 1 layers, the model has 2");
  CHECK(error_of([&] { model.logits(tokens_with(1), {.hashes = -1}); }) ==
        "reformer: -1 hash rounds; 0 or more are needed");
}

TEST_CASE("a row without any token in use has finite results and changes no other row") {
  for (const char* preset : presets) {
    for (const char* attention : {"local", "lsh", "full", "local,lsh"}) {
      CAPTURE(preset);
      CAPTURE(attention);
      Reformer model(preset_config(preset, attention));
      model.to(test_device());
      model.eval();
      const Tensor tokens = random_tokens({2, 19}, 1);
      Tensor mask = ones({2, 19}, {DType::boolean});
      for (int64_t i = 0; i < 19; ++i) mask.mutable_data<bool>()[i] = false;
      const Tensor logits = model.logits(tokens, {.mask = mask});
      CHECK(all_finite(logits));
      CHECK(same_bits(slice(logits, 0, 1, 2), model.logits(slice(tokens, 0, 1, 2))));
      backward(model.loss(tokens, tokens, {.mask = mask}));
      for (const auto& [name, p] : model.named_parameters()) {
        CHECK_MESSAGE(all_finite(p.grad()), name);
      }
    }
  }
}

TEST_CASE("no rows give no logits, loss 0 and gradients 0") {
  for (const char* preset : presets) {
    CAPTURE(preset);
    Reformer model(preset_config(preset, "local,lsh,full"));
    model.to(test_device());
    const Tensor none = zeros({0, 19}, {DType::i64});
    CHECK(model.logits(none).shape() == Shape{0, 19, 32});
    CHECK(
        model.logits(none, {.mask = ones({0, 19}, {DType::boolean}), .positions = none}).shape() ==
        Shape{0, 19, 32});
    const Tensor loss = model.loss(none, none);
    CHECK(loss.item<double>() == 0);
    backward(loss);
    for (const auto& [name, p] : model.named_parameters()) {
      if (p.grad().defined()) CHECK_MESSAGE(sum(abs(p.grad())).item<double>() == 0, name);
    }
  }
}
