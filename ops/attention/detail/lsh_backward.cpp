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
  HeadCopies<T> copies;  // of q, v and dy, and dq and dv

  Scratch(Carver& carver, const LshShape& shape) : copies(carver, shape, 3, 2) {
    const int64_t keys = round_up(block_keys<T>(shape), kKeyUnit<T>);
    strip = carve_strip<T>(carver, keys, shape.size, Sums::keys);
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
  HeadView<Compute<T>> dq, dv;
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
    const int64_t b = head / shape_.H, h = head % shape_.H;
    q_ = head_rows(in_.q, b, h), v_ = head_rows(in_.v, b, h), dy_ = head_rows(out_.dy, b, h);
    dq_ = head_rows(out_.dq, b, h), dv_ = head_rows(out_.dv, b, h);
    const HeadCopies<T>& copies = scratch_.copies;
    copied_ = whole && copies.usable();
    if (!copied_) return;
    q_ = copies.input(0, q_), v_ = copies.input(1, v_), dy_ = copies.input(2, dy_);
    dq_ = copies.output(0), dv_ = copies.output(1);
  }
  void close() {
    if (!copied_) return;
    const int64_t b = head_ / shape_.H, h = head_ % shape_.H;
    scratch_.copies.write_back(0, head_rows(out_.dq, b, h));
    scratch_.copies.write_back(1, head_rows(out_.dv, b, h));
  }

  /// Clears dq, starts dv with what went straight through, and computes delta.
  void prepare(int64_t first, int64_t last) {
    const int64_t b = head_ / shape_.H, h = head_ % shape_.H;
    const Rows<const T> y = head_rows(out_.y, b, h);
    for (int64_t i = first; i < last; ++i) {
      const bool used = !in_.mask || in_.mask[b * shape_.L + i];
      std::fill_n(dq_[i], shape_.size, S(0));
      if (used && alone(i)) {
        std::copy_n(dy_[i], shape_.size, dv_[i]);
        continue;
      }
      std::fill_n(dv_[i], shape_.size, S(0));
      if (!used) continue;
      pack_row(panel_.dy.rows, dy_[i], shape_.size, width_);
      pack_row(panel_.q.rows, y[i], shape_.size, width_);
      out_.delta[head_ * shape_.L + i] = dot(panel_.dy.rows, panel_.q.rows, width_);
    }
  }

  /// Adds the gradients of the buckets of round r that begin at places [from, to).
  void round(int64_t r, int64_t from, int64_t to) {
    const int32_t* order = in_.order + (head_ * shape_.R + r) * shape_.L;
    visit_blocks<T>(shape_, order, from, to, [&](const BucketBlock& block) {
      if (block.high - block.low == 1) return;
      pack_block(shape_, q_, v_, order, block, scratch_.strip);
      const int64_t rows = round_up(block.high - block.low, kKeyUnit<T>);
      for (S* gradient : {scratch_.dk, scratch_.dv}) std::fill_n(gradient, rows * width_, S(0));
      for (int64_t first = block.first; first < block.last; first += kPanel<T>) {
        panel(r, block, first);
      }
      write(block);
    });
  }

 private:
  bool alone(int64_t i) const {
    return out_.log_sum[head_ * shape_.L + i] == -std::numeric_limits<S>::infinity();
  }

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
      const int64_t place = head_ * shape_.L + token[lane];
      if (lane + kPrefetchRows < see_.count) {
        prefetch_row(dy_[token[lane + kPrefetchRows]], shape_.size);
      }
      pack_row(panel_.dy.rows + lane * width_, dy_[token[lane]], shape_.size, width_);
      panel_.log_sum[lane] = out_.log_sum[place];
      panel_.delta[lane] = out_.delta[place];
    }
  }

  void write(const BucketBlock& block) {
    const Strip<T>& strip = scratch_.strip;
    for (int64_t j = 0; j < strip.count; ++j) {
      S* dk = scratch_.dk + j * width_;
      if (shape_.key_scale.normalize) {
        normalization_gradient(strip.k + j * width_, shape_.size, width_, dk);
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
  Rows<const T> q_, v_, dy_;  // of the head
  Rows<S> dq_, dv_;
  bool copied_ = false;
  Visibility<T> see_;
  PanelDropout<T> dropout_;
};

}  // namespace

template <class T>
void lsh_backward(const LshShape& shape, const LshInputs<T>& in, HeadView<const T> y,
                  HeadView<const T> dy, const Compute<T>* log_sum, HeadView<Compute<T>> dq,
                  HeadView<Compute<T>> dv) {
  memory::Workspace<Compute<T>> delta(shape.B * shape.H * shape.L);
  const Gradients<T> out{y, dy, log_sum, delta.data(), dq, dv};
  Carver measure;
  (void)Scratch<T>(measure, shape);
  const int threads =
      threads_for(5 * shape.B * shape.H * shape.R * shape.L * block_keys<T>(shape) * shape.size);
  memory::Workspace<std::byte> space(measure.used() * threads);
#pragma omp parallel num_threads(threads)
  {
    const TileScope<T> tiles;
    Carver carver(space.data() + measure.used() * omp_get_thread_num());
    Scratch<T> scratch(carver, shape);
    Rounds<T> rounds(shape, in, out, scratch);
    walk_heads(shape, rounds);
  }
}

template void lsh_backward<float>(const LshShape&, const LshInputs<float>&, HeadView<const float>,
                                  HeadView<const float>, const float*, HeadView<float>,
                                  HeadView<float>);
template void lsh_backward<double>(const LshShape&, const LshInputs<double>&,
                                   HeadView<const double>, HeadView<const double>, const double*,
                                   HeadView<double>, HeadView<double>);
#if TENET_HAVE_AMX
template void lsh_backward<bf16>(const LshShape&, const LshInputs<bf16>&, HeadView<const bf16>,
                                 HeadView<const bf16>, const float*, HeadView<float>,
                                 HeadView<float>);
#endif

}  // namespace tenet::detail::tiles
