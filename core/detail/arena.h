/// The CPU's caching allocator.
#pragma once

#include <tenet/core/memory.h>

#include <map>
#include <mutex>
#include <set>

namespace tenet::detail {

/// Best fit with splitting and coalescing inside large segments, so that what is reserved stays
/// near the largest sum of live bytes and a steady program takes nothing more from the system.
/// Small blocks go to the C library.
class Arena : public Allocator {
 public:
  std::byte* allocate(int64_t bytes) override;
  void deallocate(std::byte* data, int64_t bytes) override;
  int64_t reserved() const override;
  void trim() override;

 private:
  struct Block {
    int64_t size;
    bool free;
    bool first_of_segment;
  };
  using Blocks = std::map<std::byte*, Block>;

  std::byte* take(std::byte* address, int64_t size);
  std::byte* new_segment(int64_t size);
  void erase_free(Blocks::iterator block);
  void trim_locked();

  mutable std::mutex mutex_;
  Blocks blocks_;  // by address; every segment is covered without gaps
  std::set<std::pair<int64_t, std::byte*>> free_;  // by size, then address
  int64_t reserved_ = 0;
};

}  // namespace tenet::detail
