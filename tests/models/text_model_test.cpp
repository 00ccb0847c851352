#include <tenet/core/grad_mode.h>
#include <tenet/models/generation.h>
#include <tenet/models/text_model.h>
#include <tenet/ops/views.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "byte_model.h"

using namespace tenet;
using namespace tenet::test;

namespace {

std::span<const uint8_t> as_bytes(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

std::string continuation(Reformer& model, const std::string& prompt, GenerationOptions options,
                         uint64_t seed = 1) {
  Generator generator(seed);
  std::string text;
  generate(model, prompt, options, generator, [&](char byte) { text += byte; });
  return text;
}

/// The logits of every position of `text`, (L, V), in evaluation mode.
std::vector<std::vector<double>> logits_of(Reformer& model, const std::string& text) {
  std::vector<int64_t> tokens;
  for (uint8_t byte : as_bytes(text)) tokens.push_back(byte + model.config().byte_offset);
  const NoGrad scope;
  model.eval();
  const Tensor logits = model.logits(from_vector(tokens, {1, std::ssize(tokens)}));
  std::vector<std::vector<double>> rows;
  for (int64_t i = 0; i < logits.size(1); ++i) {
    rows.push_back(select(select(logits, 0, 0), 0, i).to_vector<double>());
  }
  return rows;
}

/// -log2 of the probability of `token`.
double bits(const std::vector<double>& logits, int64_t token) {
  const double top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (double x : logits) sum += std::exp(x - top);
  return (std::log(sum) + top - logits[static_cast<size_t>(token)]) / std::log(2.0);
}

}  // namespace

TEST_CASE("evaluate scores every byte but the first") {
  Reformer model(byte_config());
  model.to(test_device());
  const std::string text = some_text().substr(0, 75);  // windows of 32, 32 and 10
  double sum = 0;
  for (size_t begin = 0; begin + 1 < text.size(); begin += 32) {
    const std::string window = text.substr(begin, 33);
    const auto logits = logits_of(model, window.substr(0, window.size() - 1));
    for (size_t i = 0; i + 1 < window.size(); ++i) {
      sum += bits(logits[i], static_cast<uint8_t>(window[i + 1]) + 2);
    }
  }
  std::vector<double> shares;
  const TextScore one =
      evaluate(model, as_bytes(text), 32, 1, [&](double x) { shares.push_back(x); });
  CHECK(one.bytes == 74);
  CHECK(one.bits_per_byte == doctest::Approx(sum / 74).epsilon(1e-5));
  CHECK(shares.size() == 3);
  CHECK(shares.back() == 1.0);
  const TextScore two = evaluate(model, as_bytes(text), 32, 2);
  CHECK(two.bytes == 74);
  CHECK(two.bits_per_byte == doctest::Approx(one.bits_per_byte).epsilon(1e-6));
}

TEST_CASE("evaluate and generate leave the training flag as it was") {
  Reformer model(byte_config());
  model.to(test_device());
  const std::string text = some_text().substr(0, 40);
  for (bool training : {true, false}) {
    model.train(training);
    evaluate(model, as_bytes(text), 32);
    CHECK(model.training() == training);
    continuation(model, "a", {.tokens = 1});
    CHECK(model.training() == training);
    CHECK_THROWS_AS(evaluate(model, as_bytes(text), 64), Error);
    CHECK(model.training() == training);
  }
}

TEST_CASE("greedy generation takes the most probable byte of the teacher-forced logits") {
  Reformer model(byte_config());
  model.to(test_device());
  const std::string prompt = "quick";
  const std::string text = continuation(model, prompt, {.tokens = 20, .temperature = 0});
  REQUIRE(text.size() == 20);
  const auto logits = logits_of(model, prompt + text);
  for (size_t i = 0; i < text.size(); ++i) {
    const auto& row = logits[prompt.size() - 1 + i];
    const auto best = std::max_element(row.begin() + 2, row.end()) - row.begin();
    CHECK(best - 2 == static_cast<uint8_t>(text[i]));
  }
  CHECK(continuation(model, prompt, {.tokens = 20, .top_k = 1}) == text);
  CHECK(continuation(model, prompt, {.tokens = 20, .top_p = 1e-9}) == text);
}

TEST_CASE("generation is a function of the seed") {
  Reformer model(byte_config());
  model.to(test_device());
  const GenerationOptions options{.tokens = 20};
  CHECK(continuation(model, "a", options, 1) == continuation(model, "a", options, 1));
  CHECK(continuation(model, "a", options, 1) != continuation(model, "a", options, 2));
  CHECK(continuation(model, "a", {.tokens = 0}).empty());
}

TEST_CASE("prompts and options that cannot be") {
  Reformer model(byte_config());
  model.to(test_device());
  const auto error = [&](const std::string& prompt, GenerationOptions options) {
    return error_of([&] { continuation(model, prompt, options); });
  };
  CHECK(error("", {}) == "generate: the prompt is empty; give at least one character");
  CHECK(error(std::string(32, 'x'), {.tokens = 1}) ==
        "generate: the prompt has 32 bytes, the model 32 positions; shorten it");
  CHECK(error("four", {.tokens = 29}) ==
        "generate: 4 prompt bytes and 29 new tokens exceed the model's 32 positions; give --tokens "
        "28 at most");
  CHECK(error("four", {.tokens = std::numeric_limits<int64_t>::max()})
            .ends_with("exceed the model's 32 positions; give --tokens 28 at most"));
  CHECK(error("four", {.tokens = -1}) == "generate: --tokens is -1; it must not be negative");
  CHECK(error("a", {.tokens = 1, .temperature = -1}) == "generate: temperature -1 is negative");
  CHECK(error("a", {.tokens = 1, .temperature = NAN}) ==
        "generate: temperature nan is not a number");
  CHECK(error("a", {.tokens = 1, .top_k = -1}) == "generate: top-k -1 is negative");
  CHECK(error("a", {.tokens = 1, .top_p = 0}) == "generate: top-p 0 is not in (0, 1]");
  CHECK(error("a", {.tokens = 1, .top_p = 1.5}) == "generate: top-p 1.5 is not in (0, 1]");
  CHECK(continuation(model, "four", {.tokens = 28}).size() == 28);
}

TEST_CASE("a model that does not predict bytes is neither scored nor continued") {
  const auto errors_of = [](auto&& change) {
    ReformerConfig config = byte_config();
    change(config);
    Reformer model(config);
    model.to(test_device());
    const std::string text = some_text().substr(0, 40);
    return std::pair(error_of([&] { evaluate(model, as_bytes(text), 32); }),
                     error_of([&] { continuation(model, "a", {.tokens = 1}); }));
  };
  const std::string sees =
      ": \"is_decoder\" is false, so the model sees the bytes that it predicts; set \"is_decoder\" "
      "to true in config.json";
  CHECK(errors_of([](ReformerConfig& c) { c.is_decoder = false; }) ==
        std::pair("eval" + sees, "generate" + sees));
  const std::string small =
      ": \"vocab_size\" is 257, too few for 256 bytes from \"tenet.byte_offset\" 2 on; set "
      "\"vocab_size\" to at least 256 more than that";
  CHECK(errors_of([](ReformerConfig& c) { c.vocab_size = 257; }) ==
        std::pair("eval" + small, "generate" + small));
}

TEST_CASE("logits and losses that are not finite are errors") {
  ReformerConfig config = byte_config();
  config.residual = "float";
  Reformer model(config);
  model.to(test_device());
  for (auto& [name, parameter] : model.named_parameters()) {
    if (name == "lm_head.bias") parameter.mutable_data<float>()[100] = NAN;
  }
  const std::string text = some_text().substr(0, 40);
  CHECK(error_of([&] { evaluate(model, as_bytes(text), 32); }) ==
        "eval: the loss is nan after 0 bytes; train with a lower --lr");
  CHECK(error_of([&] { continuation(model, "a", {.tokens = 1}); }) ==
        "generate: a logit is nan; train with a lower --lr");
}

TEST_CASE("sample draws bytes only") {
  std::vector<float> x(300, 0.0f);
  x[1] = x[258] = x[299] = 100;  // one below and two above the bytes 2..257
  x[257] = 5;
  Generator generator(3);
  const Tensor logits = from_vector(x, {300});
  CHECK(sample(logits, {.temperature = 0, .range = {2, 256}}, generator) == 257);
  for (int i = 0; i < 2000; ++i) {
    const int64_t token = sample(logits, {.range = {2, 256}}, generator);
    CHECK((token >= 2 && token <= 257));
  }
}

TEST_CASE("sample draws from the softmax, cut to top-k and top-p") {
  const std::vector<float> p{0.9f, 0.04f, 0.5f, 0.3f, 0.15f, 0.05f};
  std::vector<float> x;
  for (float value : p) x.push_back(std::log(value));
  const Tensor logits = from_vector(x, {6});
  const auto shares = [&](GenerationOptions options) {
    options.range = {2, 4};
    Generator generator(3);
    std::vector<double> count(6);
    for (int i = 0; i < 20000; ++i)
      count[static_cast<size_t>(sample(logits, options, generator))] += 1 / 20000.0;
    return count;
  };
  const auto close = [](const std::vector<double>& a, const std::vector<double>& b) {
    for (size_t i = 0; i < a.size(); ++i) CHECK(std::abs(a[i] - b[i]) < 0.015);
  };
  close(shares({}), {0, 0, 0.5, 0.3, 0.15, 0.05});
  close(shares({.top_k = 2}), {0, 0, 0.625, 0.375, 0, 0});
  close(shares({.top_p = 0.75}), {0, 0, 0.625, 0.375, 0, 0});
  close(shares({.top_p = 0.4}), {0, 0, 1, 0, 0, 0});
  const double cold = 0.25 + 0.09 + 0.0225 + 0.0025;  // squares at temperature 1/2
  close(shares({.temperature = 0.5}),
        {0, 0, 0.25 / cold, 0.09 / cold, 0.0225 / cold, 0.0025 / cold});
  close(shares({.temperature = 0}), {0, 0, 1, 0, 0, 0});
  close(shares({.top_k = 100}), {0, 0, 0.5, 0.3, 0.15, 0.05});
}
