/// The host's side of LSH attention's kernels: groups of heads, and their space.
#pragma once

#include <tenet/cuda/detail/lsh_places_task.h>
#include <tenet/cuda/detail/lsh_task.h>
#include <tenet/cuda/detail/runtime.h>
#include <tenet/ops/attention/lsh_attention.h>

#include <initializer_list>
#include <optional>

namespace tenet::cuda::lsh {

/// What a round's places need: begin and first are [count] each, `found` is the number of blocks.
/// `bytes` at `space` is scratch; without it only `bytes` is found.
struct PlaceSpace {
  int32_t *begin = nullptr, *first = nullptr, *found = nullptr;
  void* space = nullptr;
  size_t bytes = 0;
};
/// Finds the begin of each place and, if first is not null, the blocks.
void find_places(const RoundPlaces& places, PlaceSpace& to);

/// The most bytes of a group's space, if one head does not need more.
inline constexpr int64_t kGroupBytes = int64_t{64} << 20;
inline constexpr int kWarps = 4;  // of a block, in kernels with a warp for each thing

template <class T>
inline constexpr bool is_half = sizeof(T) == 2;

/// Whether rows fit into the tiles of shared memory.
template <class T>
bool by_tiles(int64_t size) {
  return size <= (sizeof(T) == 8 ? 64 : 128);
}
/// Calls f.operator()<W>() with the width of tiles of 16-bit rows of `size` <= 128.
template <class F>
void dispatch_width(int size, F&& f) {
  if (size <= 32) return f.template operator()<32>();
  if (size <= 64) return f.template operator()<64>();
  f.template operator()<128>();
}
/// Round t.round, where by_tiles(): by tensor cores for the 16-bit types.
template <class T>
void launch_tile_forward(Task<T> t);
template <class T>
void launch_tile_backward(Task<T> t);
template <>
void launch_tile_forward(Task<float> t);
template <>
void launch_tile_forward(Task<double> t);
template <>
void launch_tile_backward(Task<float> t);
template <>
void launch_tile_backward(Task<double> t);
/// A step of a 16-bit type, likewise.
template <class T>
void launch_tile_step(StepTask<T> t);

/// Whether all rows of the operands can be read 16 bytes at a time.
template <class T>
bool rows_aligned(std::initializer_list<View> operands) {
  constexpr int64_t unit = 16 / static_cast<int64_t>(sizeof(T));
  bool all = true;
  for (const View& v : operands) {
    all = all && reinterpret_cast<uintptr_t>(v.data) % 16 == 0 && v.shape[3] % unit == 0;
    for (int axis = 0; axis < 3; ++axis) {
      all = all && (v.shape[axis] == 1 || v.strides[axis] % unit == 0);
    }
  }
  return all;
}

/// The heads that are handled together and the space for what is known of them.
template <class T>
class Groups {
  using S = Compute<T>;

 public:
  /// `numbers` of S per position; `rows` of sums over rounds, kept only for the half types.
  Groups(const View& qk, int64_t R, bool blocks, int64_t numbers, int64_t rows)
      : L_(qk.shape[2]), size_(qk.shape[3]), heads_(qk.shape[0] * qk.shape[1]) {
    const int64_t sums = is_half<T> && R > 1 ? rows * size_ : 0;
    const int64_t bytes = L_ * (static_cast<int64_t>(sizeof(S)) * (numbers + 2 + sums) + 9);
    const int64_t most = std::min(heads_, ((int64_t{1} << 31) - 1) / L_);
    group_ = std::clamp<int64_t>(kGroupBytes / bytes, 1, most);
    const int64_t count = group_ * L_;
    numbers_.emplace(count * (numbers + 2));
    finite_.emplace(count);
    places_.emplace(count * (blocks ? 2 : 1) + 1);
    if (sums > 0) sums_.emplace(count * sums);
    found_.found = places_->data();
    found_.begin = found_.found + 1;
    found_.first = blocks ? found_.begin + count : nullptr;
    find_places(places_of(0, group_, 0, 1, nullptr), found_);
    space_.emplace(static_cast<int64_t>(found_.bytes));
    found_.space = space_->data();
  }

  /// Calls prepare(t) and then round(t), for every round, on every group of heads.
  template <class Prepare, class Round>
  void walk(Task<T> t, Prepare&& prepare, Round&& round) {
    for (t.first_head = 0; t.first_head < heads_; t.first_head += group_) {
      t.heads = std::min(group_, heads_ - t.first_head);
      t.mean = number(0), t.factor = number(1);
      t.finite = finite_->data();
      t.begin = found_.begin, t.first = found_.first, t.count = found_.found;
      prepare(t);
      for (t.round = 0; t.round < t.R; ++t.round) {
        find_places(places_of(t.first_head, t.heads, t.round, t.R, t.order), found_);
        round(t);
      }
    }
  }
  /// Array n of [heads, L] numbers; 0 and 1 are taken.
  S* number(int64_t n) const { return numbers_->data() + n * group_ * L_; }
  /// The n-th sums over rounds of a group; of other types than the half ones they are `out`.
  HeadRows<S> sums(int64_t n, const HeadRows<T>& out, const Task<T>& t) const {
    if constexpr (!is_half<T>) {
      return out;
    } else {
      if (!sums_) return {};
      return {sums_->data() + n * group_ * L_ * size_, t.H * L_ * size_, L_ * size_, size_,
              t.first_head * L_ * size_};
    }
  }

 private:
  RoundPlaces places_of(int64_t first_head, int64_t heads, int64_t round, int64_t R,
                        const int32_t* order) const {
    return {order, L_, R, first_head, heads, round};
  }

  int64_t L_, size_, heads_, group_;
  std::optional<Workspace<S>> numbers_, sums_;
  std::optional<Workspace<uint8_t>> finite_;
  std::optional<Workspace<int32_t>> places_;
  std::optional<Workspace<std::byte>> space_;
  PlaceSpace found_;
};

/// What forward and backward pass know of a call.
template <class T>
Task<T> task_of(const View& qk, const View& v, const View& order, const View& mask,
                const View& log_sum, const tenet::detail::LshPlan& plan) {
  using S = Compute<T>;
  Task<T> t;
  t.H = qk.shape[1], t.L = qk.shape[2], t.R = order.shape[2];
  t.size = static_cast<int>(qk.shape[3]);
  t.window = std::min(plan.window, t.L);
  t.causal = plan.causal;
  t.scale = static_cast<S>(plan.scale);
  t.drop = static_cast<float>(plan.dropout);
  t.kept = static_cast<S>(1 / (1 - plan.dropout));
  t.random = plan.random;
  t.q = head_rows<const T>(qk), t.v = head_rows<const T>(v);
  t.order = order.as<const int32_t>();
  t.mask = mask.as<const uint8_t>();
  t.log_sum = log_sum.as<S>();
  return t;
}

/// The block's dynamic shared memory.
template <class S>
__device__ inline S* shared_memory() {
  extern __shared__ double2 lsh_shared[];
  return reinterpret_cast<S*>(lsh_shared);
}

/// Blocks of kWarps warps for `count` things.
inline unsigned blocks_for(int64_t count, const char* name) {
  return blocks_of((count + kWarps - 1) / kWarps, name);
}
/// Bytes of `rows` rows of K for each warp of a block.
template <class T>
int64_t row_bytes(int rows, int64_t size) {
  return int64_t{rows} * kWarps * size * static_cast<int64_t>(sizeof(Compute<T>));
}

}  // namespace tenet::cuda::lsh
