#include <omp.h>

#include <tenet/core/memory.h>
#include <tenet/ops/attention/detail/lsh.h>

namespace tenet::detail::tiles {
namespace {

/// One thread's scratch space.
template <class T>
struct Scratch {
  using S = Compute<T>;
  Strip<T> strip;
  T* queries;
  S *scores, *step;
  HeadCopies<T> copies;  // of q and v, and y

  Scratch(Carver& carver, const LshShape& shape) : copies(carver, shape, 2, 1) {
    const int64_t keys = block_keys<T>(shape);
    strip = carve_strip<T>(carver, keys, shape.size, Sums::values);
    queries = carver.take<T>(kPanel<T> * strip.width);
    scores = carver.take<S>(round_up(keys, kKeyUnit<T>) * kPanel<T>);
    step = carver.take<S>(kPanel<T> * strip.width);
  }
};

/// One thread's walk over rounds of heads. While they run, log_sum holds the largest score of each
/// position and `sum` the sum of exp(score - largest); y is not yet divided by it.
template <class T>
class Rounds {
  using S = Compute<T>;

 public:
  Rounds(const LshShape& shape, const LshInputs<T>& in, HeadView<S> y, S* log_sum, S* sum,
         Scratch<T>& scratch)
      : shape_(shape), in_(in), out_(y), log_sum_(log_sum), sum_(sum), scratch_(scratch) {}

  void open(int64_t head, bool whole) {
    head_ = head;
    const int64_t b = head / shape_.H, h = head % shape_.H;
    q_ = head_rows(in_.q, b, h), v_ = head_rows(in_.v, b, h), y_ = head_rows(out_, b, h);
    copied_ = whole && scratch_.copies.usable();
    if (!copied_) return;
    q_ = scratch_.copies.input(0, q_), v_ = scratch_.copies.input(1, v_);
    y_ = scratch_.copies.output(0);
  }
  void close() {
    if (!copied_) return;
    scratch_.copies.write_back(0, head_rows(out_, head_ / shape_.H, head_ % shape_.H));
  }

  /// Clears positions [first, last).
  void prepare(int64_t first, int64_t last) {
    const uint8_t* mask = in_.mask ? in_.mask + head_ / shape_.H * shape_.L : nullptr;
    for (int64_t i = first; i < last; ++i) {
      log_sum_[head_ * shape_.L + i] = -std::numeric_limits<S>::infinity();
      sum_[head_ * shape_.L + i] = 0;
      if (mask && !mask[i]) std::fill_n(y_[i], shape_.size, S(0));
    }
  }

  /// Takes in the buckets of round r that begin at places [from, to).
  void round(int64_t r, int64_t from, int64_t to) {
    const int32_t* order = in_.order + (head_ * shape_.R + r) * shape_.L;
    visit_blocks<T>(shape_, order, from, to, [&](const BucketBlock& block) {
      pack_block(shape_, q_, v_, order, block, scratch_.strip);
      for (int64_t first = block.first; first < block.last; first += kPanel<T>) {
        panel(r, block, first);
      }
    });
  }

 private:
  void panel(int64_t r, const BucketBlock& block, int64_t first) {
    const Strip<T>& strip = scratch_.strip;
    look(shape_, block, first, see_);
    see_.close();
    const int32_t* token = strip.token + first - block.low;
    const int64_t width = strip.width, place = head_ * shape_.L;
    state_.clear();
    for (int64_t lane = 0; lane < see_.count; ++lane) {
      state_.top[lane] = log_sum_[place + token[lane]];
      state_.sum[lane] = sum_[place + token[lane]];
    }
    if (see_.any()) {
      set_dropout(shape_, in_, head_, r, token, see_.count, dropout_);
      transpose_panel(scratch_.queries, strip.k + (first - block.low) * width, see_.count, width);
      forward_step(strip, scratch_.queries, see_, dropout_, state_, scratch_.scores, scratch_.step);
    } else if (r + 1 < shape_.R) {
      return;
    } else {
      std::fill_n(scratch_.step, see_.count * width, S(0));
      std::fill_n(state_.shrink, kPanel<T>, S(1));
    }
    write(r, token);
  }

  void write(int64_t r, const int32_t* token) {
    const bool done = r + 1 == shape_.R;
    for (int64_t lane = 0; lane < see_.count; ++lane) {
      const int64_t place = head_ * shape_.L + token[lane];
      const S sum = state_.sum[lane], top = state_.top[lane];
      S* y = y_[token[lane]];
      const bool kept = sum_[place] != 0;
      sum_[place] = sum;
      log_sum_[place] = done ? top + std::log(sum) : top;
      if (done && sum == 0) {
        std::copy_n(v_[token[lane]], shape_.size, y);
      } else {
        update_row(y, scratch_.step + lane * scratch_.strip.width, shape_.size, kept,
                   state_.shrink[lane], done ? S(1) / sum : S(1));
      }
    }
  }

  const LshShape& shape_;
  const LshInputs<T>& in_;
  const HeadView<S> out_;
  S* const log_sum_;
  S* const sum_;
  Scratch<T>& scratch_;
  int64_t head_ = 0;
  Rows<const T> q_, v_;  // of the head
  Rows<S> y_;
  bool copied_ = false;
  Visibility<T> see_;
  PanelState<T> state_;
  PanelDropout<T> dropout_;
};

}  // namespace

template <class T>
void lsh_forward(const LshShape& shape, const LshInputs<T>& in, HeadView<Compute<T>> y,
                 Compute<T>* log_sum) {
  memory::Workspace<Compute<T>> sum(shape.B * shape.H * shape.L);
  Carver measure;
  (void)Scratch<T>(measure, shape);
  const int threads =
      threads_for(2 * shape.B * shape.H * shape.R * shape.L * block_keys<T>(shape) * shape.size);
  memory::Workspace<std::byte> space(measure.used() * threads);
#pragma omp parallel num_threads(threads)
  {
    const TileScope<T> tiles;
    Carver carver(space.data() + measure.used() * omp_get_thread_num());
    Scratch<T> scratch(carver, shape);
    Rounds<T> rounds(shape, in, y, log_sum, sum.data(), scratch);
    walk_heads(shape, rounds);
  }
}

template void lsh_forward<float>(const LshShape&, const LshInputs<float>&, HeadView<float>, float*);
template void lsh_forward<double>(const LshShape&, const LshInputs<double>&, HeadView<double>,
                                  double*);
#if TENET_HAVE_AMX
template void lsh_forward<bf16>(const LshShape&, const LshInputs<bf16>&, HeadView<float>, float*);
#endif

}  // namespace tenet::detail::tiles
