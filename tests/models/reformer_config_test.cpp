#include <tenet/models/reformer_config.h>

#include <nlohmann/json.hpp>

#include "byte_model.h"

using namespace tenet;
using namespace tenet::test;

namespace {

ReformerConfig read_text(const std::string& text, bool strict = false) {
  const ScratchFolder folder;
  folder.write("config.json", text);
  return read_reformer_config(folder / "config.json", strict);
}

std::string error_in(const std::string& text, bool strict = false) {
  return error_of([&] { read_text(text, strict); });
}

}  // namespace

TEST_CASE("config.json keeps every value") {
  ReformerConfig config = new_reformer_config(3, 64, 4, 96, 300);
  config.attn_layers = parse_attention("lsh,full,local", 3);
  config.hash_seed = 12;
  config.hidden_dropout_prob = 0.125;
  config.seed = 0xffffffffffffffffu;
  config.hidden_act = "gelu";
  CHECK(read_text(config.to_json()).to_json() == config.to_json());
  CHECK(read_text(config.to_json(), true).to_json() == config.to_json());
  config.num_buckets = {8, 16};
  config.hash_seed.reset();
  CHECK(read_text(config.to_json()).num_buckets == std::vector<int64_t>{8, 16});
  CHECK_FALSE(read_text(config.to_json()).hash_seed.has_value());
  CHECK(nlohmann::json::parse(config.to_json()).at("num_hidden_layers") == 3);
  CHECK(nlohmann::json::parse(config.to_json()).at("attn_layers") ==
        nlohmann::json({"lsh", "full", "local"}));
  CHECK(read_text(R"({"num_buckets": 8})").num_buckets == std::vector<int64_t>{8});
}

TEST_CASE("an empty file means Hugging Face's defaults") {
  const ReformerConfig config = read_text("{}");
  CHECK(config.attention_head_size == 64);
  CHECK(config.layers() == 6);
  CHECK(config.attn_layers == parse_attention("local,lsh", 6));
  CHECK(config.axial_pos_embds);
  CHECK(config.axial_pos_shape == std::vector<int64_t>{64, 64});
  CHECK(config.axial_pos_embds_dim == std::vector<int64_t>{64, 192});
  CHECK(config.feed_forward_size == 512);
  CHECK(config.hidden_act == "relu");
  CHECK(config.hidden_dropout_prob == 0.05);
  CHECK(config.hidden_size == 256);
  CHECK_FALSE(config.is_decoder);
  CHECK(config.layer_norm_eps == 1e-12);
  CHECK(config.max_position_embeddings == 4096);
  CHECK(config.num_attention_heads == 12);
  CHECK(config.num_buckets.empty());
  CHECK(config.num_hashes == 1);
  CHECK(config.vocab_size == 320);
  CHECK(config.lsh_preset == "hugging_face");
  CHECK(config.residual == "float");
  CHECK(config.byte_offset == -1);
}

TEST_CASE("the byte offset follows from the vocabulary where the file does not say it") {
  CHECK(read_text(R"({"vocab_size": 256})").byte_offset == 0);
  CHECK(read_text(R"({"vocab_size": 258})").byte_offset == 2);
  CHECK(read_text(R"({"vocab_size": 258, "tenet": {"seed": 1}})").byte_offset == 2);
  CHECK(read_text(R"({"vocab_size": 258, "tenet": {"byte_offset": 1}})").byte_offset == 1);
  CHECK(read_text(R"({"vocab_size": 320})").byte_offset == -1);
  CHECK(read_text(read_text(R"({"vocab_size": 320})").to_json()).byte_offset == -1);
}

TEST_CASE("a new model alternates local and LSH layers") {
  const ReformerConfig config = new_reformer_config(4, 256, 4, 1024, 4096);
  config.validate();
  CHECK(config.attn_layers == parse_attention("local,lsh,local,lsh", 4));
  CHECK(config.attention_head_size == 64);
  CHECK(config.lsh_preset == "windowed");
  CHECK(config.lsh_attn_chunk_length == 64);
  CHECK(config.num_buckets == std::vector<int64_t>{128});
  CHECK(config.num_hashes == 2);
  CHECK(config.evaluation_hashes == 4);
  CHECK(config.residual == "exact");
  CHECK(config.is_decoder);
  CHECK(error_of([] { new_reformer_config(4, 256, 3, 1024, 4096); }) ==
        "config: 3 heads do not divide a width of 256");
  CHECK(error_of([] { new_reformer_config(0, 256, 4, 1024, 4096); }) ==
        "config: \"layers\" is 0, it must be at least 1");
}

TEST_CASE("kinds of attention") {
  using enum AttentionKind;
  CHECK(parse_attention("lsh", 2) == std::vector{lsh, lsh});
  CHECK(parse_attention("lsh,local,full", 5) == std::vector{lsh, local, full, lsh, local});
  CHECK(parse_attention("local,lsh", 1) == std::vector{local});
  CHECK(error_of([] { parse_attention("lsh,loca", 2); }) ==
        "config: attention \"loca\"; use lsh, local or full");
  CHECK(error_of([] { parse_attention("", 2); }) ==
        "config: attention \"\"; use lsh, local or full");
  CHECK(error_of([] { parse_attention("lsh,", 2); }) ==
        "config: attention \"\"; use lsh, local or full");
}

TEST_CASE("buckets and axial shapes for any length") {
  for (int64_t length = 1; length <= 1000000; length += 1 + length / 7) {
    CAPTURE(length);
    for (int64_t chunk : {1, 8, 64, 1000}) {
      int64_t product = 1;
      for (int64_t factor : num_buckets_for(length, chunk)) {
        CHECK(factor >= 2);
        CHECK(factor % 2 == 0);
        product *= factor;
      }
      const double wanted =
          std::max(2.0, 2.0 * static_cast<double>(length) / static_cast<double>(chunk));
      CHECK(static_cast<double>(product) <= wanted * 1.4143);
      CHECK(static_cast<double>(product) >= wanted / 1.4143);
    }
    const std::vector<int64_t> shape = axial_shape_for(length);
    REQUIRE(shape.size() == 2);
    CHECK(shape[0] * shape[1] >= length);
    CHECK((shape[0] - 1) * shape[1] < length);
    CHECK(shape[0] <= shape[1]);
  }
  CHECK(num_buckets_for(4096, 64) == std::vector<int64_t>{128});
  CHECK(num_buckets_for(8192, 64) == std::vector<int64_t>{16, 16});
  CHECK(axial_shape_for(4096) == std::vector<int64_t>{64, 64});
}

TEST_CASE("a misspelt key is an error with the nearest valid one") {
  CHECK(error_in(R"({"num_hashs": 2})", true) ==
        "config: unknown key \"num_hashs\"; did you mean \"num_hashes\"");
  CHECK(error_in(R"({"hiden_size": 2})", true) ==
        "config: unknown key \"hiden_size\"; did you mean \"hidden_size\"");
  CHECK(error_in(R"({"num_hashs": 2})").empty());
  CHECK(error_in(R"({"my_own_note": 2})", true).empty());
  for (bool strict : {false, true}) {
    CHECK(error_in(R"({"tenet": {"residuals": "exact"}})", strict) ==
          "config: unknown key \"tenet.residuals\"; did you mean \"tenet.residual\"");
  }
  CHECK(error_in(R"({"tenet": 3})") == "config: \"tenet\" is no object");
}

TEST_CASE("values that cannot be") {
  CHECK(error_in(R"({"num_hashes": 0})") == "config: \"num_hashes\" is 0, it must be at least 1");
  CHECK(error_in(R"({"num_hashes": "two"})") ==
        "config: \"num_hashes\" is \"two\", expected an integer");
  CHECK(error_in(R"({"hidden_dropout_prob": 1})") ==
        "config: \"hidden_dropout_prob\" is 1, it must be in [0, 1)");
  CHECK(error_in(R"({"num_buckets": [4, 3]})") ==
        "config: \"num_buckets\" has the factor 3, it must be even");
  CHECK(error_in(R"({"num_buckets": "two"})") ==
        "config: \"num_buckets\" is \"two\", expected an integer");
  CHECK(error_in(R"({"num_buckets": [2, "two"]})") ==
        "config: \"num_buckets\" is [2,\"two\"], expected a list of integers");
  CHECK(read_text(R"({"num_buckets": 4.0})").num_buckets == std::vector<int64_t>{4});
  CHECK(error_in(R"({"model_type": "bert"})") ==
        "config: \"model_type\" is \"bert\", not \"reformer\"");
  CHECK(error_in(R"({"num_hidden_layers": 3})") ==
        "config: \"num_hidden_layers\" is 3, \"attn_layers\" has 6");
  CHECK(error_in(R"({"layer_norm_eps": -1})") ==
        "config: \"layer_norm_eps\" is -1, it must not be negative");
  CHECK(error_in(R"({"lsh_num_chunks_before": -1})") ==
        "config: \"lsh_num_chunks_before\" is -1, it must not be negative");
  CHECK(error_in(R"({"local_attn_chunk_length": 2147483648})") ==
        "config: a chunk of 2147483648 positions; at most 2147483647 are possible");
  CHECK(error_in(R"({"attn_layers": "lsh"})") ==
        "config: \"attn_layers\" is \"lsh\", expected a list of strings");
  CHECK(error_in(R"({"attn_layers": []})") == "config: \"attn_layers\" is empty");
  CHECK(error_in(R"({"attn_layers": ["lhs"]})") ==
        "config: attention \"lhs\"; use lsh, local or full");
  CHECK(error_in(R"({"hidden_size": 128})") ==
        "config: \"axial_pos_embds_dim\" adds up to 256, \"hidden_size\" is 128");
  CHECK(error_in(R"({"axial_pos_shape": [1099511627776, 1099511627776]})") ==
        "config: \"axial_pos_shape\" (1099511627776, 1099511627776) has too many positions");
  CHECK(error_in(R"({"axial_pos_shape": [64]})") ==
        "config: \"axial_pos_shape\" has 1 axes, \"axial_pos_embds_dim\" 2");
  CHECK(error_in(R"({"tenet": {"residual": "fixed"}})") ==
        "config: \"tenet.residual\" is \"fixed\"; use \"exact\" or \"float\"");
  CHECK(error_in(R"({"tenet": {"fraction_bits": 30}})") ==
        "config: \"tenet.fraction_bits\" is 30, not in 1..29");
  CHECK(error_in(R"({"tenet": {"byte_offset": -2}})") ==
        "config: \"tenet.byte_offset\" is -2, it must be at least 0, or -1 if tokens are no bytes");
  CHECK(error_in(R"({"tie_word_embeddings": true})") ==
        "config: \"tie_word_embeddings\" is true; the head is twice as wide as the embedding, so "
        "the two cannot share weights");
  CHECK(error_in(R"({"tenet": {"lsh_preset": "sorted"}})") ==
        "attention preset: \"sorted\"; use windowed, paper, trax, hugging_face");
  CHECK(error_in(R"({"is_decoder": true, "lsh_num_chunks_after": 1})") ==
        "config: \"is_decoder\" is true and \"lsh_num_chunks_after\" 1; it must be 0");
}
