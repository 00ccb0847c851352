#include <tenet/core/detail/trace_hook.h>
#include <tenet/core/reversible.h>
#include <tenet/core/storage.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <unordered_set>
#include <utility>

namespace tenet::detail {
namespace {

/// Storages with a restorer: what report() lists. The lock also settles who releases when two
/// holders leave at once.
struct Waiting {
  std::mutex mutex;
  std::unordered_set<Storage*> storages;
};

Waiting& waiting() {
  static auto* list = new Waiting;
  return *list;
}

}  // namespace

Storage::Storage(int64_t bytes, Device device)
    : buffer_(bytes, device), data_(buffer_.data()), bytes_(bytes), device_(device) {}

Storage::Storage(void* data, int64_t bytes, Device device, std::function<void()> release)
    : data_(static_cast<std::byte*>(data)),
      bytes_(bytes),
      device_(device),
      external_(true),
      on_destroy_(std::move(release)) {}

Storage::~Storage() {
  dispose(forget_restorer());
  if (on_destroy_) on_destroy_();
}

void Storage::add(Holder holder) {
  references_.fetch_add(1, std::memory_order_relaxed);
  holders_[static_cast<size_t>(holder)].fetch_add(1, std::memory_order_relaxed);
}

void Storage::drop(Holder holder) {
  const int left = holders_[static_cast<size_t>(holder)].fetch_sub(1) - 1;
  if (left == 0 && holder != Holder::reversible && restorer_) release_if_unused();
  if (references_.fetch_sub(1) == 1) delete this;
}

void Storage::permit_release(std::shared_ptr<Restorer> restorer) {
  const std::lock_guard lock(waiting().mutex);
  restorer_ = std::move(restorer);
  waiting().storages.insert(this);
}

std::shared_ptr<Restorer> Storage::forget_restorer() {
  if (!restorer_) return nullptr;
  restorer_->forget(*this);
  const std::lock_guard lock(waiting().mutex);
  waiting().storages.erase(this);
  restored_ = false;
  return std::exchange(restorer_, nullptr);
}

void Storage::release_if_unused(int given_up) {
  memory::Buffer freed;
  const std::lock_guard lock(waiting().mutex);
  if (!restorer_ || !data_ || restored_ || users() > given_up || savers() > 0) return;
  freed = std::move(buffer_);
  data_ = nullptr;
  ++reversible_counters().releases;
  if (tracer) trace_release(restorer_->name(), restorer_->shape_of(*this), bytes_);
}

void Storage::let_go(int given_up) {
  restored_ = false;
  release_if_unused(given_up);
}

void Storage::give_up() {
  if (restorer_ || external_ || users() > 1 || savers() > 0) return;
  buffer_ = memory::Buffer();
  data_ = nullptr;
}

void Storage::restore_from(Storage& source) {
  buffer_ = std::exchange(source.buffer_, memory::Buffer());
  source.data_ = nullptr;
  data_ = buffer_.data();
  restored_ = true;
  buffer_.set_category(memory::Category::activation);
}

void Storage::restore_copy(const std::byte* source) {
  memory::Buffer copy(bytes_, device_, memory::Category::activation);
  std::memcpy(copy.data(), source, static_cast<size_t>(bytes_));
  buffer_ = std::move(copy);
  data_ = buffer_.data();
  restored_ = true;
}

void dispose(std::shared_ptr<Disposable> object) noexcept {
  thread_local std::shared_ptr<Disposable>* pending = nullptr;
  if (!object || object.use_count() > 1) return;
  if (pending) {
    object->next_to_go_ = std::move(*pending);
    *pending = std::move(object);
    return;
  }
  std::shared_ptr<Disposable> first = std::move(object);
  pending = &first;
  while (first) {
    const std::shared_ptr<Disposable> next = std::move(first);
    first = std::move(next->next_to_go_);
  }
  pending = nullptr;
}

std::string waiting_report(Device device) {
  std::vector<std::string> lines;
  int64_t freed = 0, freed_bytes = 0;
  {
    const std::lock_guard lock(waiting().mutex);
    for (const Storage* storage : waiting().storages) {
      if (storage->device() != device) continue;
      if (storage->released()) {
        ++freed;
        freed_bytes += storage->bytes();
        continue;
      }
      lines.push_back(
          fmt::format("{} waits to release {}: {} tensor(s) and {} saved by other nodes hold it\n",
                      storage->restorer()->name(), storage->restorer()->shape_of(*storage),
                      storage->users(), storage->savers()));
    }
  }
  std::sort(lines.begin(), lines.end());
  std::string text;
  if (freed > 0) {
    text = fmt::format("{} tensor(s) of {} bytes are released until the backward pass\n", freed,
                       freed_bytes);
  }
  for (const std::string& line : lines) text += line;
  return text;
}

}  // namespace tenet::detail
