#include <tenet/core/detail/page_pool.h>

#include <algorithm>

#include <sys/mman.h>

namespace tenet::detail {
namespace {

constexpr int anonymous = MAP_PRIVATE | MAP_ANONYMOUS;

void unmap(std::byte* address, int64_t size) {
  if (size > 0) munmap(address, static_cast<size_t>(size));
}

/// `size` addresses without memory that begin at a multiple of the unit, or null.
std::byte* set_aside(int64_t size) {
  const int64_t length = size + PagePool::unit;
  void* const memory = mmap(nullptr, static_cast<size_t>(length), PROT_NONE, anonymous, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  auto* const begin = static_cast<std::byte*>(memory);
  const auto over = static_cast<int64_t>(reinterpret_cast<uintptr_t>(begin) % PagePool::unit);
  const int64_t before = (PagePool::unit - over) % PagePool::unit;
  unmap(begin, before);
  unmap(begin + before + size, PagePool::unit - before);
  return begin + before;
}

}  // namespace

PagePool::~PagePool() {
  free_.merge(used_);
  trim();
}

PagePool::Blocks::iterator PagePool::largest_free() {
  return std::max_element(free_.begin(), free_.end(), [](const auto& a, const auto& b) {
    return a.second.size < b.second.size;
  });
}

std::byte* PagePool::allocate(int64_t size) {
  const auto same = std::find_if(free_.begin(), free_.end(),
                                 [&](const auto& block) { return block.second.size == size; });
  if (same != free_.end()) {
    std::byte* const address = same->first;
    used_.insert(free_.extract(same));
    return address;
  }
  int64_t have = 0;
  for (const auto& [address, block] : free_) have += block.size;
  const int64_t moved = std::min(have, size), missing = size - moved;
  std::byte* const address = set_aside(size);
  if (!address) return nullptr;
  if (missing > 0) {
    std::byte* const fresh = address + moved;
    if (mmap(fresh, static_cast<size_t>(missing), PROT_READ | PROT_WRITE, anonymous | MAP_FIXED, -1,
             0) == MAP_FAILED) {
      unmap(address, size);
      return nullptr;
    }
    reserved_ += missing;
  }
  Block block;
  if (!move_pages(moved, block, address)) {
    unmap(address, size);
    reserved_ -= block.size + missing;
    return nullptr;
  }
  if (missing > 0) block.pieces.push_back({address + moved, missing});
  block.size = size;
  used_.emplace(address, std::move(block));
  return address;
}

/// Fills the addresses from `address` on with free pages, those at the end of the largest blocks
/// first.
bool PagePool::move_pages(int64_t size, Block& to, std::byte* address) {
  while (size > 0) {
    const auto from = largest_free();
    Piece& last = from->second.pieces.back();
    const int64_t part = std::min(last.size, size);
    if (mremap(last.address + last.size - part, static_cast<size_t>(part),
               static_cast<size_t>(part), MREMAP_MAYMOVE | MREMAP_FIXED, address) == MAP_FAILED) {
      return false;
    }
    to.pieces.push_back({address, part});
    to.size += part;
    address += part, size -= part;
    last.size -= part;
    if (last.size == 0) from->second.pieces.pop_back();
    from->second.size -= part;
    if (from->second.size == 0) free_.erase(from);
  }
  return true;
}

void PagePool::deallocate(std::byte* data) { free_.insert(used_.extract(data)); }

void PagePool::trim() {
  for (const auto& [address, block] : free_) {
    unmap(address, block.size);
    reserved_ -= block.size;
  }
  free_.clear();
}

}  // namespace tenet::detail
