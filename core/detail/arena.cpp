#include <tenet/core/detail/arena.h>
#include <tenet/core/detail/round_up.h>

#include <algorithm>
#include <cstdlib>

namespace tenet::detail {
namespace {

constexpr int64_t alignment = 64;
constexpr int64_t small_limit = 4096;     // below: the C library
constexpr int64_t large_limit = 2 << 20;  // from here on: the pool of pages

// Sanitizers find overruns and use after release only if each buffer is an allocation of its own.
#if defined(TENET_SANITIZE)
constexpr bool caching = false;
#else
constexpr bool caching = true;
#endif

bool is_small(int64_t bytes) { return bytes < small_limit || !caching; }

}  // namespace

std::byte* Arena::allocate_locked(int64_t size) {
  return size < large_limit ? medium_.allocate(size)
                            : large_.allocate(round_up(size, PagePool::unit));
}

std::byte* Arena::allocate(int64_t bytes) {
  if (is_small(bytes)) {
    const size_t size = static_cast<size_t>(round_up(std::max<int64_t>(bytes, 1), alignment));
    void* block = std::aligned_alloc(alignment, size);
    if (!block) {
      trim();
      block = std::aligned_alloc(alignment, size);
    }
    return static_cast<std::byte*>(block);
  }
  const int64_t size = round_up(bytes, alignment);
  const std::lock_guard lock(mutex_);
  if (std::byte* block = allocate_locked(size)) return block;
  trim_locked();
  return allocate_locked(size);
}

void Arena::deallocate(std::byte* data, int64_t bytes) {
  if (is_small(bytes)) {
    std::free(data);
    return;
  }
  const std::lock_guard lock(mutex_);
  if (round_up(bytes, alignment) < large_limit) {
    medium_.deallocate(data);
  } else {
    large_.deallocate(data);
  }
}

int64_t Arena::reserved() const {
  const std::lock_guard lock(mutex_);
  return medium_.reserved() + large_.reserved();
}

void Arena::trim() {
  const std::lock_guard lock(mutex_);
  trim_locked();
}

void Arena::trim_locked() {
  medium_.trim();
  large_.trim();
}

}  // namespace tenet::detail
