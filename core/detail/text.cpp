#include <tenet/core/detail/text.h>

namespace tenet::detail {

std::string with_commas(int64_t n) {
  std::string digits = std::to_string(n);
  const int64_t first = n < 0 ? 1 : 0;
  for (int64_t i = std::ssize(digits) - 3; i > first; i -= 3) digits.insert(i, 1, ',');
  return digits;
}

}  // namespace tenet::detail
