/// What a kind of device other than the CPU brings along. cuda/ installs its own.
#pragma once

#include <tenet/core/device.h>

#include <functional>
#include <memory>

namespace tenet::detail {

/// A number on its way from a device.
struct PendingNumber {
  virtual ~PendingNumber() = default;
  /// Waits for it; raises the Errors of values that were noted before it was made.
  virtual double wait() = 0;
};

/// Gives a device the work of a function at once (WorkGraph).
struct GraphRunner {
  virtual ~GraphRunner() = default;
  virtual void run(const std::function<void()>& work) = 0;
};

/// The devices of one kind. No call but these touches a driver, and none is made before a program
/// asks for a device.
struct DeviceRuntime {
  virtual ~DeviceRuntime() = default;
  /// How many devices can be used; 0 where there is no driver.
  virtual int count() = 0;
  /// Kernels that this thread calls from now on run on device `index`. Error if it cannot be used.
  virtual void select(int index) = 0;
  /// Waits for all work of a device; raises the Errors of values that kernels have noted.
  virtual void synchronize(int index) = 0;
  /// Starts to copy a number from device `index`, in order with its other work, which may then
  /// overwrite it.
  virtual std::unique_ptr<PendingNumber> read_later(const double* number, int index) = 0;
  /// Null: these devices get their kernels one by one.
  virtual std::unique_ptr<GraphRunner> graph_runner(int) { return nullptr; }
};

/// Made known before main(), by a static initialiser; null: this build has none of that kind.
void set_device_runtime(Device::Kind kind, DeviceRuntime* runtime);
DeviceRuntime* device_runtime(Device::Kind kind);

/// DeviceRuntime::select() for whatever is not the CPU.
void select_device(Device device);

}  // namespace tenet::detail
