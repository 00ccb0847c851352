/// Memory: the caching allocator and the count of every buffer by category.
#pragma once

#include <tenet/core/device.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

/// Who uses how many bytes for what.
namespace tenet::memory {

/// What a buffer is for. `working` is activation + workspace, the part that reversibility keeps
/// flat; `all` is everything.
enum class Category : uint8_t {
  parameter,
  gradient,
  optimizer,
  activation,
  workspace,
  working,
  all
};

/// Counts of bytes of one device and category.
struct Stats {
  int64_t live = 0;  // bytes in use
  int64_t peak = 0;  // most bytes in use since reset_peak()
  int64_t reserved =
      0;  // bytes taken from the system, in use or cached; the same for every category
};

/// The counts now; 0 for a device that was never used.
Stats stats(Device device, Category category = Category::all);

/// Makes every category's peak its present live count.
void reset_peak(Device device = Device::cpu());

/// Returns cached memory to the system.
void trim(Device device = Device::cpu());

/// A table of live and peak bytes by category, what reversible nodes have released, and each of
/// their inputs that could not be released yet: which node waits for which shape, and who still
/// holds it. trace::record() shows the same over time.
std::string report(Device device = Device::cpu());

/// Buffers allocated on this thread while the scope lives count under `category`.
class Scope {
 public:
  explicit Scope(Category category);
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  Category previous_;
};

/// The category that an allocation on this thread counts under now; activation outside any scope.
Category current_category();

/// Bytes from the allocator, 64-byte aligned, returned on destruction. Throws OutOfMemory with the
/// three categories that hold most: `memory: 4000 bytes on cuda:0 could not be allocated (460 live:
/// activation 400, parameter 60; 512 reserved); use a smaller batch or length, or more chunks`.
class Buffer {
 public:
  Buffer() = default;
  /// `bytes` uninitialised bytes, counted under `category` or under current_category().
  Buffer(int64_t bytes, Device device) : Buffer(bytes, device, current_category()) {}
  Buffer(int64_t bytes, Device device, Category category);
  ~Buffer();
  /// The other one is empty afterwards.
  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept;

  /// The first byte; null if empty.
  std::byte* data() const { return data_; }
  /// How many bytes there are, and where.
  int64_t bytes() const { return bytes_; }
  Device device() const { return device_; }
  /// Counts the buffer under another category from now on.
  void set_category(Category category);
  /// The category that it counts under now.
  Category category() const { return category_; }

 private:
  std::byte* data_ = nullptr;
  int64_t bytes_ = 0;
  Device device_;
  Category category_ = Category::activation;
};

/// A kernel's scratch space on the CPU: `count` elements of T, counted as workspace.
template <class T>
class Workspace {
 public:
  /// Uninitialised elements.
  explicit Workspace(int64_t count)
      : buffer_(count * static_cast<int64_t>(sizeof(T)), Device::cpu(), Category::workspace) {}
  /// The elements, which nobody else uses.
  T* data() const { return reinterpret_cast<T*>(buffer_.data()); }
  T& operator[](int64_t i) const { return data()[i]; }

 private:
  Buffer buffer_;
};

}  // namespace tenet::memory

namespace tenet::detail {

/// A device's source of memory. The CPU's is built in; `cuda/` installs its own.
struct Allocator {
  virtual ~Allocator() = default;
  virtual std::byte* allocate(int64_t bytes) = 0;  // null when out of memory
  virtual void deallocate(std::byte* data, int64_t bytes) = 0;
  virtual int64_t reserved() const = 0;
  virtual void trim() = 0;
};

void set_allocator(Device device, Allocator* allocator);

/// Makes the n-th allocation from now on fail (0 = the next one); negative switches it off. For
/// fault tests.
void fail_allocation_after(int64_t n);

}  // namespace tenet::detail
