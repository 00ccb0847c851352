#include <tenet/core/detail/arena.h>

#include <algorithm>
#include <cstdlib>

#include <sys/mman.h>

namespace tenet::detail {
namespace {

constexpr int64_t alignment = 64;
constexpr int64_t small_limit = 4096;       // below: the C library
constexpr int64_t segment_size = 16 << 20;  // smaller requests share a segment of this size
constexpr int64_t page = 2 << 20;

int64_t round_up(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

// Sanitizers find overruns and use after release only if each buffer is an allocation of its own.
#if defined(TENET_SANITIZE)
constexpr bool caching = false;
#else
constexpr bool caching = true;
#endif

bool is_small(int64_t bytes) { return bytes < small_limit || !caching; }

}  // namespace

std::byte* Arena::allocate(int64_t bytes) {
  if (is_small(bytes)) {
    const size_t size = static_cast<size_t>(round_up(std::max<int64_t>(bytes, 1), alignment));
    return static_cast<std::byte*>(std::aligned_alloc(alignment, size));
  }
  const int64_t size = round_up(bytes, alignment);
  const std::lock_guard lock(mutex_);
  const auto fit = free_.lower_bound({size, nullptr});
  if (fit != free_.end()) return take(fit->second, size);
  std::byte* segment = new_segment(size);
  if (!segment) {
    trim_locked();
    segment = new_segment(size);
  }
  return segment ? take(segment, size) : nullptr;
}

std::byte* Arena::take(std::byte* address, int64_t size) {
  const auto block = blocks_.find(address);
  erase_free(block);
  const int64_t rest = block->second.size - size;
  if (rest >= small_limit) {
    block->second.size = size;
    blocks_.emplace(address + size, Block{rest, true, false});
    free_.emplace(rest, address + size);
  }
  block->second.free = false;
  return address;
}

std::byte* Arena::new_segment(int64_t size) {
  const int64_t length = round_up(std::max(size, segment_size), page);
  void* memory = mmap(nullptr, static_cast<size_t>(length), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  auto* address = static_cast<std::byte*>(memory);
  reserved_ += length;
  blocks_.emplace(address, Block{length, true, true});
  free_.emplace(length, address);
  return address;
}

void Arena::deallocate(std::byte* data, int64_t bytes) {
  if (is_small(bytes)) {
    std::free(data);
    return;
  }
  const std::lock_guard lock(mutex_);
  auto block = blocks_.find(data);
  const auto next = std::next(block);
  if (next != blocks_.end() && next->second.free && !next->second.first_of_segment) {
    block->second.size += next->second.size;
    erase_free(next);
    blocks_.erase(next);
  }
  if (!block->second.first_of_segment) {
    const auto previous = std::prev(block);
    if (previous->second.free) {
      erase_free(previous);
      previous->second.size += block->second.size;
      blocks_.erase(block);
      block = previous;
    }
  }
  block->second.free = true;
  free_.emplace(block->second.size, block->first);
}

void Arena::erase_free(Blocks::iterator block) { free_.erase({block->second.size, block->first}); }

int64_t Arena::reserved() const {
  const std::lock_guard lock(mutex_);
  return reserved_;
}

void Arena::trim() {
  const std::lock_guard lock(mutex_);
  trim_locked();
}

void Arena::trim_locked() {
  for (auto block = blocks_.begin(); block != blocks_.end();) {
    const auto next = std::next(block);
    const bool whole_segment = block->second.free && block->second.first_of_segment &&
                               (next == blocks_.end() || next->second.first_of_segment);
    if (whole_segment) {
      erase_free(block);
      reserved_ -= block->second.size;
      munmap(block->first, static_cast<size_t>(block->second.size));
      blocks_.erase(block);
    }
    block = next;
  }
}

}  // namespace tenet::detail
