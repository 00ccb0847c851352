#include <tenet/core/detail/arena.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

namespace tenet::detail {
namespace {

constexpr int64_t alignment = 64;
constexpr int64_t small_limit = 4096;     // below: the C library
constexpr int64_t large_limit = 2 << 20;  // from here on: the pool of large blocks
constexpr int64_t huge_limit = 64 << 20;  // from here on: the pool of pages
constexpr int64_t page = 4096;
constexpr int64_t growth = 2 << 20;  // a pool grows by a multiple of this

int64_t round_up(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

// Sanitizers find overruns and use after release only if each buffer is an allocation of its own.
#if defined(TENET_SANITIZE)
constexpr bool caching = false;
#else
constexpr bool caching = true;
#endif

bool is_small(int64_t bytes) { return bytes < small_limit || !caching; }

/// The addresses that a pool sets aside: more than it can fill, unless addresses are rationed.
int64_t range_size() {
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur != RLIM_INFINITY) return 64 << 20;
  return round_up(2 * int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE), growth);
}

/// Gives the pages of [begin, end) back; the addresses remain ours, unusable until made so.
bool give_back(std::byte* begin, std::byte* end) {
  return mmap(begin, static_cast<size_t>(end - begin), PROT_NONE,
              MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED;
}

}  // namespace

BlockPool::~BlockPool() {
  while (!ranges_.empty()) drop_last_range();
}

std::byte* BlockPool::allocate(int64_t size) {
  const auto find = [&] {
    auto fit = free_.lower_bound({size, nullptr});
    if (fit_ == Fit::lowest_address) {
      fit = std::min_element(fit, free_.end(),
                             [](const auto& a, const auto& b) { return a.second < b.second; });
    }
    return fit;
  };
  auto fit = find();
  if (fit == free_.end()) {
    if (!grow(size)) return nullptr;
    fit = find();
  }
  return take(fit->second, size);
}

std::byte* BlockPool::take(std::byte* address, int64_t size) {
  const auto block = blocks_.find(address);
  const int64_t rest = block->second.size - size;
  const auto remainder = rest >= small_limit ? add_used(address + size, rest) : blocks_.end();
  set_used(block);
  if (remainder != blocks_.end()) {
    block->second.size = size;
    set_free(remainder);
  }
  return address;
}

bool BlockPool::grow(int64_t size) {
  const auto missing = [&] {
    const Range& range = ranges_.back();
    const auto tail = last_free_block(range);
    const int64_t have = tail == blocks_.end() ? 0 : tail->second.size;
    return round_up(size - have, growth);
  };
  if (ranges_.empty() || missing() > ranges_.back().end - ranges_.back().top) {
    if (!new_range(size)) return false;
  }
  Range& range = ranges_.back();
  const int64_t more = missing();
  if (mprotect(range.top, static_cast<size_t>(more), PROT_READ | PROT_WRITE) != 0) {
    if (range.top == range.begin) drop_last_range();
    return false;
  }
  add_used(range.top, more);
  std::byte* const begin = std::exchange(range.top, range.top + more);
  reserved_ += more;
  deallocate(begin);
  return true;
}

bool BlockPool::new_range(int64_t size) {
  const int64_t length = std::max(range_size(), round_up(size, growth));
  ranges_.reserve(ranges_.size() + 1);
  void* memory =
      mmap(nullptr, static_cast<size_t>(length), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return false;
  auto* begin = static_cast<std::byte*>(memory);
  ranges_.push_back({begin, begin, begin + length});
  return true;
}

void BlockPool::drop_last_range() {
  const Range& range = ranges_.back();
  munmap(range.begin, static_cast<size_t>(range.end - range.begin));
  ranges_.pop_back();
}

void BlockPool::deallocate(std::byte* data) {
  auto block = blocks_.find(data);
  const auto next = std::next(block);
  if (next != blocks_.end() && next->second.free() && next->first == data + block->second.size) {
    block->second.size += next->second.size;
    set_used(next);
    blocks_.erase(next);
  }
  if (block != blocks_.begin()) {
    const auto previous = std::prev(block);
    if (previous->second.free() && previous->first + previous->second.size == data) {
      set_used(previous);
      previous->second.size += block->second.size;
      blocks_.erase(block);
      block = previous;
    }
  }
  set_free(block);
}

/// The free block that ends at the range's top, or none.
BlockPool::Blocks::iterator BlockPool::last_free_block(const Range& range) {
  auto block = blocks_.lower_bound(range.top);
  if (block == blocks_.begin()) return blocks_.end();
  --block;
  return block->second.free() && block->first + block->second.size == range.top ? block
                                                                                : blocks_.end();
}

BlockPool::Blocks::iterator BlockPool::add_used(std::byte* address, int64_t size) {
  FreeBlocks one{{size, address}};
  return blocks_.emplace(address, Block{size, one.extract(one.begin())}).first;
}

void BlockPool::set_free(Blocks::iterator block) {
  block->second.entry.value() = {block->second.size, block->first};
  free_.insert(std::move(block->second.entry));
}

void BlockPool::set_used(Blocks::iterator block) {
  block->second.entry = free_.extract({block->second.size, block->first});
}

void BlockPool::trim() {
  for (Range& range : ranges_) {
    const auto last = last_free_block(range);
    if (last == blocks_.end()) continue;
    std::byte* const begin = last->first;
    const int64_t used = std::max<int64_t>(begin - range.begin, 0);
    std::byte* const top = range.begin + round_up(used, growth);
    const int64_t returned = range.top - top;
    if (returned <= 0 || !give_back(top, range.top)) continue;
    set_used(last);
    last->second.size = top - begin;
    if (top > begin) {
      set_free(last);
    } else {
      blocks_.erase(last);
    }
    range.top = top;
    reserved_ -= returned;
  }
  for (const auto& [size, address] : free_) {
    const auto begin = round_up(reinterpret_cast<int64_t>(address), page);
    const auto end = (reinterpret_cast<int64_t>(address) + size) / page * page;
    if (end > begin) {
      madvise(reinterpret_cast<void*>(begin), static_cast<size_t>(end - begin), MADV_DONTNEED);
    }
  }
}

BlockPool& Arena::pool_for(int64_t size) { return size < large_limit ? medium_ : large_; }

std::byte* Arena::allocate_locked(int64_t size) {
  return size < huge_limit ? pool_for(size).allocate(size)
                           : huge_.allocate(round_up(size, PagePool::unit));
}

std::byte* Arena::allocate(int64_t bytes) {
  if (is_small(bytes)) {
    const size_t size = static_cast<size_t>(round_up(std::max<int64_t>(bytes, 1), alignment));
    return static_cast<std::byte*>(std::aligned_alloc(alignment, size));
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
  const int64_t size = round_up(bytes, alignment);
  if (size < huge_limit) {
    pool_for(size).deallocate(data);
  } else {
    huge_.deallocate(data);
  }
}

int64_t Arena::reserved() const {
  const std::lock_guard lock(mutex_);
  return medium_.reserved() + large_.reserved() + huge_.reserved();
}

void Arena::trim() {
  const std::lock_guard lock(mutex_);
  trim_locked();
}

void Arena::trim_locked() {
  medium_.trim();
  large_.trim();
  huge_.trim();
}

}  // namespace tenet::detail
