#include <tenet/core/detail/range_pool.h>
#include <tenet/core/detail/round_up.h>

#include <algorithm>

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

namespace tenet::detail {
namespace {

constexpr int64_t page = 4096;
constexpr int64_t growth = 2 << 20;  // the range grows by a multiple of this

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

RangePool::~RangePool() {
  while (!ranges_.empty()) drop_last_range();
}

bool RangePool::grow(int64_t size) {
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

bool RangePool::new_range(int64_t size) {
  const int64_t length = std::max(range_size(), round_up(size, growth));
  ranges_.reserve(ranges_.size() + 1);
  void* memory =
      mmap(nullptr, static_cast<size_t>(length), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return false;
  auto* begin = static_cast<std::byte*>(memory);
  ranges_.push_back({begin, begin, begin + length});
  return true;
}

void RangePool::drop_last_range() {
  const Range& range = ranges_.back();
  munmap(range.begin, static_cast<size_t>(range.end - range.begin));
  ranges_.pop_back();
}

/// The free block that ends at the range's top, or none.
BlockPool::Blocks::iterator RangePool::last_free_block(const Range& range) {
  auto block = blocks_.lower_bound(range.top);
  if (block == blocks_.begin()) return blocks_.end();
  --block;
  return block->second.free() && block->first + block->second.size == range.top ? block
                                                                                : blocks_.end();
}

void RangePool::trim() {
  for (Range& range : ranges_) {
    const auto last = last_free_block(range);
    if (last == blocks_.end()) continue;
    std::byte* const begin = last->first;
    const int64_t used = std::max<int64_t>(begin - range.begin, 0);
    std::byte* const top = range.begin + round_up(used, growth);
    const int64_t returned = range.top - top;
    if (returned <= 0 || !give_back(top, range.top)) continue;
    shrink(last, top - begin);
    range.top = top;
    reserved_ -= returned;
  }
  std::erase_if(ranges_, [](const Range& range) {
    const auto length = static_cast<size_t>(range.end - range.begin);
    return range.top == range.begin && munmap(range.begin, length) == 0;
  });
  for (const auto& [size, address] : free_) {
    const auto begin = round_up(reinterpret_cast<int64_t>(address), page);
    const auto end = (reinterpret_cast<int64_t>(address) + size) / page * page;
    if (end > begin) {
      madvise(reinterpret_cast<void*>(begin), static_cast<size_t>(end - begin), MADV_DONTNEED);
    }
  }
}

}  // namespace tenet::detail
