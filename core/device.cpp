#include <tenet/core/detail/device_runtime.h>
#include <tenet/core/error.h>

#include <array>
#include <charconv>

namespace tenet {
namespace {

std::array<detail::DeviceRuntime*, Device::kinds>& runtimes() {
  static std::array<detail::DeviceRuntime*, Device::kinds> all{};
  return all;
}

detail::DeviceRuntime& runtime_of(Device device) {
  detail::DeviceRuntime* const runtime = detail::device_runtime(device.kind);
  check(runtime != nullptr, "device: this build has no {}; configure with -DTENET_CUDA=ON", device);
  return *runtime;
}

}  // namespace

namespace detail {

void set_device_runtime(Device::Kind kind, DeviceRuntime* runtime) {
  runtimes()[static_cast<size_t>(kind)] = runtime;
}

DeviceRuntime* device_runtime(Device::Kind kind) { return runtimes()[static_cast<size_t>(kind)]; }

void select_device(Device device) {
  if (!device.is_cpu()) runtime_of(device).select(device.index);
}

}  // namespace detail

std::string to_string(Device device) {
  return device.is_cpu() ? "cpu" : fmt::format("cuda:{}", device.index);
}

Device parse_device(const std::string& text) {
  if (text == "cpu") return Device::cpu();
  if (text == "cuda") return Device::cuda();
  int index = -1;
  if (text.starts_with("cuda:")) {
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + 5, end, index);
    if (error != std::errc() || stop != end) index = -1;
  }
  check(index >= 0, "device: \"{}\" is none of cpu, cuda and cuda:N", text);
  return Device::cuda(index);
}

int device_count(Device::Kind kind) {
  if (kind == Device::Kind::cpu) return 1;
  detail::DeviceRuntime* const runtime = detail::device_runtime(kind);
  return runtime == nullptr ? 0 : runtime->count();
}

void synchronize(Device device) {
  if (!device.is_cpu()) runtime_of(device).synchronize(device.index);
}

}  // namespace tenet
