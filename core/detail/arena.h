/// The CPU's caching allocator.
#pragma once

#include <tenet/core/detail/page_pool.h>
#include <tenet/core/memory.h>

#include <map>
#include <mutex>
#include <set>
#include <vector>

namespace tenet::detail {

/// Blocks with splitting and coalescing in one contiguous range of addresses that grows at its end,
/// so that what is reserved stays near the largest sum of live bytes and a steady program takes
/// nothing more from the system. Not thread-safe.
class BlockPool {
 public:
  /// Which of the free blocks that are large enough is taken.
  enum class Fit { smallest, lowest_address };

  explicit BlockPool(Fit fit) : fit_(fit) {}
  ~BlockPool();
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  /// `size` is a multiple of the alignment. Null when out of memory.
  std::byte* allocate(int64_t size);
  void deallocate(std::byte* data);
  int64_t reserved() const { return reserved_; }
  /// Returns the free pages to the system; those between blocks in use remain reserved addresses.
  void trim();

 private:
  using FreeBlocks = std::set<std::pair<int64_t, std::byte*>>;  // by size, then address
  /// A block in use keeps the node of its entry among the free ones: to free it takes no memory.
  struct Block {
    int64_t size;
    FreeBlocks::node_type entry;
    bool free() const { return entry.empty(); }
  };
  using Blocks = std::map<std::byte*, Block>;
  /// Addresses up to `end`, of which [begin, top) can be used.
  struct Range {
    std::byte *begin, *top, *end;
  };

  std::byte* take(std::byte* address, int64_t size);
  bool grow(int64_t size);
  bool new_range(int64_t size);
  void drop_last_range();
  Blocks::iterator last_free_block(const Range& range);
  Blocks::iterator add_used(std::byte* address, int64_t size);
  void set_free(Blocks::iterator block);
  void set_used(Blocks::iterator block);

  Fit fit_;
  Blocks blocks_;  // by address; they cover the ranges without gaps
  FreeBlocks free_;
  std::vector<Range> ranges_;
  int64_t reserved_ = 0;
};

/// Small blocks go to the C library, others to three pools. The few large blocks, which decide how
/// much memory a program needs, lie at the lowest address that fits: of the classic policies that
/// fragments least, and what long-lived small blocks leave between them stays out of the way. Huge
/// ones, of which a hole would be a large part of the machine's memory, leave none.
class Arena : public Allocator {
 public:
  std::byte* allocate(int64_t bytes) override;
  void deallocate(std::byte* data, int64_t bytes) override;
  int64_t reserved() const override;
  void trim() override;

 private:
  BlockPool& pool_for(int64_t size);
  std::byte* allocate_locked(int64_t size);
  void trim_locked();

  mutable std::mutex mutex_;
  BlockPool medium_{BlockPool::Fit::smallest}, large_{BlockPool::Fit::lowest_address};
  PagePool huge_;
};

}  // namespace tenet::detail
