/// Errors: one exception type for everything that a caller can do wrong or that the machine can
/// refuse.
#pragma once

#include <fmt/core.h>

#include <stdexcept>
#include <utility>

namespace tenet {

/// What every failing call throws. The text is `op: fact with both values; remedy if there is one
/// step`.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The allocator could not get memory; the text lists requested, live and reserved bytes. The
/// program can go on.
struct OutOfMemory : Error {
  using Error::Error;
};

namespace detail {
[[noreturn]] void throw_error(fmt::string_view message, fmt::format_args args);
}

/// Throws Error with the formatted message.
template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> message, Args&&... args) {
  detail::throw_error(message, fmt::make_format_args(args...));
}

/// Throws Error with the formatted message unless `condition` holds. Arguments are formatted only
/// on failure.
template <class... Args>
void check(bool condition, fmt::format_string<Args...> message, Args&&... args) {
  if (!condition) [[unlikely]]
    fail(message, std::forward<Args>(args)...);
}

}  // namespace tenet
