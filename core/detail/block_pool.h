/// Blocks of memory that are split and joined again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <utility>

namespace tenet::detail {

/// The free block that fits best is split; free neighbours are joined. Where the memory comes from
/// is up to the derived class. Not thread-safe.
class BlockPool {
 public:
  virtual ~BlockPool() = default;
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  /// Null when out of memory.
  std::byte* allocate(int64_t size);
  void deallocate(std::byte* data);
  /// Bytes taken from the system.
  int64_t reserved() const { return reserved_; }
  /// Returns free pages to the system.
  virtual void trim() = 0;

 protected:
  using FreeBlocks = std::set<std::pair<int64_t, std::byte*>>;  // by size, then address
  /// A block in use keeps the node of its entry among the free ones: to free it takes no memory.
  struct Block {
    int64_t size;
    FreeBlocks::node_type entry;
    bool free() const { return entry.empty(); }
  };
  using Blocks = std::map<std::byte*, Block>;

  /// Rests smaller than `smallest` stay with the block that they would be split from.
  explicit BlockPool(int64_t smallest) : smallest_(smallest) {}

  /// Makes a free block of `size` bytes or more; false when out of memory.
  virtual bool grow(int64_t size) = 0;

  Blocks::iterator add_used(std::byte* address, int64_t size);
  void set_free(Blocks::iterator block);
  void set_used(Blocks::iterator block);
  /// Takes the bytes from `size` on from a free block.
  void shrink(Blocks::iterator block, int64_t size);

  Blocks blocks_;  // by address
  FreeBlocks free_;
  int64_t reserved_ = 0;

 private:
  std::byte* take(std::byte* address, int64_t size);

  int64_t smallest_;
};

}  // namespace tenet::detail
