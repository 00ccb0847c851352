/// Promise: a model loaded with another number of positions gives the same logits, to the bit,
/// where both have positions, and hashes into as many buckets as before.
#include <tenet/core/grad_mode.h>
#include <tenet/models/checkpoint.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/inplace.h>
#include <tenet/ops/views.h>

#include "byte_model.h"

using namespace tenet;
using namespace tenet::test;

namespace {

const std::string table = "reformer.embeddings.position_embeddings.";

Tensor logits_of(Reformer& model, int64_t length) {
  model.eval();
  const NoGrad scope;
  return model.logits(random_tokens({2, length}, 3));
}

ReformerConfig config_of(bool axial, const char* preset) {
  ReformerConfig config = byte_config(64);  // axial: 8 x 8
  config.axial_pos_embds = axial;
  config.lsh_preset = preset;
  config.num_buckets.clear();
  return config;
}

}  // namespace

TEST_CASE("other positions change nothing where both models have some") {
  for (const char* preset : {"windowed", "hugging_face"}) {
    for (const bool axial : {false, true}) {
      CAPTURE(preset);
      CAPTURE(axial);
      const ScratchFolder folder;
      Reformer model(config_of(axial, preset));
      model.to(test_device());
      save_checkpoint(folder.path(), model, {}, "{}");
      // As a file of Hugging Face may have it: the number of buckets is open.
      folder.write("config.json", config_of(axial, preset).to_json());
      for (const int64_t positions : {16, 40, 64, 72, 200}) {
        CAPTURE(positions);
        const auto other = load_model(folder.path(), {.max_position_embeddings = positions});
        CHECK(other->config().max_position_embeddings == positions);
        CHECK(other->config().num_buckets == model.config().num_buckets);
        const int64_t length = std::min<int64_t>(positions, 64);
        CHECK(same_bits(logits_of(*other, length), logits_of(model, length)));
        CHECK(logits_of(*other, positions).shape() == Shape{2, positions, 258});
        CHECK(error_of([&] { logits_of(*other, positions + 1); }) ==
              fmt::format("reformer: length {} exceeds the model's {} positions", positions + 1,
                          positions));
      }
    }
  }
}

TEST_CASE("new rows are those of a new model") {
  const ScratchFolder folder;
  ReformerConfig config = config_of(false, "windowed");
  Reformer model(config);
  model.to(test_device());
  {
    const NoGrad scope;
    for (auto& [name, p] : model.named_parameters()) fill_(p, 0.25);
  }
  save_checkpoint(folder.path(), model, {}, "{}");
  const Tensor got = load_model(folder.path(), {.max_position_embeddings = 100})
                         ->state_dict()
                         .at(table + "embedding.weight");
  config.max_position_embeddings = 100;
  const Tensor fresh = Reformer(config).state_dict().at(table + "embedding.weight");
  CHECK(got.shape() == Shape{100, 16});
  CHECK(same_bits(slice(got, 0, 0, 64), full({64, 16}, 0.25)));
  CHECK(same_bits(slice(got, 0, 64, 100), slice(fresh, 0, 64, 100)));
}

TEST_CASE("every axial axis can be given") {
  const ScratchFolder folder;
  Reformer model(config_of(true, "windowed"));
  model.to(test_device());
  save_checkpoint(folder.path(), model, {}, "{}");
  const auto other = load_model(folder.path(), {.axial_pos_shape = {5, 16}});
  CHECK(other->config().max_position_embeddings == 80);
  const nn::StateDict was = model.state_dict(), is = other->state_dict();
  CHECK(is.at(table + "weights.0").shape() == Shape{5, 1, 4});
  CHECK(is.at(table + "weights.1").shape() == Shape{1, 16, 12});
  CHECK(same_bits(is.at(table + "weights.0"), slice(was.at(table + "weights.0"), 0, 0, 5)));
  CHECK(same_bits(slice(is.at(table + "weights.1"), 1, 0, 8), was.at(table + "weights.1")));
  // Up to the shorter of the last axes, positions mean the same.
  CHECK(same_bits(logits_of(*other, 8), logits_of(model, 8)));
  CHECK_FALSE(same_bits(logits_of(*other, 9), logits_of(model, 9)));
  CHECK(load_model(folder.path(), {.max_position_embeddings = 70, .axial_pos_shape = {9, 8}})
            ->config()
            .max_position_embeddings == 70);
}

TEST_CASE("positions that cannot be") {
  const ScratchFolder folder;
  Reformer model(config_of(true, "windowed"));
  model.to(test_device());
  save_checkpoint(folder.path(), model, {}, "{}");
  const auto error = [&](const LoadOptions& options) {
    return error_of([&] { load_model(folder.path(), options); });
  };
  CHECK(error({.max_position_embeddings = -1}) == "load: -1 positions; at least 1 are needed");
  CHECK(error({.axial_pos_shape = {64}}) ==
        "load: axial_pos_shape (64) does not fit the model, which has 2 axial axes");
  CHECK(error({.axial_pos_shape = {8, 0}}) == "load: an axial axis of 0 positions");
  CHECK(error({.max_position_embeddings = 65, .axial_pos_shape = {8, 8}}) ==
        "load: axial_pos_shape (8, 8) has 64 positions, 65 are asked for");
  Reformer learned(config_of(false, "windowed"));
  learned.to(test_device());
  save_checkpoint(folder.path(), learned, {}, "{}");
  CHECK(error({.axial_pos_shape = {8, 8}}) ==
        "load: axial_pos_shape (8, 8) does not fit the model, which has 0 axial axes");
}
