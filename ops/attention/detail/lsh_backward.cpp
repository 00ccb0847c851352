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
  PanelGradient<T> panel;
  S *scores, *slopes, *dq, *dk, *dv;
  T* row;
  HeadCopies<T> copies;  // of q, v and dy, and the sums of dq and dv

  Scratch(Carver& carver, const LshShape& shape) : copies(carver, shape, 3, 2) {
    const int64_t keys = round_up(block_keys<T>(shape), kKeyUnit<T>);
    strip = carve_strip<T>(carver, keys, shape.size, Sums::keys);
    row = carver.take<T>(strip.width);
    panel.q.carve(carver, strip.width);
    panel.dy.carve(carver, strip.width);
    for (S** tile : {&scores, &slopes}) *tile = carver.take<S>(keys * kPanel<T>);
    dq = carver.take<S>(kBlockPanels * kPanel<T> * strip.width);
    for (S** rows : {&dk, &dv}) *rows = carver.take<S>(keys * strip.width);
  }
};

template <class T>
struct Gradients {
  HeadView<const T> y, dy;
  const Compute<T>* log_sum;
  Compute<T>* delta;  // dy . y, [B, H, L]
  HeadView<T> dq, dv;
  const SharedSums<T>&dq_sums, &dv_sums;  // where no thread keeps them
  const KeyFactsSpace<T>& facts;
};

/// One thread's walk over rounds of heads. Within a round buckets share no position, so nothing is
/// added up by two threads; rounds are added in order.
template <class T>
class Rounds {
  using S = Compute<T>;

 public:
  Rounds(const LshShape& shape, const LshInputs<T>& in, const Gradients<T>& out,
         Scratch<T>& scratch)
      : shape_(shape),
        in_(in),
        out_(out),
        scratch_(scratch),
        panel_(scratch.panel),
        width_(scratch.strip.width) {}

  void open(int64_t head, bool whole) {
    head_ = head;
    const HeadCopies<T>& copies = scratch_.copies;
    copied_ = whole && copies.usable();
    keys_.open(shape_, in_, out_.facts.of_head(head), head, copied_ ? &copies : nullptr);
    dy_ = head_rows(out_.dy, head / shape_.H, head % shape_.H);
    if (copied_) dy_ = {copies.input(2).data, copies.input(2).stride};
    dq_ = copied_ ? copies.output(0) : out_.dq_sums.of_head(head);
    dv_ = copied_ ? copies.output(1) : out_.dv_sums.of_head(head);
    log_sum_ = out_.log_sum + head * shape_.L, delta_ = out_.delta + head * shape_.L;
  }

  /// Computes delta, clears dq, which may lie where y does, and starts dv with what went straight
  /// through.
  void prepare(int64_t first, int64_t last) {
    const int64_t b = head_ / shape_.H, h = head_ % shape_.H;
    const Rows<const T> y = head_rows(out_.y, b, h), dy = head_rows(out_.dy, b, h);
    for (int64_t i = first; i < last; ++i) {
      if (i + kPrefetchRows < shape_.L) {
        prefetch_row(y[i + kPrefetchRows], shape_.size);
        prefetch_row(dy[i + kPrefetchRows], shape_.size);
      }
      keys_.prepare(shape_, i, scratch_.row);
      T* const gradient = copied_ ? scratch_.copies.input(2)[i] : scratch_.panel.dy.rows;
      copy_row(gradient, dy[i], shape_.size, width_);
      const bool used = !in_.mask || in_.mask[b * shape_.L + i];
      copy_row(scratch_.row, y[i], shape_.size, width_);
      std::fill_n(dq_[i], shape_.size, S(0));
      if (used && alone(i)) {
        std::copy_n(gradient, shape_.size, dv_[i]);
        continue;
      }
      std::fill_n(dv_[i], shape_.size, S(0));
      if (!used) continue;
      delta_[i] = dot(gradient, scratch_.row, width_);
    }
  }

  /// Adds the gradients of the buckets of round r that begin at places [from, to).
  void round(int64_t r, int64_t from, int64_t to) {
    const int32_t* order = in_.order + (head_ * shape_.R + r) * shape_.L;
    visit_blocks<T>(shape_, order, from, to, [&](const BucketBlock& block) {
      if (block.high - block.low == 1) return;
      pack_block(shape_, keys_, order, block, scratch_.strip);
      const int64_t rows = round_up(block.high - block.low, kKeyUnit<T>);
      for (S* gradient : {scratch_.dk, scratch_.dv}) std::fill_n(gradient, rows * width_, S(0));
      for (int64_t first = block.first; first < block.last; first += kPanel<T>) {
        panel(r, block, first);
      }
      write(block);
    });
  }

  /// Writes the gradients of positions [first, last), if they were not added up in place.
  void finish(int64_t first, int64_t last) {
    if (!copied_ && std::is_same_v<T, S>) return;
    const int64_t b = head_ / shape_.H, h = head_ % shape_.H;
    const Rows<T> dq = head_rows(out_.dq, b, h), dv = head_rows(out_.dv, b, h);
    for (int64_t i = first; i < last; ++i) {
      round_row(dq[i], dq_[i], shape_.size);
      round_row(dv[i], dv_[i], shape_.size);
    }
  }

 private:
  bool alone(int64_t i) const { return log_sum_[i] == -std::numeric_limits<S>::infinity(); }

  void panel(int64_t r, const BucketBlock& block, int64_t first) {
    const Strip<T>& strip = scratch_.strip;
    const int32_t* token = strip.token + first - block.low;
    S* const dq = scratch_.dq + (first - block.first) * width_;
    look(shape_, block, first, see_);
    for (int64_t lane = 0; lane < see_.count; ++lane) {
      if (alone(token[lane])) see_.set(lane, 0, 0, -1);
    }
    see_.close();
    if (!see_.any()) {
      std::fill_n(dq, see_.count * width_, S(0));
      return;
    }
    gather(token);
    set_dropout(shape_, in_, head_, r, token, see_.count, dropout_);
    panel_.q.turn(strip.k + (first - block.low) * width_, see_.count, width_);
    panel_.dy.turn(panel_.dy.rows, see_.count, width_);
    backward_step(strip, panel_, see_, dropout_, scratch_.scores, scratch_.slopes, dq, scratch_.dk,
                  scratch_.dv);
  }

  void gather(const int32_t* token) {
    for (int64_t lane = 0; lane < see_.count; ++lane) {
      if (lane + kPrefetchRows < see_.count) {
        prefetch_row(dy_[token[lane + kPrefetchRows]], shape_.size);
      }
      copy_row(panel_.dy.rows + lane * width_, dy_[token[lane]], shape_.size, width_);
      panel_.log_sum[lane] = log_sum_[token[lane]];
      panel_.delta[lane] = delta_[token[lane]];
    }
  }

  void write(const BucketBlock& block) {
    const Strip<T>& strip = scratch_.strip;
    for (int64_t j = 0; j < strip.count; ++j) {
      S* dk = scratch_.dk + j * width_;
      if (shape_.key_scale.normalize) {
        normalization_gradient(strip.k + j * width_, keys_.facts.mean[strip.token[j]], shape_.size,
                               width_, dk);
      }
      const int64_t query = block.low + j - block.first;
      if (query >= 0 && block.low + j < block.last) {
        add_row(dk, scratch_.dq + query * width_, width_);
      }
      if (j + kPrefetchRows < strip.count) {
        prefetch_row(dq_[strip.token[j + kPrefetchRows]], shape_.size);
        prefetch_row(dv_[strip.token[j + kPrefetchRows]], shape_.size);
      }
      add_row(dq_[strip.token[j]], dk, shape_.size);
      add_row(dv_[strip.token[j]], scratch_.dv + j * width_, shape_.size);
    }
  }

  const LshShape& shape_;
  const LshInputs<T>& in_;
  const Gradients<T>& out_;
  Scratch<T>& scratch_;
  PanelGradient<T>& panel_;
  const int64_t width_;
  int64_t head_ = 0;
  HeadKeys<T> keys_;  // of the head
  Rows<const T> dy_;
  Rows<S> dq_, dv_;
  const S* log_sum_ = nullptr;
  S* delta_ = nullptr;
  bool copied_ = false;
  Visibility<T> see_;
  PanelDropout<T> dropout_;
};

}  // namespace

template <class T>
bool lsh_copies_heads(const LshShape& shape) {
  Carver measure;
  return Scratch<T>(measure, shape).copies.usable();
}

template <class T>
void lsh_backward(const LshShape& shape, const LshInputs<T>& in, HeadView<const T> y,
                  HeadView<const T> dy, const Compute<T>* log_sum, HeadView<T> dq, HeadView<T> dv) {
  Carver measure;
  const bool copies = Scratch<T>(measure, shape).copies.usable();
  const int64_t heads = shape.B * shape.H;
  const int threads =
      threads_for(5 * heads * shape.R * shape.L * block_keys<T>(shape) * shape.size);
  const bool shared = !copies || heads % threads != 0;
  const SharedSums<T> dq_sums(dq, shape.B, shape.H, shape.L, shape.size, shared);
  const SharedSums<T> dv_sums(dv, shape.B, shape.H, shape.L, shape.size, shared);
  const KeyFactsSpace<T> facts(shape);
  memory::Workspace<Compute<T>> delta(heads * shape.L);
  memory::Workspace<std::byte> space(measure.used() * threads);
  const Gradients<T> out{y, dy, log_sum, delta.data(), dq, dv, dq_sums, dv_sums, facts};
#pragma omp parallel num_threads(threads)
  {
    const TileScope<T> tiles;
    Carver carver(space.data() + measure.used() * omp_get_thread_num());
    Scratch<T> scratch(carver, shape);
    Rounds<T> rounds(shape, in, out, scratch);
    walk_heads(shape, threads, rounds);
  }
}

template bool lsh_copies_heads<float>(const LshShape&);
template bool lsh_copies_heads<double>(const LshShape&);
template void lsh_backward<float>(const LshShape&, const LshInputs<float>&, HeadView<const float>,
                                  HeadView<const float>, const float*, HeadView<float>,
                                  HeadView<float>);
template void lsh_backward<double>(const LshShape&, const LshInputs<double>&,
                                   HeadView<const double>, HeadView<const double>, const double*,
                                   HeadView<double>, HeadView<double>);
#if TENET_HAVE_AVX512
template bool lsh_copies_heads<bf16>(const LshShape&);
template void lsh_backward<bf16>(const LshShape&, const LshInputs<bf16>&, HeadView<const bf16>,
                                 HeadView<const bf16>, const float*, HeadView<bf16>,
                                 HeadView<bf16>);
#endif

}  // namespace tenet::detail::tiles
