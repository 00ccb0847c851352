#include <omp.h>

#include <tenet/core/memory.h>
#include <tenet/core/parallel.h>
#include <tenet/ops/attention/detail/band.h>
#include <tenet/ops/attention/detail/shared_sums.h>

namespace tenet::detail::tiles {
namespace {

constexpr int64_t kKeys = 256;  // keys of one strip; strips begin at multiples of it

/// One thread's scratch space.
template <class T>
struct Scratch {
  using S = Compute<T>;
  Strip<T> strip;
  PanelGradient<T> panel;
  S *scores, *slopes, *dq, *dk, *dv;

  Scratch(Carver& carver, int64_t size) {
    strip = carve_strip<T>(carver, kKeys, size, Sums::keys);
    panel.q.carve(carver, strip.width);
    panel.dy.carve(carver, strip.width);
    for (S** tile : {&scores, &slopes}) *tile = carver.take<S>(kKeys * kPanel<T>);
    dq = carver.take<S>(kPanel<T> * strip.width);
    for (S** rows : {&dk, &dv}) *rows = carver.take<S>(kKeys * strip.width);
  }
};

template <class T>
struct Gradients {
  HeadView<const T> y, dy;
  const Compute<T>* log_sum;
  Compute<T>* delta;  // dy . y, [B, H, Lq]
  HeadView<T> dq, dk, dv;
  const SharedSums<T>& dq_sums;
};

/// The backward pass of one head, cut into strips of keys and panels of queries. Each gradient is
/// added up in the order of strips (dq) or panels (dk, dv), whichever of the three ways to walk
/// them is taken.
template <class T>
class Head {
  using S = Compute<T>;

 public:
  Head(const BandShape& shape, const BandInputs<T>& in, const VisibleKeys& keys,
       const Gradients<T>& out, int64_t head, Scratch<T>& scratch)
      : shape_(shape),
        in_(in),
        out_(out),
        band_(shape, keys, head / shape.H),
        head_(head),
        b_(head / shape.H),
        h_(head % shape.H),
        scratch_(scratch),
        panel_(scratch.panel),
        width_(scratch.strip.width),
        dq_(out.dq_sums.of_head(head)) {}

  /// Clears dq and computes delta for queries [first, last).
  void prepare(int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      pack_row(panel_.q.rows, out_.y.at(b_, h_) + i * out_.y.row, shape_.size, width_);
      pack_row(panel_.dy.rows, out_.dy.at(b_, h_) + i * out_.dy.row, shape_.size, width_);
      out_.delta[head_ * shape_.Lq + i] = dot(panel_.q.rows, panel_.dy.rows, width_);
      std::fill_n(dq_[i], shape_.size, S(0));
    }
  }

  /// Clears dk and dv of the hidden keys.
  void clear_hidden() {
    for (int64_t j = 0; in_.mask && j < shape_.Lk; ++j) {
      if (in_.mask[b_ * shape_.Lk + j]) continue;
      std::fill_n(head_rows(out_.dk, b_, h_)[j], shape_.size, T(0));
      std::fill_n(head_rows(out_.dv, b_, h_)[j], shape_.size, T(0));
    }
  }

  /// dk and dv of one strip of keys and, if asked for, its share of dq.
  void strip(int64_t index, bool with_dq) {
    const int64_t start = index * kKeys, keys = std::min(kKeys, band_.keys() - start);
    pack_band(shape_, band_, head_rows(in_.k, b_, h_), head_rows(in_.v, b_, h_), start, keys,
              scratch_.strip);
    for (S* rows : {scratch_.dk, scratch_.dv}) {
      std::fill_n(rows, round_up(keys, kKeyUnit<T>) * width_, S(0));
    }
    for (int64_t panel = first_panel(start); panel < panels(); ++panel) {
      if (band_.begin(panel * kPanel<T>) >= start + keys) break;
      step(panel, start, keys, with_dq, true);
    }
    add_fallbacks(keys);
    write_keys(keys);
  }

  /// dq of one panel of queries.
  void panel(int64_t index) {
    const int64_t first = index * kPanel<T>;
    const int64_t last = std::min(first + kPanel<T>, shape_.Lq) - 1;
    const int64_t begin = band_.begin(first), end = band_.end(last);
    for (int64_t start = begin - begin % kKeys; start < end; start += kKeys) {
      const int64_t keys = std::min(kKeys, band_.keys() - start);
      pack_band(shape_, band_, head_rows(in_.k, b_, h_), head_rows(in_.v, b_, h_), start, keys,
                scratch_.strip);
      step(index, start, keys, true, false);
    }
    round_queries(first, last + 1);
  }

  /// Writes dq of queries [first, last), if it was not added up in place.
  void round_queries(int64_t first, int64_t last) {
    if (std::is_same_v<T, S>) return;
    const Rows<T> to = head_rows(out_.dq, b_, h_);
    for (int64_t i = first; i < last; ++i) round_row(to[i], dq_[i], shape_.size);
  }

  int64_t panels() const { return (shape_.Lq + kPanel<T> - 1) / kPanel<T>; }
  int64_t strips() const { return (band_.keys() + kKeys - 1) / kKeys; }

 private:
  /// The first panel with a query that sees key `start` or a later one; ranges end later for later
  /// queries.
  int64_t first_panel(int64_t start) const {
    int64_t low = 0, high = panels();
    while (low < high) {
      const int64_t middle = (low + high) / 2;
      const int64_t last = std::min((middle + 1) * kPanel<T>, shape_.Lq) - 1;
      if (band_.end(last) > start) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return low;
  }

  void step(int64_t panel, int64_t start, int64_t keys, bool with_dq, bool with_dkv) {
    const int64_t first = panel * kPanel<T>;
    const int64_t count = std::min<int64_t>(kPanel<T>, shape_.Lq - first);
    const int64_t place = head_ * shape_.Lq + first;
    band_.look(first, count, start, keys, out_.log_sum + place, see_);
    if (!see_.any()) return;
    std::copy_n(out_.log_sum + place, count, panel_.log_sum);
    std::copy_n(out_.delta + place, count, panel_.delta);
    pack_queries(first, count);
    set_dropout(shape_, in_, head_, first, dropout_);
    backward_step(scratch_.strip, panel_, see_, dropout_, scratch_.scores, scratch_.slopes,
                  with_dq ? scratch_.dq : nullptr, with_dkv ? scratch_.dk : nullptr, scratch_.dv);
    for (int64_t i = 0; with_dq && i < count; ++i) {
      add_row(dq_[first + i], scratch_.dq + i * width_, shape_.size);
    }
  }

  void pack_queries(int64_t first, int64_t count) {
    pack_rows(panel_.q.rows, head_rows(in_.q, b_, h_), first, count, shape_.size, width_);
    pack_rows(panel_.dy.rows, head_rows(out_.dy, b_, h_), first, count, shape_.size, width_);
    panel_.q.turn(panel_.q.rows, count, width_);
    panel_.dy.turn(panel_.dy.rows, count, width_);
  }

  void write_keys(int64_t keys) {
    const Strip<T>& strip = scratch_.strip;
    const Rows<T> to_dk = head_rows(out_.dk, b_, h_), to_dv = head_rows(out_.dv, b_, h_);
    for (int64_t j = 0; j < keys; ++j) {
      S *dk = scratch_.dk + j * width_, *dv = scratch_.dv + j * width_;
      if (shape_.key_scale.normalize) {
        const T* k = strip.k + j * width_;
        normalization_gradient(k, mean_square(k, shape_.size, width_), shape_.size, width_, dk);
      }
      round_row(to_dk[strip.token[j]], dk, shape_.size);
      round_row(to_dv[strip.token[j]], dv, shape_.size);
    }
  }

  /// dv of the keys whose own query saw nothing else.
  void add_fallbacks(int64_t keys) {
    for (int64_t j = 0; shape_.exclude_self && j < keys; ++j) {
      const int64_t i = scratch_.strip.token[j] - shape_.offset;
      if (i < 0 || i >= shape_.Lq) continue;
      if (out_.log_sum[head_ * shape_.Lq + i] != -std::numeric_limits<S>::infinity()) continue;
      add_row(scratch_.dv + j * width_, head_rows(out_.dy, b_, h_)[i], shape_.size);
    }
  }

  const BandShape& shape_;
  const BandInputs<T>& in_;
  const Gradients<T>& out_;
  const Band band_;
  const int64_t head_, b_, h_;
  Scratch<T>& scratch_;
  PanelGradient<T>& panel_;
  const int64_t width_;
  const Rows<S> dq_;
  Visibility<T> see_;
  PanelDropout<T> dropout_;
};

/// Heads that divide evenly among the threads are walked whole, which computes the scores once; the
/// rest are shared out by panels for dq and by strips for dk and dv.
template <class T>
void run_heads(const BandShape& shape, const BandInputs<T>& in, const VisibleKeys& keys,
               const Gradients<T>& out, Scratch<T>& scratch, int threads) {
  const int64_t heads = shape.B * shape.H, whole = heads - heads % threads;
  const auto head = [&](int64_t index) { return Head<T>(shape, in, keys, out, index, scratch); };
#pragma omp for schedule(dynamic) nowait
  for (int64_t index = 0; index < whole; ++index) {
    Head<T> one = head(index);
    one.prepare(0, shape.Lq);
    one.clear_hidden();
    for (int64_t strip = 0; strip < one.strips(); ++strip) one.strip(strip, true);
    one.round_queries(0, shape.Lq);
  }
  for (int64_t index = whole; index < heads; ++index) {
    Head<T> one = head(index);
#pragma omp for schedule(static)
    for (int64_t i = 0; i < shape.Lq; ++i) one.prepare(i, i + 1);
#pragma omp single nowait
    one.clear_hidden();
#pragma omp for schedule(dynamic) nowait
    for (int64_t panel = 0; panel < one.panels(); ++panel) one.panel(panel);
#pragma omp for schedule(dynamic) nowait
    for (int64_t strip = 0; strip < one.strips(); ++strip) one.strip(strip, false);
  }
}

}  // namespace

template <class T>
void band_backward(const BandShape& shape, const BandInputs<T>& in, HeadView<const T> y,
                   HeadView<const T> dy, const Compute<T>* log_sum, HeadView<T> dq, HeadView<T> dk,
                   HeadView<T> dv) {
  const VisibleKeys keys(shape, in.mask);
  memory::Workspace<Compute<T>> delta(shape.B * shape.H * shape.Lq);
  const SharedSums<T> dq_sums(dq, shape.B, shape.H, shape.Lq, shape.size, true);
  const Gradients<T> out{y, dy, log_sum, delta.data(), dq, dk, dv, dq_sums};
  Carver measure;
  (void)Scratch<T>(measure, shape.size);
  const int threads = threads_for(5 * shape.B * shape.H * shape.Lq * band_keys(shape) * shape.size);
  memory::Workspace<std::byte> space(measure.used() * threads);
#pragma omp parallel num_threads(threads)
  {
    const TileScope<T> tiles;
    Carver carver(space.data() + measure.used() * omp_get_thread_num());
    Scratch<T> scratch(carver, shape.size);
    run_heads(shape, in, keys, out, scratch, omp_get_num_threads());
  }
}

template void band_backward<float>(const BandShape&, const BandInputs<float>&,
                                   HeadView<const float>, HeadView<const float>, const float*,
                                   HeadView<float>, HeadView<float>, HeadView<float>);
template void band_backward<double>(const BandShape&, const BandInputs<double>&,
                                    HeadView<const double>, HeadView<const double>, const double*,
                                    HeadView<double>, HeadView<double>, HeadView<double>);
#if TENET_HAVE_AVX512
template void band_backward<bf16>(const BandShape&, const BandInputs<bf16>&, HeadView<const bf16>,
                                  HeadView<const bf16>, const float*, HeadView<bf16>,
                                  HeadView<bf16>, HeadView<bf16>);
#endif

}  // namespace tenet::detail::tiles
