#include <tenet/models/compatibility.h>

#include "byte_model.h"

using namespace tenet;
using namespace tenet::test;

using Words = std::vector<std::string>;

TEST_CASE("what transformers cannot express") {
  ReformerConfig config;
  CHECK(beyond_transformers(config).empty());
  config.lsh_preset = "trax", config.hidden_act = "elu", config.evaluation_hashes = 3;
  CHECK(beyond_transformers(config) ==
        Words{"preset trax", "evaluation in 3 rounds", "activation elu"});
  config = new_reformer_config(3, 64, 4, 96, 300);
  config.attn_layers = parse_attention("lsh,full,local", 3);
  CHECK(beyond_transformers(config) ==
        Words{"preset windowed", "exact residual", "full attention", "evaluation in 4 rounds"});
  // What no layer computes is no difference.
  config.attn_layers = parse_attention("full", 3);
  config.residual = "float";
  CHECK(beyond_transformers(config) == Words{"full attention"});
}

TEST_CASE("keys that transformers does not read") {
  const ScratchFolder folder;
  folder.write("config.json",
               R"({"num_hashes": 2, "my_note": 1, "tenet": {"seed": 3, "residual": "float"}})");
  CHECK(keys_beyond_transformers(folder / "config.json") ==
        Words{"tenet.residual", "tenet.seed", "my_note"});
  folder.write("config.json", R"({"vocab_size": 258})");
  CHECK(keys_beyond_transformers(folder / "config.json").empty());
  CHECK(error_of([&] { keys_beyond_transformers(folder / "none.json"); }) ==
        "config: \"" + folder / "none.json" + "\" does not exist");
}
