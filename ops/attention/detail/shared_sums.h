/// Memory for sums whose results are rounded once they are complete.
#pragma once

#include <tenet/core/memory.h>
#include <tenet/ops/attention/detail/pack.h>

namespace tenet::detail::tiles {

/// The sums that make up `out`, [heads, L, size], in f32: of their own if `needed` and `out` is of
/// a half type, else `out` itself.
template <class T>
class SharedSums {
  using S = Compute<T>;

 public:
  SharedSums(const HeadView<T>& out, int64_t B, int64_t H, int64_t L, int64_t size, bool needed)
      : out_(out),
        H_(H),
        L_(L),
        size_(size),
        space_(!std::is_same_v<T, S> && needed ? B * H * L * size : 0) {}
  Rows<S> of_head(int64_t head) const {
    if constexpr (std::is_same_v<T, S>) {
      return head_rows(out_, head / H_, head % H_);
    } else {
      return {space_.data() + head * L_ * size_, size_};
    }
  }

 private:
  HeadView<T> out_;
  int64_t H_, L_, size_;
  memory::Workspace<S> space_;
};

}  // namespace tenet::detail::tiles
