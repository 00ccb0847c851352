#include <tenet/core/error.h>
#include <tenet/models/detail/config_json.h>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

namespace tenet::detail {
namespace {

using nlohmann::json;

std::string read_config_file(const std::string& path) {
  std::error_code error;
  const auto type = std::filesystem::status(path, error).type();
  check(type != std::filesystem::file_type::none, "config: cannot read \"{}\": {}", path,
        error.message());
  check(type != std::filesystem::file_type::not_found, "config: \"{}\" does not exist", path);
  check(type != std::filesystem::file_type::directory, "config: \"{}\" is a directory; give a file",
        path);
  std::ifstream file(path, std::ios::binary);
  check(file.is_open(), "config: cannot read \"{}\"", path);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Error with line and column (both from 1) of the byte at which the parser stopped, and its
/// reason.
[[noreturn]] void fail_to_parse(const std::string& path, const std::string& text,
                                const json::parse_error& error) {
  const size_t end = std::min(error.byte > 0 ? error.byte - 1 : 0, text.size());
  const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<int64_t>(end), '\n');
  const size_t line_start = end == 0 ? std::string::npos : text.rfind('\n', end - 1);
  const size_t column = end - (line_start == std::string::npos ? 0 : line_start + 1) + 1;
  const std::string reason = error.what();
  const size_t cut = reason.find(" - ");
  fail("config: \"{}\" is not JSON at line {}, column {}: {}", path, line, column,
       cut == std::string::npos ? "unexpected text" : reason.substr(cut + 3));
}

template <class T>
constexpr const char* description() {
  if constexpr (std::same_as<T, bool>)
    return "true or false";
  else if constexpr (std::unsigned_integral<T>)
    return "an integer of at least 0";
  else if constexpr (std::integral<T>)
    return "an integer";
  else if constexpr (std::floating_point<T>)
    return "a number";
  else if constexpr (std::same_as<T, std::string>)
    return "a string";
  else if constexpr (std::same_as<T, std::vector<std::string>>)
    return "a list of strings";
  else
    return "a list of integers";
}

/// Whether the value is a T without loss. A whole number written as 4.0 counts as an integer.
template <class T>
bool holds(const json& value) {
  if constexpr (std::same_as<T, bool>) {
    return value.is_boolean();
  } else if constexpr (std::integral<T>) {
    using Limits = std::numeric_limits<T>;
    if (value.is_number_unsigned())
      return value.get<uint64_t>() <= static_cast<uint64_t>(Limits::max());
    if (value.is_number_integer()) return std::in_range<T>(value.get<int64_t>());
    const double x = value.is_number_float() ? value.get<double>() : 0.5;
    return std::floor(x) == x && std::abs(x) <= 0x1p53 && x >= static_cast<double>(Limits::min()) &&
           x <= static_cast<double>(Limits::max());
  } else if constexpr (std::floating_point<T>) {
    return value.is_number();
  } else if constexpr (std::same_as<T, std::string>) {
    return value.is_string();
  } else {
    return value.is_array() &&
           std::all_of(value.begin(), value.end(), holds<typename T::value_type>);
  }
}

}  // namespace

json read_json_object(const std::string& path) {
  const std::string text = read_config_file(path);
  std::vector<std::set<std::string>> seen;
  const auto note_keys = [&](int, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::object_start) seen.emplace_back();
    if (event == json::parse_event_t::object_end) seen.pop_back();
    if (event == json::parse_event_t::key)
      check(seen.back().insert(parsed.get<std::string>()).second,
            "config: key {} appears twice in \"{}\"", parsed.dump(), path);
    return true;
  };
  json object;
  try {
    object = json::parse(text, note_keys);
  } catch (const json::parse_error& error) {
    fail_to_parse(path, text, error);
  } catch (const json::out_of_range& error) {
    const std::string reason = error.what();
    fail("config: \"{}\" has a number out of range: {}", path,
         reason.substr(reason.find("] ") + 2));
  }
  check(object.is_object(), "config: \"{}\" holds {} where an object was expected", path,
        object.type_name());
  return object;
}

int edit_distance(std::string_view a, std::string_view b) {
  std::vector<int> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 0; i < a.size(); ++i) {
    int diagonal = std::exchange(row[0], static_cast<int>(i) + 1);
    for (size_t j = 0; j < b.size(); ++j) {
      const int substituted = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({substituted, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

std::string_view nearest_key(std::string_view key, std::span<const std::string_view> valid) {
  const auto nearer = [&](std::string_view a, std::string_view b) {
    return edit_distance(key, a) < edit_distance(key, b);
  };
  const auto nearest = std::min_element(valid.begin(), valid.end(), nearer);
  return nearest == valid.end() ? std::string_view() : *nearest;
}

std::vector<std::string> check_keys(const json& object, std::span<const std::string_view> valid,
                                    UnknownKeys policy, std::string_view path) {
  std::vector<std::string> unknown;
  for (const auto& [key, value] : object.items()) {
    if (std::find(valid.begin(), valid.end(), key) != valid.end()) continue;
    const std::string_view nearest = nearest_key(key, valid);
    const bool is_error = policy == UnknownKeys::error || (policy == UnknownKeys::near_is_error &&
                                                           edit_distance(key, nearest) <= 2);
    check(!is_error, "config: unknown key \"{}{}\"; did you mean \"{}{}\"", path, key, path,
          nearest);
    unknown.push_back(key);
  }
  return unknown;
}

template <class T>
T get_or(const json& object, std::string_view key, const T& fallback) {
  const auto found = object.find(std::string(key));
  if (found == object.end() || found->is_null()) return fallback;
  check(holds<T>(*found), "config: \"{}\" is {}, expected {}", key, found->dump(),
        description<T>());
  return found->template get<T>();
}

template bool get_or(const json&, std::string_view, const bool&);
template int get_or(const json&, std::string_view, const int&);
template int64_t get_or(const json&, std::string_view, const int64_t&);
template uint64_t get_or(const json&, std::string_view, const uint64_t&);
template double get_or(const json&, std::string_view, const double&);
template std::string get_or(const json&, std::string_view, const std::string&);
template std::vector<int64_t> get_or(const json&, std::string_view, const std::vector<int64_t>&);
template std::vector<std::string> get_or(const json&, std::string_view,
                                         const std::vector<std::string>&);

template <class T>
T get_state(const json& state, std::string_view key, const std::string& path, T least) {
  const auto found = state.find(std::string(key));
  check(found != state.end() && !found->is_null(),
        "train: \"{}\" has no \"{}\"; the checkpoint is damaged", path, key);
  check(holds<T>(*found), "train: \"{}\" has \"{}\" {}, expected {}; the checkpoint is damaged",
        path, key, found->dump(), description<T>());
  const T value = found->template get<T>();
  check(value >= least,
        "train: \"{}\" has \"{}\" {}, expected at least {}; the checkpoint is damaged", path, key,
        value, least);
  return value;
}

template int64_t get_state(const json&, std::string_view, const std::string&, int64_t);
template uint64_t get_state(const json&, std::string_view, const std::string&, uint64_t);
template double get_state(const json&, std::string_view, const std::string&, double);

}  // namespace tenet::detail
