/// Where a tensor's bytes are.
#pragma once

#include <tenet/core/detail/formatter.h>

#include <string>

namespace tenet {

struct Device {
  enum class Kind { cpu, cuda };
  static constexpr int kinds = 2;

  Kind kind = Kind::cpu;
  int index = 0;

  static constexpr Device cpu() { return {Kind::cpu, 0}; }
  static constexpr Device cuda(int index = 0) { return {Kind::cuda, index}; }
  constexpr bool is_cpu() const { return kind == Kind::cpu; }
  friend constexpr bool operator==(const Device&, const Device&) = default;
};

/// "cpu" or "cuda:0".
std::string to_string(Device device);

}  // namespace tenet

template <>
struct fmt::formatter<tenet::Device> : tenet::detail::TextFormatter {
  auto format(tenet::Device device, format_context& out) const {
    return write(tenet::to_string(device), out);
  }
};
