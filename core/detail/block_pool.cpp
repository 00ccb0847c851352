#include <tenet/core/detail/block_pool.h>

namespace tenet::detail {

std::byte* BlockPool::allocate(int64_t size) {
  auto fit = free_.lower_bound({size, nullptr});
  if (fit == free_.end()) {
    if (!grow(size)) return nullptr;
    fit = free_.lower_bound({size, nullptr});
  }
  return take(fit->second, size);
}

std::byte* BlockPool::take(std::byte* address, int64_t size) {
  const auto block = blocks_.find(address);
  const int64_t rest = block->second.size - size;
  const auto remainder = rest >= smallest_ ? add_used(address + size, rest) : blocks_.end();
  set_used(block);
  if (remainder != blocks_.end()) {
    block->second.size = size;
    set_free(remainder);
  }
  return address;
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

void BlockPool::shrink(Blocks::iterator block, int64_t size) {
  set_used(block);
  block->second.size = size;
  if (size > 0) {
    set_free(block);
  } else {
    blocks_.erase(block);
  }
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

}  // namespace tenet::detail
