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
  T *row, *queries;
  S *scores, *step;
  HeadCopies<T> copies;  // of q and v, and the sums of y

  Scratch(Carver& carver, const LshShape& shape) : copies(carver, shape, 2, 1) {
    const int64_t keys = block_keys<T>(shape);
    strip = carve_strip<T>(carver, keys, shape.size, Sums::values);
    row = carver.take<T>(strip.width);
    queries = carver.take<T>(kPanel<T> * strip.width);
    scores = carver.take<S>(round_up(keys, kKeyUnit<T>) * kPanel<T>);
    step = carver.take<S>(kPanel<T> * strip.width);
  }
};

template <class T>
struct Outputs {
  HeadView<T> y;
  const SharedSums<T>& sums;  // of y, where no thread keeps them
  const KeyFactsSpace<T>& facts;
  Compute<T>*log_sum, *sum;  // [B, H, L]
};

/// One thread's walk over rounds of heads. While they run, log_sum holds the largest score of each
/// position and `sum` the sum of exp(score - largest); the last round divides by it and writes y.
template <class T>
class Rounds {
  using S = Compute<T>;

 public:
  Rounds(const LshShape& shape, const LshInputs<T>& in, const Outputs<T>& out, Scratch<T>& scratch)
      : shape_(shape), in_(in), out_(out), scratch_(scratch) {}

  void open(int64_t head, bool whole) {
    head_ = head;
    const bool copied = whole && scratch_.copies.usable();
    keys_.open(shape_, in_, out_.facts.of_head(head), head, copied ? &scratch_.copies : nullptr);
    sums_ = copied ? scratch_.copies.output(0) : out_.sums.of_head(head);
    y_ = head_rows(out_.y, head / shape_.H, head % shape_.H);
    log_sum_ = out_.log_sum + head * shape_.L, sum_ = out_.sum + head * shape_.L;
  }

  /// Clears positions [first, last).
  void prepare(int64_t first, int64_t last) {
    const uint8_t* mask = in_.mask ? in_.mask + head_ / shape_.H * shape_.L : nullptr;
    for (int64_t i = first; i < last; ++i) {
      keys_.prepare(shape_, i, scratch_.row);
      log_sum_[i] = -std::numeric_limits<S>::infinity();
      sum_[i] = 0;
      if (mask && !mask[i]) std::fill_n(y_[i], shape_.size, T(0));
    }
  }

  /// Takes in the buckets of round r that begin at places [from, to).
  void round(int64_t r, int64_t from, int64_t to) {
    const int32_t* order = in_.order + (head_ * shape_.R + r) * shape_.L;
    visit_blocks<T>(shape_, order, from, to, [&](const BucketBlock& block) {
      pack_block(shape_, keys_, order, block, scratch_.strip);
      for (int64_t first = block.first; first < block.last; first += kPanel<T>) {
        panel(r, block, first);
      }
    });
  }

  void finish(int64_t, int64_t) {}  // the last round has

 private:
  void panel(int64_t r, const BucketBlock& block, int64_t first) {
    const Strip<T>& strip = scratch_.strip;
    look(shape_, block, first, see_);
    see_.close();
    const int32_t* token = strip.token + first - block.low;
    const int64_t width = strip.width;
    state_.clear();
    for (int64_t lane = 0; lane < see_.count; ++lane) {
      prefetch_row(sums_[token[lane]], shape_.size);
      state_.top[lane] = log_sum_[token[lane]];
      state_.sum[lane] = sum_[token[lane]];
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
      const int32_t i = token[lane];
      const S sum = state_.sum[lane], top = state_.top[lane], shrink = state_.shrink[lane];
      const S* step = scratch_.step + lane * scratch_.strip.width;
      const bool kept = sum_[i] != 0;
      sum_[i] = sum;
      log_sum_[i] = done ? top + std::log(sum) : top;
      if (!done) {
        update_row(sums_[i], sums_[i], step, shape_.size, kept, shrink, S(1));
      } else if (sum == 0) {
        std::copy_n(keys_.v[i], shape_.size, y_[i]);
      } else {
        update_row(y_[i], sums_[i], step, shape_.size, kept, shrink, S(1) / sum);
      }
    }
  }

  const LshShape& shape_;
  const LshInputs<T>& in_;
  const Outputs<T>& out_;
  Scratch<T>& scratch_;
  int64_t head_ = 0;
  HeadKeys<T> keys_;  // of the head
  Rows<T> y_;
  Rows<S> sums_;
  S *log_sum_ = nullptr, *sum_ = nullptr;
  Visibility<T> see_;
  PanelState<T> state_;
  PanelDropout<T> dropout_;
};

}  // namespace

template <class T>
void lsh_forward(const LshShape& shape, const LshInputs<T>& in, HeadView<T> y,
                 Compute<T>* log_sum) {
  Carver measure;
  const bool copies = Scratch<T>(measure, shape).copies.usable();
  const int64_t heads = shape.B * shape.H;
  const int threads =
      threads_for(2 * heads * shape.R * shape.L * block_keys<T>(shape) * shape.size);
  const SharedSums<T> sums(y, shape.B, shape.H, shape.L, shape.size,
                           !copies || heads % threads != 0);
  const KeyFactsSpace<T> facts(shape);
  memory::Workspace<Compute<T>> sum(heads * shape.L);
  memory::Workspace<std::byte> space(measure.used() * threads);
  const Outputs<T> out{y, sums, facts, log_sum, sum.data()};
#pragma omp parallel num_threads(threads)
  {
    const TileScope<T> tiles;
    Carver carver(space.data() + measure.used() * omp_get_thread_num());
    Scratch<T> scratch(carver, shape);
    Rounds<T> rounds(shape, in, out, scratch);
    walk_heads(shape, threads, rounds);
  }
}

template void lsh_forward<float>(const LshShape&, const LshInputs<float>&, HeadView<float>, float*);
template void lsh_forward<double>(const LshShape&, const LshInputs<double>&, HeadView<double>,
                                  double*);
#if TENET_HAVE_AVX512
template void lsh_forward<bf16>(const LshShape&, const LshInputs<bf16>&, HeadView<bf16>, float*);
#endif

}  // namespace tenet::detail::tiles
