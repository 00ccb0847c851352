#include <tenet/core/detail/arena.h>
#include <tenet/core/detail/trace_hook.h>
#include <tenet/core/error.h>
#include <tenet/core/memory.h>
#include <tenet/core/storage.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <string_view>

namespace tenet {
namespace {

using memory::Category;

constexpr int categories = static_cast<int>(Category::all) + 1;
constexpr std::array<std::string_view, categories> names{
    "parameter", "gradient", "optimizer", "activation", "workspace", "working", "all"};

struct Counter {
  std::atomic<int64_t> live{0}, peak{0};

  void add(int64_t bytes) {
    const int64_t now = live.fetch_add(bytes, std::memory_order_relaxed) + bytes;
    int64_t seen = peak.load(std::memory_order_relaxed);
    while (now > seen && !peak.compare_exchange_weak(seen, now, std::memory_order_relaxed)) {
    }
  }
  void reset() { peak.store(live.load()); }
};

/// One device's allocator and counters. Never destroyed: tensors with static storage may outlive
/// everything else.
struct Pool {
  detail::Allocator* allocator = nullptr;
  std::array<Counter, categories> counters;

  void add(Category category, int64_t bytes) {
    counters[static_cast<size_t>(category)].add(bytes);
    if (category == Category::activation || category == Category::workspace) {
      counters[static_cast<size_t>(Category::working)].add(bytes);
    }
    counters[static_cast<size_t>(Category::all)].add(bytes);
  }
};

constexpr int max_devices = 64;

Pool& pool(Device device) {
  static auto* cpu = [] {
    auto* pool = new Pool;
    pool->allocator = new detail::Arena;
    return pool;
  }();
  static auto* cuda = new std::array<Pool, max_devices>;
  if (device.is_cpu()) return *cpu;
  check(device.index >= 0 && device.index < max_devices, "memory: no device {}", device);
  return (*cuda)[static_cast<size_t>(device.index)];
}

thread_local Category category_now = Category::activation;
std::atomic<int64_t> allocations_until_failure{-1};

bool injected_failure() {
  if (allocations_until_failure.load(std::memory_order_relaxed) < 0) return false;
  return allocations_until_failure.fetch_sub(1) == 0;
}

/// ": activation 400, parameter 12": the three categories that hold most, if any holds something.
std::string largest_holders(Device device) {
  std::array<std::pair<int64_t, std::string_view>, static_cast<size_t>(Category::working)> held;
  for (size_t i = 0; i < held.size(); ++i) {
    held[i] = {memory::stats(device, static_cast<Category>(i)).live, names[i]};
  }
  std::stable_sort(held.begin(), held.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  std::string text;
  for (size_t i = 0; i < 3 && held[i].first > 0; ++i) {
    text += fmt::format("{} {} {}", i == 0 ? ":" : ",", held[i].second, held[i].first);
  }
  return text;
}

[[noreturn]] void out_of_memory(int64_t bytes, Device device) {
  const memory::Stats all = memory::stats(device);
  throw OutOfMemory(
      fmt::format("memory: {} bytes on {} could not be allocated ({} live{}; {} reserved); use a "
                  "smaller batch or length, or more chunks",
                  bytes, device, all.live, largest_holders(device), all.reserved));
}

}  // namespace

namespace detail {

void set_allocator(Device device, Allocator* allocator) { pool(device).allocator = allocator; }

void fail_allocation_after(int64_t n) { allocations_until_failure.store(n); }

}  // namespace detail

namespace memory {

Stats stats(Device device, Category category) {
  const Pool& p = pool(device);
  const Counter& counter = p.counters[static_cast<size_t>(category)];
  return {counter.live.load(), counter.peak.load(), p.allocator ? p.allocator->reserved() : 0};
}

void reset_peak(Device device) {
  for (Counter& counter : pool(device).counters) counter.reset();
}

void trim(Device device) {
  if (pool(device).allocator) pool(device).allocator->trim();
}

std::string report(Device device) {
  std::string text = fmt::format("{:<12}{:>16}{:>16}\n", "category", "live bytes", "peak bytes");
  for (int i = 0; i < categories; ++i) {
    const Stats s = stats(device, static_cast<Category>(i));
    text += fmt::format("{:<12}{:>16}{:>16}\n", names[static_cast<size_t>(i)], s.live, s.peak);
  }
  text += fmt::format("{:<12}{:>16}\n", "reserved", stats(device).reserved);
  return text + detail::waiting_report(device);
}

Scope::Scope(Category category) : previous_(std::exchange(category_now, category)) {}
Scope::~Scope() { category_now = previous_; }

Category current_category() { return category_now; }

Buffer::Buffer(int64_t bytes, Device device, Category category)
    : bytes_(bytes), device_(device), category_(category) {
  Pool& p = pool(device);
  check(p.allocator != nullptr, "memory: no allocator for {} in this build", device);
  if (!injected_failure()) data_ = p.allocator->allocate(bytes);
  if (!data_) out_of_memory(bytes, device);
  p.add(category_, bytes_);
  if (detail::tracer) detail::trace_memory(data_, device_);
}

Buffer::~Buffer() {
  if (!data_) return;
  Pool& p = pool(device_);
  p.add(category_, -bytes_);
  p.allocator->deallocate(data_, bytes_);
  if (detail::tracer) detail::trace_memory(nullptr, device_);
}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(device_, other.device_);
  std::swap(category_, other.category_);
  return *this;
}

void Buffer::set_category(Category category) {
  if (!data_ || category == category_) return;
  pool(device_).add(category_, -bytes_);
  pool(device_).add(category, bytes_);
  category_ = category;
  if (detail::tracer) detail::trace_memory(nullptr, device_);
}

}  // namespace memory
}  // namespace tenet
