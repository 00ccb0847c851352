#include <omp.h>

#include <tenet/core/memory.h>
#include <tenet/ops/attention/detail/lsh.h>

namespace tenet::detail::tiles {
namespace {

/// One thread's scratch space.
template <class T>
struct Scratch {
  Strip<T> strip;
  T *dy, *q_panel, *dy_panel, *scores, *slopes, *dq, *dk, *dv;
  HeadCopies<T> copies;  // of q, v, dy, dq and dv

  Scratch(Carver& carver, const LshShape& shape) : copies(carver, shape, 5) {
    const int64_t keys = round_up(block_keys<T>(shape), kRows<T>);
    strip = carve_strip<T>(carver, keys, shape.size);
    const int64_t panel = kPanel<T> * strip.width;
    for (T** rows : {&dy, &q_panel, &dy_panel}) *rows = carver.take<T>(panel);
    for (T** tile : {&scores, &slopes}) *tile = carver.take<T>(keys * kPanel<T>);
    dq = carver.take<T>(kBlockPanels * panel);
    for (T** rows : {&dk, &dv}) *rows = carver.take<T>(keys * strip.width);
  }
};

template <class T>
struct Gradients {
  HeadView<const T> y, dy;
  const T* log_sum;
  T* delta;  // dy . y, [B, H, L]
  HeadView<T> dq, dv;
};

/// One thread's walk over rounds of heads. Within a round buckets share no position, so nothing is
/// added up by two threads; rounds are added in order.
template <class T>
class Rounds {
 public:
  Rounds(const LshShape& shape, const LshInputs<T>& in, const Gradients<T>& out,
         Scratch<T>& scratch)
      : shape_(shape), in_(in), out_(out), scratch_(scratch), width_(scratch.strip.width) {}

  void open(int64_t head, bool whole) {
    head_ = head;
    const int64_t b = head / shape_.H, h = head % shape_.H;
    q_ = head_rows(in_.q, b, h), v_ = head_rows(in_.v, b, h), dy_ = head_rows(out_.dy, b, h);
    dq_ = head_rows(out_.dq, b, h), dv_ = head_rows(out_.dv, b, h);
    const HeadCopies<T>& copies = scratch_.copies;
    copied_ = whole && copies.usable();
    if (!copied_) return;
    q_ = copies.copy(0, q_), v_ = copies.copy(1, v_), dy_ = copies.copy(2, dy_);
    dq_ = copies.rows(3), dv_ = copies.rows(4);
  }
  void close() {
    if (!copied_) return;
    const int64_t b = head_ / shape_.H, h = head_ % shape_.H;
    scratch_.copies.write_back(3, head_rows(out_.dq, b, h));
    scratch_.copies.write_back(4, head_rows(out_.dv, b, h));
  }

  /// Clears dq, starts dv with what went straight through, and computes delta.
  void prepare(int64_t first, int64_t last) {
    const int64_t b = head_ / shape_.H, h = head_ % shape_.H;
    const Rows<const T> y = head_rows(out_.y, b, h);
    for (int64_t i = first; i < last; ++i) {
      const bool used = !in_.mask || in_.mask[b * shape_.L + i];
      std::fill_n(dq_[i], shape_.size, T(0));
      if (used && alone(i)) {
        std::copy_n(dy_[i], shape_.size, dv_[i]);
        continue;
      }
      std::fill_n(dv_[i], shape_.size, T(0));
      if (!used) continue;
      pack_row(scratch_.dy, dy_[i], shape_.size, width_);
      pack_row(scratch_.dq, y[i], shape_.size, width_);
      out_.delta[head_ * shape_.L + i] = dot(scratch_.dy, scratch_.dq, width_);
    }
  }

  /// Adds the gradients of the buckets of round r that begin at places [from, to).
  void round(int64_t r, int64_t from, int64_t to) {
    const int32_t* order = in_.order + (head_ * shape_.R + r) * shape_.L;
    visit_blocks<T>(shape_, order, from, to, [&](const BucketBlock& block) {
      if (block.high - block.low == 1) return;
      pack_block(shape_, q_, v_, order, block, scratch_.strip);
      const int64_t rows = round_up(block.high - block.low, kRows<T>);
      for (T* gradient : {scratch_.dk, scratch_.dv}) std::fill_n(gradient, rows * width_, T(0));
      for (int64_t first = block.first; first < block.last; first += kPanel<T>) {
        panel(r, block, first);
      }
      write(block);
    });
  }

 private:
  bool alone(int64_t i) const {
    return out_.log_sum[head_ * shape_.L + i] == -std::numeric_limits<T>::infinity();
  }

  void panel(int64_t r, const BucketBlock& block, int64_t first) {
    const Strip<T>& strip = scratch_.strip;
    const int32_t* token = strip.token + first - block.low;
    T* const dq = scratch_.dq + (first - block.first) * width_;
    look(shape_, block, first, see_);
    for (int64_t lane = 0; lane < see_.count; ++lane) {
      if (alone(token[lane])) see_.set(lane, 0, 0, -1);
    }
    see_.close();
    if (!see_.any()) {
      std::fill_n(dq, see_.count * width_, T(0));
      return;
    }
    gather(token);
    set_dropout(shape_, in_, head_, r, token, see_.count, dropout_);
    panel_.q = strip.k + (first - block.low) * width_;
    panel_.dy = scratch_.dy;
    transpose_panel(scratch_.q_panel, panel_.q, see_.count, width_);
    transpose_panel(scratch_.dy_panel, panel_.dy, see_.count, width_);
    panel_.q_panel = scratch_.q_panel;
    panel_.dy_panel = scratch_.dy_panel;
    backward_step(strip, panel_, see_, dropout_, scratch_.scores, scratch_.slopes, dq, scratch_.dk,
                  scratch_.dv);
  }

  void gather(const int32_t* token) {
    for (int64_t lane = 0; lane < see_.count; ++lane) {
      const int64_t place = head_ * shape_.L + token[lane];
      if (lane + kPrefetchRows < see_.count) {
        prefetch_row(dy_[token[lane + kPrefetchRows]], shape_.size);
      }
      pack_row(scratch_.dy + lane * width_, dy_[token[lane]], shape_.size, width_);
      panel_.log_sum[lane] = out_.log_sum[place];
      panel_.delta[lane] = out_.delta[place];
    }
  }

  void write(const BucketBlock& block) {
    const Strip<T>& strip = scratch_.strip;
    for (int64_t j = 0; j < strip.count; ++j) {
      T* dk = scratch_.dk + j * width_;
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
  const int64_t width_;
  int64_t head_ = 0;
  Rows<const T> q_, v_, dy_;  // of the head
  Rows<T> dq_, dv_;
  bool copied_ = false;
  Visibility<T> see_;
  PanelDropout<T> dropout_;
  PanelGradient<T> panel_;
};

}  // namespace

template <class T>
void lsh_backward(const LshShape& shape, const LshInputs<T>& in, HeadView<const T> y,
                  HeadView<const T> dy, const T* log_sum, HeadView<T> dq, HeadView<T> dv) {
  memory::Workspace<T> delta(shape.B * shape.H * shape.L);
  const Gradients<T> out{y, dy, log_sum, delta.data(), dq, dv};
  Carver measure;
  (void)Scratch<T>(measure, shape);
  const int threads =
      threads_for(5 * shape.B * shape.H * shape.R * shape.L * block_keys<T>(shape) * shape.size);
  memory::Workspace<std::byte> space(measure.used() * threads);
#pragma omp parallel num_threads(threads)
  {
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

}  // namespace tenet::detail::tiles
