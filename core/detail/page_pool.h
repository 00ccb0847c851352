/// Blocks that the system can put together from pages.
#pragma once

#include <tenet/core/detail/block_pool.h>

#include <set>

namespace tenet::detail {

/// Where no free block is large enough, the pages of several are moved next to each other by the
/// system, without a copy. So holes between blocks cost addresses, not memory, and what is reserved
/// is the largest sum of live bytes.
class PagePool : public BlockPool {
 public:
  /// Sizes of blocks are multiples of this.
  static constexpr int64_t unit = 64 << 10;

  PagePool() : BlockPool(unit) {}
  ~PagePool() override;
  void trim() override;

 private:
  class Assembly;

  bool grow(int64_t size) override;
  void cut(std::byte* end);
  void forget(std::byte* begin, std::byte* end);

  /// Where the system's mappings begin: it moves at most one at once.
  std::set<std::byte*> mappings_;
};

}  // namespace tenet::detail
