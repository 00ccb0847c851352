/// Kernel slots: one function pointer per device, filled by ops/ for the CPU and by cuda/ for CUDA.
#pragma once

#include <tenet/core/detail/device_runtime.h>
#include <tenet/core/detail/trace_hook.h>
#include <tenet/core/error.h>

namespace tenet {

template <class Signature>
class Kernel;

/// `Kernel<void(View, View)> exp_kernel{"exp"};` in ops/; `const bool filled =
/// exp_kernel.fill(kind, &exp_cpu);` beside each implementation. The first to fill a slot keeps it:
/// those of a higher instruction set come first, Note [Kernels per level]. Calling an empty slot
/// is an Error that says how to get the kernel.
template <class... Args>
class Kernel<void(Args...)> {
 public:
  /// What fills a slot.
  using Function = void (*)(Args...);

  /// `name` is that of the op, for errors and traces.
  explicit constexpr Kernel(const char* name) : name_(name) {}

  /// Takes `function` if the slot of `kind` is empty; whether the slot holds it now.
  bool fill(Device::Kind kind, Function function) {
    Function& slot = functions_[static_cast<int>(kind)];
    if (slot == nullptr) slot = function;
    return slot == function;
  }
  /// Runs the kernel of the device. Error if there is none.
  void operator()(Device device, Args... args) const {
    const Function function = functions_[static_cast<int>(device.kind)];
    if (function == nullptr) {
      fail("{}: no {} kernel in this build{}", name_, device.is_cpu() ? "cpu" : "cuda",
           device.is_cpu() ? "" : "; configure with -DTENET_CUDA=ON");
    }
    const detail::TraceSpan span(trace::Kind::kernel, name_);
    if (!device.is_cpu()) detail::select_device(device);
    function(static_cast<Args&&>(args)...);
  }
  /// Whether this build has a kernel for `kind`.
  bool filled(Device::Kind kind) const { return functions_[static_cast<int>(kind)] != nullptr; }
  /// The op's name.
  const char* name() const { return name_; }

 private:
  const char* name_;
  Function functions_[Device::kinds] = {};
};

}  // namespace tenet
