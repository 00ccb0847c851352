/// Storage: reference-counted bytes on one device, and who holds them.
///
/// Three kinds of holder are counted apart. A *user* is a Tensor, views included. A *saver* is a
/// graph node that needs the bytes in its backward pass. A *reversible* holder is a graph node that
/// can do without them, because the bytes can be rebuilt. See Note [Release] in reversible.h.
#pragma once

#include <tenet/core/memory.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace tenet::detail {

class Restorer;

class Storage {
 public:
  enum class Holder : uint8_t { user, saver, reversible };

  Storage(int64_t bytes, Device device);
  /// Memory that somebody else owns; `release` runs when the last holder is gone.
  Storage(void* data, int64_t bytes, Device device, std::function<void()> release);
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  /// The bytes, or null while they are released.
  std::byte* data() const { return data_; }
  int64_t bytes() const { return bytes_; }
  Device device() const { return device_; }
  bool external() const { return external_; }
  bool released() const { return data_ == nullptr && bytes_ > 0; }

  /// Counts in-place changes; what was saved at another version is an error, never a wrong
  /// gradient.
  uint32_t version() const { return version_->load(std::memory_order_relaxed); }
  void bump_version() { version_->fetch_add(1, std::memory_order_relaxed); }
  /// The counter itself, for those who watch a storage without holding it.
  std::shared_ptr<const std::atomic<uint32_t>> version_counter() const { return version_; }

  void set_category(memory::Category category) { buffer_.set_category(category); }
  memory::Category category() const { return buffer_.category(); }

  int users() const { return count(Holder::user); }
  int savers() const { return count(Holder::saver); }
  /// Whether there is one holder of any kind.
  bool sole() const { return references_.load() == 1; }

  /// The bytes may go once nobody but reversible nodes holds them: at once, or when the last other
  /// holder leaves.
  void permit_release(std::shared_ptr<Restorer> restorer);
  const std::shared_ptr<Restorer>& restorer() const { return restorer_; }
  /// Withdraws the permission; returns the restorer for disposal.
  std::shared_ptr<Restorer> forget_restorer();
  /// Frees the bytes if they may go now: if nobody needs them but `given_up` users, who do not.
  void release_if_unused(int given_up = 0);
  /// Ends the hold that restoring put on the bytes; frees them if they may go now.
  void let_go(int given_up = 0);
  /// Frees the bytes for good if one user at most is left, who does not need them. Nothing can
  /// rebuild them.
  void give_up();
  /// Puts rebuilt bytes in place, where they stay until let_go(). `source` must have one holder and
  /// the same size.
  void restore_from(Storage& source);
  void restore_copy(const std::byte* source);

  void add(Holder holder);
  void drop(Holder holder);

 private:
  int count(Holder h) const { return holders_[static_cast<size_t>(h)].load(); }

  memory::Buffer buffer_;
  std::byte* data_ = nullptr;
  int64_t bytes_ = 0;
  Device device_;
  bool external_ = false;
  bool restored_ = false;  // stays whoever leaves, until let_go()
  std::function<void()> on_destroy_;
  std::shared_ptr<std::atomic<uint32_t>> version_ = std::make_shared<std::atomic<uint32_t>>(0);
  std::atomic<int> holders_[3] = {};
  std::atomic<int> references_{0};
  std::shared_ptr<Restorer> restorer_;
};

/// A counted reference to a storage in one role.
class StorageRef {
 public:
  using Holder = Storage::Holder;

  StorageRef() = default;
  StorageRef(Storage* storage, Holder holder) : storage_(storage), holder_(holder) {
    if (storage_) storage_->add(holder_);
  }
  StorageRef(const StorageRef& other) : StorageRef(other.storage_, other.holder_) {}
  StorageRef(StorageRef&& other) noexcept : storage_(other.storage_), holder_(other.holder_) {
    other.storage_ = nullptr;
  }
  StorageRef& operator=(StorageRef other) noexcept {
    std::swap(storage_, other.storage_);
    std::swap(holder_, other.holder_);
    return *this;
  }
  ~StorageRef() {
    if (storage_) storage_->drop(holder_);
  }

  Storage* get() const { return storage_; }
  Storage* operator->() const { return storage_; }
  explicit operator bool() const { return storage_ != nullptr; }
  /// The same storage held in another role.
  StorageRef as(Holder holder) const { return {storage_, holder}; }

 private:
  Storage* storage_ = nullptr;
  Holder holder_ = Holder::user;
};

/// What dispose() can destroy: a link of a chain that may be long.
class Disposable {
 protected:
  Disposable() = default;
  ~Disposable() = default;

 private:
  friend void dispose(std::shared_ptr<Disposable> object) noexcept;
  std::shared_ptr<Disposable> next_to_go_;
};

/// Destroys `object` now, or, while another destruction is under way on this thread, after it:
/// chains of any length are taken down with constant stack, and no memory.
void dispose(std::shared_ptr<Disposable> object) noexcept;

/// One line per storage that waits to be released: the node, the shape and who still holds it.
std::string waiting_report(Device device);

}  // namespace tenet::detail
