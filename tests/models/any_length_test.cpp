/// Promise: every length trains, in every preset; padding and the other rows of a batch change
/// nothing of a row, to the bit, and get no gradient.
#include <tenet/ops/concatenate.h>
#include <tenet/ops/cross_entropy.h>
#include <tenet/ops/index.h>
#include <tenet/ops/views.h>

#include <algorithm>

#include "small_reformer.h"

using namespace tenet;
using namespace tenet::test;

namespace {

/// What one training step on rows (B, L) gives.
struct Trained {
  Tensor loss, logits;
  Tensor embedded;  // the gradient of the embedding output, (B, L, D)
};

Trained train_on(Reformer& model, const Tensor& tokens, const Tensor& targets,
                 const Tensor& mask = {}) {
  default_generator() = Generator(3);
  model.train();
  model.clear_grad();
  Tensor embedded;
  ReformerCall call{.mask = mask};
  call.observe = [&](const std::string& name, const Tensor& value) {
    if (name != "emb") return;
    embedded = value;
    embedded.retain_grad();
  };
  Trained result;
  result.loss = model.loss(tokens, targets, call);
  backward(result.loss);
  result.embedded = embedded.grad();
  default_generator() = Generator(3);
  result.logits = model.logits(tokens, {.mask = mask}).detach();
  return result;
}

struct Batch {
  Tensor tokens, targets;
};

Batch random_batch(int64_t rows, int64_t length) {
  const auto seed = static_cast<uint64_t>(length);
  return {random_tokens({rows, length}, seed), random_tokens({rows, length}, seed + 1000)};
}

/// The batch with `more` tokens behind each row that are not in use.
Trained train_padded(Reformer& model, const Batch& batch, int64_t more, int64_t token) {
  const Tensor used = ones(batch.tokens.shape(), {DType::boolean, test_device()});
  return train_on(model, pad(batch.tokens, 1, 0, more, token), pad(batch.targets, 1, 0, more, -100),
                  pad(used, 1, 0, more, 0));
}

bool all_zero(const Tensor& x) {
  const std::vector<float> values = x.to_vector<float>();
  return std::all_of(values.begin(), values.end(), [](float value) { return value == 0; });
}

/// Whether padding changes nothing of a training step.
void check_padding(Reformer& model, const Batch& batch, const Trained& plain, int64_t more) {
  const int64_t length = batch.tokens.size(1);
  const Trained padded = train_padded(model, batch, more, 5);
  CHECK(same_bits(padded.loss, plain.loss));
  CHECK(same_bits(slice(padded.logits, 1, 0, length), plain.logits));
  CHECK(same_bits(slice(padded.embedded, 1, 0, length), plain.embedded));
  CHECK(all_zero(slice(padded.embedded, 1, length, length + more)));
}

/// Whether each row is what it is in another order, and alone.
void check_rows(Reformer& model, const Batch& batch, const Trained& plain) {
  const Tensor order = from_vector<int64_t>({2, 0, 1}, {3}, {DType::i64, test_device()});
  const auto turned = [&](const Tensor& x) { return index_select(x, 0, order); };
  const Trained other = train_on(model, turned(batch.tokens), turned(batch.targets));
  CHECK(same_bits(other.logits, turned(plain.logits)));
  CHECK(same_bits(other.embedded, turned(plain.embedded)));
  const auto row = [](const Tensor& x) { return slice(x, 0, 1, 2); };
  const Trained alone = train_on(model, row(batch.tokens), row(batch.targets));
  CHECK(same_bits(alone.logits, row(plain.logits)));
}

void check_lengths(const std::vector<int64_t>& lengths) {
  for (const char* attention : {"lsh", "local", "full"}) {
    Reformer model(small_config({.attention = attention, .length = 400}));
    model.to(test_device());
    for (const int64_t length : lengths) {
      CAPTURE(attention);
      CAPTURE(length);
      const Batch batch = random_batch(3, length);
      const Trained plain = train_on(model, batch.tokens, batch.targets);
      for (const int64_t more : {int64_t{1}, 7 + length % 13, int64_t{64}}) {
        check_padding(model, batch, plain, more);
      }
      check_rows(model, batch, plain);
    }
  }
}

/// Of presets with chunks: the step equals that of a batch which its user pads.
void check_chunked_lengths(const std::vector<int64_t>& lengths) {
  for (const char* preset : {"hugging_face", "trax", "paper"}) {
    ReformerConfig config = small_config({.attention = "local,lsh", .length = 336});
    config.lsh_preset = preset, config.residual = "float", config.pad_token_id = 3;
    config.local_attn_chunk_length = 6, config.lsh_attn_chunk_length = 8;
    config.max_position_embeddings = 336, config.axial_pos_shape = {14, 24};
    Reformer model(config);
    model.to(test_device());
    for (const int64_t length : lengths) {
      CAPTURE(preset);
      CAPTURE(length);
      const Batch batch = random_batch(2, length);
      const Trained plain = train_on(model, batch.tokens, batch.targets);
      const int64_t padded = length <= 6 ? length : (length + 23) / 24 * 24;
      const Trained by_user = train_padded(model, batch, padded - length, 3);
      CHECK(same_bits(plain.loss, by_user.loss));
      CHECK(same_bits(plain.logits, slice(by_user.logits, 1, 0, length)));
      CHECK(same_bits(plain.embedded, by_user.embedded));
    }
  }
}

}  // namespace

TEST_CASE("padding and other rows change nothing of a training step") {
  std::vector<int64_t> lengths = range(1, 20);
  for (const int64_t length : {31, 32, 33, 64, 127, 200}) lengths.push_back(length);
  check_lengths(lengths);
}

TEST_CASE("padding and other rows change nothing of a training step, every length to 300" *
          doctest::test_suite("slow")) {
  check_lengths(range(1, 300));
}

TEST_CASE("presets with chunks train at every length as if padded by hand") {
  std::vector<int64_t> lengths = range(1, 30);
  for (const int64_t length : {47, 48, 49, 100, 239, 300}) lengths.push_back(length);
  check_chunked_lengths(lengths);
}

TEST_CASE("presets with chunks train at every length to 300 as if padded by hand" *
          doctest::test_suite("slow")) {
  check_chunked_lengths(range(1, 300));
}

TEST_CASE("rows of any length in one batch are what they are alone") {
  Reformer model(small_config({.attention = "local,lsh,full", .layers = 3, .length = 100}));
  model.to(test_device());
  const std::vector<int64_t> lengths{1, 100, 37};
  const Batch batch = random_batch(3, 100);
  std::vector<uint8_t> used;
  for (const int64_t length : lengths) {
    for (int64_t i = 0; i < 100; ++i) used.push_back(i < length);
  }
  const Tensor mask = from_vector(used, {3, 100}, {DType::boolean, test_device()});
  const Trained together = train_on(model, batch.tokens, batch.targets, mask);
  for (int64_t b = 0; b < 3; ++b) {
    const auto part = [&](const Tensor& x) {
      return slice(slice(x, 0, b, b + 1), 1, 0, lengths[static_cast<size_t>(b)]);
    };
    const Trained alone = train_on(model, part(batch.tokens), part(batch.targets));
    CHECK(same_bits(alone.logits, part(together.logits)));
  }
}
