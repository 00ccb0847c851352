#include <doctest/doctest.h>
#include <tenet/models/detail/config_json.h>

#include <array>
#include <nlohmann/json.hpp>

#include "models/scratch_folder.h"

using namespace tenet;
using namespace tenet::detail;
using nlohmann::json;

namespace {

constexpr std::array<std::string_view, 4> valid = {"hidden_size", "num_buckets", "num_hashes",
                                                   "attn_layers"};

}  // namespace

TEST_CASE("edit distance") {
  CHECK(edit_distance("", "") == 0);
  CHECK(edit_distance("abc", "") == 3);
  CHECK(edit_distance("", "ab") == 2);
  CHECK(edit_distance("num_hashs", "num_hashes") == 1);
  CHECK(edit_distance("kitten", "sitting") == 3);
  CHECK(edit_distance("ab", "ba") == 2);
}

TEST_CASE("the nearest key") {
  CHECK(nearest_key("num_hashs", valid) == "num_hashes");
  CHECK(nearest_key("hiden_size", valid) == "hidden_size");
  CHECK(nearest_key("x", {}).empty());
}

TEST_CASE("a misspelt key is an error that names the nearest") {
  const json config = {{"num_hashs", 2}};
  CHECK(error_of([&] { check_keys(config, valid, UnknownKeys::near_is_error); }) ==
        "config: unknown key \"num_hashs\"; did you mean \"num_hashes\"");
  CHECK(check_keys(config, valid, UnknownKeys::keep) == std::vector<std::string>{"num_hashs"});
}

TEST_CASE("a key unlike any other is kept, but not among our own") {
  const json config = {{"output_past", true}, {"num_hashes", 2}, {"model_type", "reformer"}};
  CHECK(check_keys(config, valid, UnknownKeys::near_is_error) ==
        std::vector<std::string>{"model_type", "output_past"});
  constexpr std::array<std::string_view, 2> ours = {"residual", "seed"};
  CHECK(error_of([&] {
          check_keys({{"resid", 1}}, ours, UnknownKeys::error, "tenet.");
        }) == "config: unknown key \"tenet.resid\"; did you mean \"tenet.residual\"");
}

TEST_CASE("a damaged state is said in words") {
  const auto error = [](const std::string& text) {
    const json state = json::parse(text);
    return error_of([&] { get_state<int64_t>(state, "step", "out/state.json", 0); });
  };
  CHECK(error(R"({"step": 3})").empty());
  CHECK(error("{}") == "train: \"out/state.json\" has no \"step\"; the checkpoint is damaged");
  CHECK(error(R"({"step": "3"})") ==
        "train: \"out/state.json\" has \"step\" \"3\", expected an integer; the checkpoint is "
        "damaged");
  CHECK(
      error(R"({"step": -3})") ==
      "train: \"out/state.json\" has \"step\" -3, expected at least 0; the checkpoint is damaged");
}

TEST_CASE("what is wrong with a file is said") {
  const ScratchFolder folder;
  const std::string path = folder / "config.json";
  const auto message = [&](const std::string& text) {
    folder.write("config.json", text);
    return error_of([&] { read_json_object(path); });
  };
  const std::string name = "config: \"" + path + "\"";
  CHECK(error_of([&] { read_json_object(path); }) == name + " does not exist");
  CHECK(error_of([&] { read_json_object(folder.path()); }) ==
        "config: \"" + folder.path() + "\" is a directory; give a file");
  CHECK(message("") == name +
                           " is not JSON at line 1, column 1: "
                           "unexpected end of input; expected '[', '{', or a literal");
  CHECK(message("{\n  \"a\": 1,\n  \"b\": }\n}") ==
        name + " is not JSON at line 3, column 8: unexpected '}'; expected '[', '{', or a literal");
  CHECK(message("}") ==
        name + " is not JSON at line 1, column 1: unexpected '}'; expected '[', '{', or a literal");
  CHECK(message("[1, 2]") == name + " holds array where an object was expected");
  CHECK(message("{\"a\": 1, \"b\": {\"a\": 2}, \"a\": 3}") ==
        "config: key \"a\" appears twice in \"" + path + "\"");
  CHECK(message("{\"a\": {\"b\": 1}, \"c\": [{\"b\": 1}, {\"b\": 2}]}").empty());
}

TEST_CASE("values are read with their type") {
  const json config =
      json::parse(R"({"i": 3, "f": 2.0, "half": 0.5, "s": "x", "b": true, "n": null, "neg": -1,
                                      "big": 10000000000, "list": [1, 2], "words": ["a", "b"], "mixed": [1, "a"]})");
  CHECK(get_or(config, "i", 7) == 3);
  CHECK(get_or(config, "absent", 7) == 7);
  CHECK(get_or(config, "n", 7) == 7);
  CHECK(get_or(config, "f", 7) == 2);
  CHECK(get_or(config, "i", 0.0) == 3.0);
  CHECK(get_or(config, "b", false));
  CHECK(get_or(config, "s", std::string()) == "x");
  CHECK(get_or(config, "big", int64_t{0}) == 10'000'000'000);
  CHECK(get_or(config, "list", std::vector<int64_t>{}) == std::vector<int64_t>{1, 2});
  CHECK(get_or(config, "words", std::vector<std::string>{}) == std::vector<std::string>{"a", "b"});

  CHECK(error_of([&] { get_or(config, "s", 1); }) == "config: \"s\" is \"x\", expected an integer");
  CHECK(error_of([&] { get_or(config, "half", 1); }) ==
        "config: \"half\" is 0.5, expected an integer");
  CHECK(error_of([&] { get_or(config, "big", 1); }) ==
        "config: \"big\" is 10000000000, expected an integer");
  CHECK(error_of([&] { get_or(config, "neg", uint64_t{1}); }) ==
        "config: \"neg\" is -1, expected an integer of at least 0");
  CHECK(error_of([&] { get_or(config, "i", false); }) ==
        "config: \"i\" is 3, expected true or false");
  CHECK(error_of([&] { get_or(config, "mixed", std::vector<int64_t>{}); }) ==
        "config: \"mixed\" is [1,\"a\"], expected a list of integers");
  CHECK(error_of([&] { get_or(config, "list", std::vector<std::string>{}); }) ==
        "config: \"list\" is [1,2], expected a list of strings");
  CHECK(error_of([&] { get_or(config, "b", 0.5); }) == "config: \"b\" is true, expected a number");
}
