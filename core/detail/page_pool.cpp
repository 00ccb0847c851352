#include <tenet/core/detail/page_pool.h>

#include <algorithm>

#include <sys/mman.h>

namespace tenet::detail {
namespace {

constexpr int anonymous = MAP_PRIVATE | MAP_ANONYMOUS;

/// Mappings are cut and not joined again, and the system allows some 65,530. So beyond this many
/// what is free is returned.
constexpr size_t most_mappings = 16384;

void unmap(std::byte* begin, const std::byte* end) {
  munmap(begin, static_cast<size_t>(end - begin));
}

}  // namespace

/// A block under construction: addresses that pages are moved to. Without keep() they go back to
/// the system, with what they hold by then.
class PagePool::Assembly {
 public:
  Assembly(PagePool& pool, int64_t size) : pool_(pool) {
    void* const memory = mmap(nullptr, static_cast<size_t>(size), PROT_NONE, anonymous, -1, 0);
    if (memory == MAP_FAILED) return;
    begin_ = filled_ = static_cast<std::byte*>(memory);
    end_ = begin_ + size;
  }
  ~Assembly() {
    if (!begin_) return;
    unmap(begin_, end_);
    pool_.forget(begin_, end_);
    pool_.reserved_ -= filled_ - begin_;
  }
  Assembly(const Assembly&) = delete;
  Assembly& operator=(const Assembly&) = delete;

  explicit operator bool() const { return begin_ != nullptr; }
  int64_t missing() const { return end_ - filled_; }
  std::byte* begin() const { return begin_; }
  void keep() { begin_ = nullptr; }

  /// Moves at most `most` bytes from the end of a free block; returns how many, 0 if it failed.
  int64_t move_from(Blocks::iterator block, int64_t most) {
    std::byte* const end = block->first + block->second.size;
    const std::byte* const mapping = *std::prev(pool_.mappings_.lower_bound(end));
    const int64_t size = std::min(most, static_cast<int64_t>(end - mapping));
    pool_.cut(end);
    pool_.mappings_.insert(filled_);
    if (mremap(end - size, static_cast<size_t>(size), static_cast<size_t>(size),
               MREMAP_MAYMOVE | MREMAP_FIXED, filled_) == MAP_FAILED) {
      return 0;
    }
    filled_ += size;
    pool_.forget(end - size, end);
    pool_.shrink(block, block->second.size - size);
    return size;
  }

  bool fill_with_new_pages() {
    if (missing() == 0) return true;
    pool_.mappings_.insert(filled_);
    if (mmap(filled_, static_cast<size_t>(missing()), PROT_READ | PROT_WRITE, anonymous | MAP_FIXED,
             -1, 0) == MAP_FAILED) {
      return false;
    }
    pool_.reserved_ += missing();
    filled_ = end_;
    return true;
  }

 private:
  PagePool& pool_;
  std::byte *begin_ = nullptr, *filled_ = nullptr, *end_ = nullptr;
};

PagePool::~PagePool() {
  for (const auto& [address, block] : blocks_) unmap(address, address + block.size);
}

bool PagePool::grow(int64_t size) {
  if (mappings_.size() > most_mappings) trim();
  Assembly assembly(*this, size);
  if (!assembly) return false;
  while (assembly.missing() > 0 && !free_.empty()) {
    const auto largest = blocks_.find(free_.rbegin()->second);
    int64_t wanted = std::min(assembly.missing(), largest->second.size);
    while (wanted > 0) {
      const int64_t moved = assembly.move_from(largest, wanted);
      if (moved == 0) return false;
      wanted -= moved;
    }
  }
  if (!assembly.fill_with_new_pages()) return false;
  std::byte* const block = assembly.begin();
  add_used(block, size);
  assembly.keep();
  deallocate(block);
  return true;
}

/// The pages before `end` are about to go: what follows becomes a mapping of its own.
void PagePool::cut(std::byte* end) {
  if (blocks_.contains(end)) mappings_.insert(end);
}

void PagePool::forget(std::byte* begin, std::byte* end) {
  mappings_.erase(mappings_.lower_bound(begin), mappings_.lower_bound(end));
}

void PagePool::trim() {
  while (!free_.empty()) {
    const auto [size, begin] = *free_.begin();
    cut(begin + size);
    unmap(begin, begin + size);
    forget(begin, begin + size);
    reserved_ -= size;
    shrink(blocks_.find(begin), 0);
  }
}

}  // namespace tenet::detail
