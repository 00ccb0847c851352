#include <fmt/format.h>

#include <tenet/core/detail/formatter.h>

namespace tenet::detail {

fmt::format_context::iterator TextFormatter::write(fmt::string_view text,
                                                   fmt::format_context& out) const {
  return fmt::formatter<fmt::string_view>::format(text, out);
}

}  // namespace tenet::detail
