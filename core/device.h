/// Where a tensor's bytes are.
#pragma once

#include <tenet/core/detail/formatter.h>

#include <string>

namespace tenet {

/// A processor with memory of its own: the CPU, or a GPU by its number.
struct Device {
  /// What a device is; a build without CUDA has only the CPU's kernels.
  enum class Kind { cpu, cuda };
  static constexpr int kinds = 2;  // how many kinds there are

  Kind kind = Kind::cpu;  // the CPU unless said otherwise
  int index = 0;          // which one of its kind, from 0

  /// The one CPU, whatever its sockets.
  static constexpr Device cpu() { return {Kind::cpu, 0}; }
  /// The GPU with this number.
  static constexpr Device cuda(int index = 0) { return {Kind::cuda, index}; }
  /// Whether the program itself can read the bytes there.
  constexpr bool is_cpu() const { return kind == Kind::cpu; }
  friend constexpr bool operator==(const Device&, const Device&) = default;
};

/// "cpu" or "cuda:0".
std::string to_string(Device device);

/// What to_string() writes, or "cuda" for the first GPU. Error: `device: "gpu" is none of cpu, cuda
/// and cuda:N`.
Device parse_device(const std::string& text);

/// How many devices of a kind this program can use: 1 for the CPU; 0 GPUs in a build without CUDA
/// or on a machine without one.
int device_count(Device::Kind kind);

/// Waits until all work given to `device` is done; ops on a GPU return before theirs is. Raises the
/// Errors of values that kernels there have noted, as reading a result does.
void synchronize(Device device);

}  // namespace tenet

template <>
struct fmt::formatter<tenet::Device> : tenet::detail::TextFormatter {
  auto format(tenet::Device device, format_context& out) const {
    return write(tenet::to_string(device), out);
  }
};
