/// Blocks in one range of addresses.
#pragma once

#include <tenet/core/detail/block_pool.h>

#include <vector>

namespace tenet::detail {

/// A contiguous range of addresses that grows at its end, so that all neighbours can be joined.
/// Sizes of blocks are multiples of their alignment.
class RangePool : public BlockPool {
 public:
  RangePool() : BlockPool(4096) {}
  ~RangePool() override;
  /// Between blocks in use the addresses remain and count as reserved; ranges without any go.
  void trim() override;

 private:
  /// Addresses up to `end`, of which [begin, top) can be used.
  struct Range {
    std::byte *begin, *top, *end;
  };

  bool grow(int64_t size) override;
  bool new_range(int64_t size);
  void drop_last_range();
  Blocks::iterator last_free_block(const Range& range);

  std::vector<Range> ranges_;
};

}  // namespace tenet::detail
