/// Reading a number from a device without waiting for it at once.
#pragma once

#include <tenet/core/tensor.h>

#include <memory>

namespace tenet {

namespace detail {
struct PendingNumber;
}

/// A number that is on its way to the program: a loss, a norm. A training step that reads the
/// numbers of the step before leaves the GPU no gap to wait in. On the CPU the number is there at
/// once.
class LateRead {
 public:
  LateRead();
  /// Of a tensor with one element, as it is after the work that the device has been given so far.
  explicit LateRead(const Tensor& x);
  LateRead(LateRead&&) noexcept;
  LateRead& operator=(LateRead&&) noexcept;
  ~LateRead();

  /// Whether there is a number to read.
  bool defined() const { return defined_; }
  /// Waits until the number is there, and gives it; raises the Errors of values that kernels noted
  /// before it, as item() does. Error if there is none.
  double value();

 private:
  bool defined_ = false;
  double value_ = 0;
  std::unique_ptr<detail::PendingNumber> pending_;  // null once it has come
};

}  // namespace tenet
