/// Promise: byte_scores() gives every byte but the first once, under the window that its rule
/// names; evaluate() is its case without overlap.
#include <tenet/models/byte_score.h>

#include <limits>

#include "byte_model.h"

using namespace tenet;
using namespace tenet::test;

namespace {

std::span<const uint8_t> as_bytes(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

struct Scored {
  TextScore score;
  std::vector<ByteScore> bytes;
};

Scored scores(Reformer& model, const std::string& text, const ByteScoreOptions& options = {}) {
  Scored result;
  result.score = byte_scores(model, as_bytes(text), options,
                             [&](const ByteScore& b) { result.bytes.push_back(b); });
  return result;
}

}  // namespace

TEST_CASE("a byte is scored in the window that reaches it first") {
  Reformer model(byte_config(32));
  model.to(test_device());
  const std::string text = some_text().substr(0, 90);
  for (const auto& [length, overlap] :
       {std::pair(32, 16), std::pair(9, 4), std::pair(9, 8), std::pair(32, 0), std::pair(1, 0)}) {
    CAPTURE(length);
    const Scored all = scores(model, text, {length, overlap});
    CHECK(all.score.bytes == 89);
    REQUIRE(all.bytes.size() == 89);
    double sum = 0;
    for (int64_t i = 1; i < 90; ++i) {
      // The first window that reaches byte i begins at a multiple of the step.
      const int64_t step = length - overlap;
      const int64_t first = i <= length ? 0 : (i - length + step - 1) / step * step;
      const ByteScore& one = all.bytes[static_cast<size_t>(i) - 1];
      CHECK(one.position == i);
      CHECK(one.byte == static_cast<uint8_t>(text[static_cast<size_t>(i)]));
      // A windowed model is causal: what follows byte i in the window changes nothing.
      const std::string seen =
          text.substr(static_cast<size_t>(first), static_cast<size_t>(i - first + 1));
      CHECK(one.bits == doctest::Approx(scores(model, seen).bytes.back().bits).epsilon(1e-6));
      sum += one.bits;
    }
    CHECK(all.score.bits_per_byte == doctest::Approx(sum / 89).epsilon(1e-12));
  }
}

TEST_CASE("the mean is that of evaluate") {
  for (const char* preset : {"windowed", "hugging_face"}) {
    ReformerConfig config = byte_config(32);
    config.lsh_preset = preset;
    Reformer model(config);
    model.to(test_device());
    const std::string text = some_text().substr(0, 101);
    const TextScore whole = evaluate(model, as_bytes(text), 32);
    CHECK(scores(model, text, {.overlap = 0}).score.bits_per_byte ==
          doctest::Approx(whole.bits_per_byte).epsilon(1e-6));
    CHECK(scores(model, text.substr(0, 33)).score.bits_per_byte ==
          doctest::Approx(evaluate(model, as_bytes(text.substr(0, 33)), 32).bits_per_byte)
              .epsilon(1e-6));
  }
}

TEST_CASE("any length, and positions that are no multiple of the chunks") {
  ReformerConfig config = byte_config(64);
  config.lsh_preset = "hugging_face";
  config.max_position_embeddings = 37;  // chunks of 8: windows of 32
  Reformer model(config);
  model.to(test_device());
  for (size_t length = 1; length < 80; length += 1 + length / 7) {
    const Scored all = scores(model, some_text().substr(0, length));
    CHECK(all.score.bytes == static_cast<int64_t>(length) - 1);
    CHECK(all.bytes.size() == length - 1);
  }
  CHECK(scores(model, "x").score.bits_per_byte == 0);
}

TEST_CASE("errors of byte_scores") {
  Reformer model(byte_config(32));
  model.to(test_device());
  const auto error = [&](const std::string& text, const ByteScoreOptions& options) {
    return error_of([&] { scores(model, text, options); });
  };
  CHECK(error("", {}) == "score: the text is empty");
  CHECK(error("ab", {.length = 33}) == "score: length 33 is not in 1..32, the positions");
  CHECK(error("ab", {.length = -1}) == "score: length -1 is not in 1..32, the positions");
  CHECK(error("ab", {.length = 8, .overlap = 8}) ==
        "score: overlap 8 is not in 0..7, below the length");
  ReformerConfig config = byte_config(32);
  config.is_decoder = false;
  Reformer encoder(config);
  encoder.to(test_device());
  CHECK(error_of([&] { scores(encoder, "ab"); }) ==
        "score: \"is_decoder\" is false, so the model sees the bytes that it predicts; set "
        "\"is_decoder\" to true in config.json");
  config = byte_config(32);
  config.vocab_size = 320, config.byte_offset = -1;
  Reformer words(config);
  words.to(test_device());
  CHECK(error_of([&] { scores(words, "ab"); }) ==
        "score: a vocabulary of 320 without \"tenet.byte_offset\" is not known to be bytes; if a "
        "token is a byte + n, set it to n in config.json");
  for (auto& [name, parameter] : model.named_parameters()) {
    if (name == "lm_head.bias")
      parameter.mutable_data<float>()['b' + 2] = -std::numeric_limits<float>::infinity();
  }
  CHECK(error("aab", {}) == "score: the byte at 2 has inf bits; the model is damaged");
}
