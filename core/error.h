/// Errors: one exception type for everything that a caller can do wrong or that the machine can
/// refuse.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
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

/// Throws Error with the formatted message.
template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> message, Args&&... args) {
  throw Error(fmt::format(message, std::forward<Args>(args)...));
}

/// Throws Error with the formatted message unless `condition` holds. Arguments are formatted only
/// on failure.
template <class... Args>
void check(bool condition, fmt::format_string<Args...> message, Args&&... args) {
  if (!condition) [[unlikely]]
    fail(message, std::forward<Args>(args)...);
}

}  // namespace tenet
