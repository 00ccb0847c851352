/// The forward pass of LSH attention of 16-bit types, and its step.
#pragma once

#include <tenet/cuda/detail/lsh_places_task.h>
#include <tenet/cuda/detail/lsh_tile_task.h>

namespace tenet::cuda::lsh {

/// Keys in the order in which they are taken, [low, high) of `entries`, and what is known of them:
/// by position, or by entry.
template <class T>
struct TileKeys {
  const int32_t* entries = nullptr;
  int low = 0, high = 0;
  const T *k = nullptr, *v = nullptr;
  int64_t k_row = 0, v_row = 0;
  const float* factor = nullptr;
  const uint8_t* finite = nullptr;
  bool by_entry = false;
};

/// 16 queries for each warp of a block against runs of keys, two in flight. W is the size rounded
/// up. Whatever a row does not see is an exact term of 0, or nothing at all: its bits depend on its
/// own keys and their places in runs alone.
template <class M, class T, int W>
class TileSoftmax {
 public:
  static constexpr int kElements = kTile * kStride<W>;
  TENET_HD static constexpr int64_t bytes(int warps) {
    return (16 * warps * kStride<W> + 4 * kElements) * int64_t{sizeof(T)} + 6 * kTile * 4 +
           warps * 4;
  }

  /// What this thread's two rows see: [low, end) but not `self`. The row of the output and of its
  /// sums; -1 stands for no row.
  int low[2] = {}, end[2] = {}, self[2] = {-1, -1};
  float top[2] = {}, sum[2] = {};
  Sums16<W> total;

  TENET_GPU TileSoftmax(void* shared, int size, bool aligned)
      : queries_(static_cast<T*>(shared)),
        tiles_(queries_ + M::threads() / 2 * kStride<W>),
        factors_(reinterpret_cast<float*>(tiles_ + 4 * kElements)),
        tokens_(reinterpret_cast<int*>(factors_ + 2 * kTile)),
        faulty_(tokens_ + 2 * kTile),
        size_(size),
        aligned_(aligned) {}

  /// A number for each warp.
  TENET_GPU int* numbers() const { return faulty_ + 2 * kTile; }

  TENET_GPU void clear_state() {
    clear(total);
    TENET_UNROLL
    for (int row = 0; row < 2; ++row) top[row] = nothing<float>, sum[row] = 0;
  }
  /// The sums of a row are one lane's from here on.
  TENET_GPU void gather_sums() {
    TENET_UNROLL
    for (int row = 0; row < 2; ++row) {
      const float all = row_sum<M>(sum[row]);
      sum[row] = M::thread() % 4 == 0 ? all : 0.0f;
    }
  }

  /// Starts to load the rows row_of(r), which may be null, of the block's queries.
  template <class RowOf>
  TENET_GPU void load_queries(const T* any, RowOf&& row_of) {
    for (int n = M::thread(); n < M::threads() / 2 * (W / 8); n += M::threads()) {
      const int r = n / (W / 8);
      load_part<M>(queries_ + r * kStride<W>, row_of(r), n % (W / 8), size_, aligned_, any);
    }
  }

  /// Takes all keys in, starting a run at `start`; keep(tokens) says which weights dropout keeps:
  /// kept_bits(), or all ones if there is none.
  template <class Keep>
  TENET_GPU void take(const TileKeys<T>& keys, int start, Keep&& keep) {
    load(keys, start, 0);
    int buffer = 0;
    for (int first = start; first < keys.high; first += kTile, buffer ^= 1) {
      load(keys, first + kTile, buffer ^ 1);
      M::template wait_for_copies<1>();
      M::barrier();
      if (first == start) {
        load_rows<M, T, W>(queries_ + M::thread() / 32 * 16 * kStride<W>, rows_);
      }
      step(keys, first, buffer, keep);
      M::barrier();
    }
    M::template wait_for_copies<0>();
    M::barrier();
  }

 private:
  TENET_GPU T* keys_of(int buffer) const { return tiles_ + buffer * 2 * kElements; }
  TENET_GPU T* values_of(int buffer) const { return keys_of(buffer) + kElements; }

  TENET_GPU void load(const TileKeys<T>& keys, int start, int buffer) {
    const bool any = start < keys.high;
    for (int n = M::thread(); any && n < kTile * (W / 8); n += M::threads()) {
      const int r = n / (W / 8), part = n % (W / 8), at = start + r;
      const bool there = at >= keys.low && at < keys.high;
      const int position = there ? position_of(keys.entries[at]) : 0;
      const int fact = keys.by_entry ? at : position;
      const bool finite = there && keys.finite[fact] != 0;
      load_part<M>(keys_of(buffer) + r * kStride<W>,
                   there ? keys.k + position * keys.k_row : nullptr, part, size_, aligned_, keys.k);
      load_part<M>(values_of(buffer) + r * kStride<W>,
                   finite ? keys.v + position * keys.v_row : nullptr, part, size_, aligned_,
                   keys.v);
      if (part > 0) continue;
      factors_[buffer * kTile + r] = there ? keys.factor[fact] * kLog2E : 0.0f;
      tokens_[buffer * kTile + r] = position;
      faulty_[buffer * kTile + r] = there && !finite;
    }
    M::commit_copies();
  }

  TENET_GPU bool sees(int row, int key) const {
    return key >= low[row] && key < end[row] && key != self[row];
  }

  template <class Keep>
  TENET_GPU void step(const TileKeys<T>& keys, int start, int buffer, Keep&& keep) {
    const bool mine =
        start < greater(end[0], end[1]) && (start + kTile > low[0] || start + kTile > low[1]);
    if (warp_least<M>(mine ? 0 : 1) != 0) return;
    const uint32_t kept = keep(tokens_ + buffer * kTile);
    Sums16<kTile> s;
    multiply_rows<M, T, W>(rows_, keys_of(buffer), s);
    const int lane = M::thread() % 32;
    TENET_UNROLL
    for (int n = 0; n < kTile / 8; ++n) {
      TENET_UNROLL
      for (int e = 0; e < 4; ++e) {
        const int key = n * 8 + mma::c_place(lane, e).column;
        const float score = times(s[n][e], factors_[buffer * kTile + key]);
        s[n][e] = sees(e / 2, start + key) ? score : nothing<float>;
      }
    }
    soften(s);
    if (kept != ~0u) {
      TENET_UNROLL
      for (int n = 0; n < kTile / 8; ++n) {
        TENET_UNROLL
        for (int e = 0; e < 4; ++e) s[n][e] = kept >> (n * 4 + e) & 1 ? s[n][e] : 0.0f;
      }
    }
    multiply_sums<M, T, W>(s, values_of(buffer), total);
    const int own = faulty_[buffer * kTile + lane];
    if (warp_least<M>(-own) != 0) add_faulty(keys, s, start, buffer);
  }

  /// A step of the online softmax: s becomes 2^(s - top), the sums so far shrink.
  TENET_GPU void soften(Sums16<kTile>& s) {
    TENET_UNROLL
    for (int row = 0; row < 2; ++row) {
      float largest = nothing<float>;
      TENET_UNROLL
      for (int n = 0; n < kTile / 8; ++n) {
        largest = fmaxf(largest, fmaxf(s[n][row * 2], s[n][row * 2 + 1]));
      }
      largest = fmaxf(top[row], row_top<M>(largest));
      const float base = largest == nothing<float> ? 0.0f : largest;
      const float shrink = M::exp2(top[row] - base);
      top[row] = largest;
      float more = 0;
      TENET_UNROLL
      for (int n = 0; n < kTile / 8; ++n) {
        TENET_UNROLL
        for (int e = row * 2; e < row * 2 + 2; ++e) {
          s[n][e] = M::exp2(s[n][e] - base);
          more += s[n][e];
        }
      }
      sum[row] = multiply_add(sum[row], shrink, more);
      TENET_UNROLL
      for (int n = 0; n < W / 8; ++n) {
        total[n][row * 2] = times(total[n][row * 2], shrink);
        total[n][row * 2 + 1] = times(total[n][row * 2 + 1], shrink);
      }
    }
  }

  /// Adds p v of the values that are not finite, which the tile holds as zeros, to the rows that
  /// see them.
  TENET_GPU void add_faulty(const TileKeys<T>& keys, const Sums16<kTile>& s, int start,
                            int buffer) {
    const int lane = M::thread() % 32;
    TENET_ROLL
    for (int r = 0; r < kTile; ++r) {
      if (!faulty_[buffer * kTile + r]) continue;
      float own[2] = {};
      TENET_UNROLL
      for (int n = 0; n < kTile / 8; ++n) {
        TENET_UNROLL
        for (int e = 0; e < 2; ++e) {
          if (n == r / 8 && e == r % 2) own[0] = s[n][e], own[1] = s[n][2 + e];
        }
      }
      const int holder = lane / 4 * 4 + r % 8 / 2;
      const float weight[2] = {M::shuffle(own[0], holder), M::shuffle(own[1], holder)};
      const T* v = keys.v + tokens_[buffer * kTile + r] * keys.v_row;
      TENET_UNROLL
      for (int row = 0; row < 2; ++row) {
        if (!sees(row, start + r)) continue;
        visit_row<M, W>(row, [&](int n, int e, int column) {
          if (column < size_)
            total[n][e] = multiply_add(weight[row], float(v[column]), total[n][e]);
        });
      }
    }
  }

  T *queries_, *tiles_;
  float* factors_;
  int *tokens_, *faulty_;
  int size_;
  bool aligned_;
  Rows16<W> rows_;
};

/// Writes row `row` of the sums: y = o kept / sum, or the query's own value if it sees nothing.
template <class M, class T, int W>
TENET_GPU void write_row(const TileSoftmax<M, T, W>& softmax, int row, float sum, float kept,
                         const T* own, T* y, int size, bool aligned) {
  const float share = kept / sum;
  if (sum == 0) {
    for (int n = M::thread() % 4; n < size; n += 4) y[n] = own[n];
    return;
  }
  visit_pairs<M, W>([&](int n, int column) {
    const float(&total)[4] = softmax.total[n];
    store_pair<M>(y, column, size, aligned,
                  {times(total[row * 2], share), times(total[row * 2 + 1], share)});
  });
}

/// Round t.round of the blocks of places M::block(), M::block() + t.grid, ... in blocks of 128
/// threads.
template <class M, class T, int W>
TENET_GPU void tile_forward_block(const Task<T>& t, int64_t number, void* shared) {
  TileSoftmax<M, T, W> softmax(shared, t.size, t.aligned);
  const int64_t after = t.causal ? 0 : t.window;
  const PlaceBlock block = place_block<M>(t, number, block_places, after, softmax.numbers());
  const int64_t head = block.head, b = head / t.H, h = head % t.H, group = number - number % t.L;
  const int32_t* order = t.order_of(head);
  softmax.load_queries(t.q.data, [&](int r) {
    const int place = block.first + r;
    return place < block.last ? t.q.at(b, h, position_of(order[place])) : nullptr;
  });
  softmax.clear_state();
  const int lane = M::thread() % 32;
  int position[2];
  TENET_UNROLL
  for (int row = 0; row < 2; ++row) {
    const int place = block.first + M::thread() / 32 * 16 + lane / 4 + row * 8;
    position[row] = place < block.last ? position_of(order[place]) : -1;
    if (position[row] < 0) continue;
    softmax.low[row] = static_cast<int>(greater(block.begin, place - t.window));
    softmax.end[row] = t.causal ? place : static_cast<int>(lesser(block.end, place + t.window + 1));
    softmax.self[row] = place;
    if (t.opens()) continue;
    const int64_t i = position[row];
    softmax.top[row] = t.log_sum[head * t.L + i];
    if (lane % 4 == 0) softmax.sum[row] = t.sum[group + i];
    const float* sums = t.y_sums.at(b, h, i);
    visit_pairs<M, W>([&](int n, int column) {
      const Pair pair = load_pair(sums, column, t.size, t.aligned);
      softmax.total[n][row * 2] = pair.low, softmax.total[n][row * 2 + 1] = pair.high;
    });
  }
  TileKeys<T> keys;
  keys.entries = order;
  keys.low = block.begin;
  keys.high =
      t.causal ? block.last - 1 : static_cast<int>(lesser(block.end, block.last + t.window));
  keys.k = t.q.at(b, h, 0), keys.v = t.v.at(b, h, 0);
  keys.k_row = t.q.row, keys.v_row = t.v.row;
  keys.factor = t.factor + group, keys.finite = t.finite + group;
  softmax.take(keys, static_cast<int>(t.first_run(block.first, block.begin)),
               [&](const int* tokens) {
                 return t.drop > 0 ? kept_bits<M>(t, head, position, tokens, false) : ~0u;
               });
  softmax.gather_sums();
  TENET_UNROLL
  for (int row = 0; row < 2; ++row) {
    const float sum = M::shuffle(softmax.sum[row], lane / 4 * 4);
    if (position[row] < 0) continue;
    const int64_t i = position[row];
    if (lane % 4 == 0) {
      t.log_sum[head * t.L + i] =
          t.closes() ? softmax.top[row] * kLn2 + math::log(sum) : softmax.top[row];
      t.sum[group + i] = sum;
    }
    if (t.closes()) {
      write_row(softmax, row, sum, t.kept, t.v.at(b, h, i), t.out.at(b, h, i), t.size, t.aligned);
      continue;
    }
    float* const sums = t.y_sums.at(b, h, i);
    visit_pairs<M, W>([&](int n, int column) {
      const float(&total)[4] = softmax.total[n];
      store_pair<M>(sums, column, t.size, t.aligned, {total[row * 2], total[row * 2 + 1]});
    });
  }
}
template <class M, class T, int W>
TENET_GPU void tile_forward(const Task<T>& t, void* shared) {
  for (int64_t n = M::block(); n < *t.count; n += t.grid) {
    tile_forward_block<M, T, W>(t, t.first[n], shared);
  }
}

/// The row that tile_forward() gives a query which sees those positions; a warp for head
/// M::block().
template <class M, class T, int W>
TENET_GPU void tile_step(const StepTask<T>& t, void* shared) {
  TileSoftmax<M, T, W> softmax(shared, t.size, t.aligned);
  const int64_t head = M::block(), b = head / t.H, h = head % t.H;
  const int lane = M::thread() % 32;
  softmax.clear_state();
  for (int64_t r = 0; r < t.R; ++r) {
    const int64_t list = (head * t.R + r) * t.room;
    TileKeys<T> keys;
    keys.entries = t.seen + list;
    const auto room = static_cast<int>(t.room);
    int low = room, count = 0;
    for (int n = lane; n < room; n += 32) {
      if (keys.entries[n] >= 0) low = n < low ? n : low, ++count;
    }
    keys.low = warp_least<M>(low);
    keys.high = keys.low + warp_sum<M>(count);
    keys.k = t.k.at(b, h, 0), keys.v = t.v.at(b, h, 0);
    keys.k_row = t.k.row, keys.v_row = t.v.row;
    keys.factor = t.factor + list, keys.finite = t.finite + list;
    keys.by_entry = true;
    if (lane / 4 == 0) softmax.low[0] = keys.low, softmax.end[0] = keys.high;
    softmax.load_queries(t.q.data, [&](int row) { return row == 0 ? t.q.at(b, h, 0) : nullptr; });
    softmax.take(keys, 0, [](const int*) { return ~0u; });
    softmax.gather_sums();
  }
  const float sum = M::shuffle(softmax.sum[0], lane / 4 * 4);
  if (lane / 4 == 0)
    write_row(softmax, 0, sum, 1.0f, t.own.at(b, h, 0), t.y.at(b, h, 0), t.size, t.aligned);
}

}  // namespace tenet::cuda::lsh
