/// Reading config.json and state.json: what is wrong in them is said in words, and a misspelt key
/// of a configuration gets the nearest valid one.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tenet::detail {

/// Reads a file that must hold one JSON object.
/// Error: missing, unreadable, not JSON (with line and column), not an object, a key given twice.
nlohmann::json read_json_object(const std::string& path);

/// Levenshtein distance: insertions, deletions and substitutions of single bytes.
int edit_distance(std::string_view a, std::string_view b);

/// The valid key with the fewest edits to `key`, the first of equals; empty if there is no valid
/// key.
std::string_view nearest_key(std::string_view key, std::span<const std::string_view> valid);

/// What becomes of a key that is not valid.
enum class UnknownKeys {
  keep,           // a file from elsewhere: returned to the caller
  near_is_error,  // a file a person wrote: within two edits of a valid key it is an error, else
                  // returned
  error,          // a part that is all ours
};

/// The keys of `object` that are not valid, in order. `path` is put before a key in messages, as in
/// "tenet.". Error: `config: unknown key "num_hashs"; did you mean "num_hashes"`.
std::vector<std::string> check_keys(const nlohmann::json& object,
                                    std::span<const std::string_view> valid, UnknownKeys policy,
                                    std::string_view path = "");

/// object[key] as T, or `fallback` if it is absent or null. T: bool, int, int64_t, uint64_t,
/// double, std::string, or a vector of int64_t or std::string. Error: `config: "num_hashes" is
/// "two", expected an integer`.
template <class T>
T get_or(const nlohmann::json& object, std::string_view key, const T& fallback);

/// state[key] of the state.json at `path`, as a T of at least `least`: int64_t, uint64_t or double.
/// Error: `train: "out/state.json" has no "step"; the checkpoint is damaged`; another type; too
/// small.
template <class T>
T get_state(const nlohmann::json& state, std::string_view key, const std::string& path, T least);

}  // namespace tenet::detail
