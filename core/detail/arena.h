/// The CPU's caching allocator.
#pragma once

#include <tenet/core/detail/page_pool.h>
#include <tenet/core/detail/range_pool.h>
#include <tenet/core/memory.h>

#include <mutex>

namespace tenet::detail {

/// Small blocks go to the C library, medium ones to a pool of blocks. Large ones, which decide how
/// much memory a program needs, go to a pool of pages, so that no free one is in another's way.
class Arena : public Allocator {
 public:
  std::byte* allocate(int64_t bytes) override;
  void deallocate(std::byte* data, int64_t bytes) override;
  int64_t reserved() const override;
  void trim() override;

 private:
  std::byte* allocate_locked(int64_t size);
  void trim_locked();

  mutable std::mutex mutex_;
  RangePool medium_;
  PagePool large_;
};

}  // namespace tenet::detail
