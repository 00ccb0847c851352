/// Values as fmt prints them, without the weight of <fmt/format.h> in public headers.
#pragma once

#include <fmt/core.h>

namespace tenet::detail {

/// Base of the formatters of types that have a text: `{:>12}` and the like work as for strings.
struct TextFormatter : fmt::formatter<fmt::string_view> {
  fmt::format_context::iterator write(fmt::string_view text, fmt::format_context& out) const;
};

}  // namespace tenet::detail
