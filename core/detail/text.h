/// Numbers as a person reads them.
#pragma once

#include <cstdint>
#include <string>

namespace tenet::detail {

/// 1234567 -> "1,234,567".
std::string with_commas(int64_t n);

}  // namespace tenet::detail
