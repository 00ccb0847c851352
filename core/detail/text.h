/// Text for people and for pictures.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tenet::detail {

/// 1234567 -> "1,234,567".
std::string with_commas(int64_t n);

/// "1 op", "1,200 ops", "2 leaves".
std::string count_of(int64_t n, const std::string& one, const std::string& many);

/// `text` inside XML or one of Graphviz's HTML-like labels: `&`, `<`, `>` and `"` as entities,
/// control characters as spaces.
std::string escaped(std::string_view text);

}  // namespace tenet::detail
