/// Blocks so large that the system moves their pages rather than the program wastes them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

namespace tenet::detail {

/// Blocks made of the pages of whatever is free, moved next to each other by the system without a
/// copy: holes cost addresses, not memory, so what is reserved is the largest sum of live bytes,
/// and a steady program takes no new pages. Not thread-safe.
class PagePool {
 public:
  /// Sizes of blocks are multiples of this, as are addresses: the size of a large page.
  static constexpr int64_t unit = 2 << 20;

  PagePool() = default;
  ~PagePool();
  PagePool(const PagePool&) = delete;
  PagePool& operator=(const PagePool&) = delete;

  /// Null when out of memory.
  std::byte* allocate(int64_t size);
  void deallocate(std::byte* data);
  int64_t reserved() const { return reserved_; }
  /// Returns all that is free to the system.
  void trim();

 private:
  /// Pages that the system knows as one mapping, and so moves at once.
  struct Piece {
    std::byte* address;
    int64_t size;
  };
  struct Block {
    int64_t size = 0;
    std::vector<Piece> pieces;  // without gaps
  };
  using Blocks = std::map<std::byte*, Block>;

  bool move_pages(int64_t size, Block& to, std::byte* address);
  Blocks::iterator largest_free();

  Blocks used_, free_;
  int64_t reserved_ = 0;
};

}  // namespace tenet::detail
