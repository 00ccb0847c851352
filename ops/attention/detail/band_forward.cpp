#include <omp.h>

#include <tenet/core/memory.h>
#include <tenet/core/parallel.h>
#include <tenet/ops/attention/detail/band.h>

#include <vector>

namespace tenet::detail::tiles {
namespace {

constexpr int64_t kKeys = 128;  // keys of one strip
constexpr int64_t kPanels = 8;  // panels that share a packed strip

/// One thread's scratch space.
template <class T>
struct Scratch {
  using S = Compute<T>;
  Strip<T> strip;
  T *rows, *queries;
  S *scores, *step, *total;
  PanelState<T> state[kPanels];
  PanelDropout<T> dropout[kPanels];
  Visibility<T> see;

  Scratch(Carver& carver, int64_t size) {
    strip = carve_strip<T>(carver, kKeys, size, Sums::values);
    rows = carver.take<T>(kPanel<T> * strip.width);
    queries = carver.take<T>(kPanels * kPanel<T> * strip.width);
    scores = carver.take<S>(kKeys * kPanel<T>);
    step = carver.take<S>(kPanel<T> * strip.width);
    total = carver.take<S>(kPanels * kPanel<T> * strip.width);
  }
};

/// The forward pass of queries [first, last), at most kPanels panels and all of one chunk, of one
/// head.
template <class T>
class QueryBlock {
  using S = Compute<T>;

 public:
  QueryBlock(const BandShape& shape, const BandInputs<T>& in, const VisibleKeys& keys, int64_t head,
             int64_t first, int64_t last, Scratch<T>& scratch)
      : shape_(shape),
        in_(in),
        band_(shape, keys, head / shape.H),
        head_(head),
        first_(first),
        last_(last),
        scratch_(scratch),
        width_(scratch.strip.width) {}

  void run(HeadView<T> y, S* log_sum) {
    pack_queries();
    const Rows<const T> k = head_rows(in_.k, head_ / shape_.H, head_ % shape_.H);
    const Rows<const T> v = head_rows(in_.v, head_ / shape_.H, head_ % shape_.H);
    const int64_t start = band_.begin(first_), stop = band_.end(last_ - 1);
    for (int64_t j = start; j < stop; j += kKeys) {
      const int64_t keys = std::min(kKeys, stop - j);
      pack_band(shape_, band_, k, v, j, keys, scratch_.strip);
      for (int64_t panel = 0; panel < panels(); ++panel) step(panel, j, keys);
    }
    write(y, log_sum);
  }

 private:
  int64_t panels() const { return (last_ - first_ + kPanel<T> - 1) / kPanel<T>; }
  int64_t start_of(int64_t panel) const { return first_ + panel * kPanel<T>; }
  int64_t count_of(int64_t panel) const {
    return std::min<int64_t>(kPanel<T>, last_ - start_of(panel));
  }

  void pack_queries() {
    const Rows<const T> q = head_rows(in_.q, head_ / shape_.H, head_ % shape_.H);
    for (int64_t panel = 0; panel < panels(); ++panel) {
      const int64_t count = count_of(panel);
      pack_rows(scratch_.rows, q, start_of(panel), count, shape_.size, width_);
      const int64_t place = panel * kPanel<T> * width_;
      transpose_panel(scratch_.queries + place, scratch_.rows, count, width_);
      std::fill(scratch_.total + place, scratch_.total + place + kPanel<T> * width_, S(0));
      scratch_.state[panel].clear();
      set_dropout(shape_, in_, head_, start_of(panel), scratch_.dropout[panel]);
    }
  }

  void step(int64_t panel, int64_t start, int64_t keys) {
    const int64_t count = count_of(panel), place = panel * kPanel<T> * width_;
    band_.look<T>(start_of(panel), count, start, keys, nullptr, scratch_.see);
    if (!scratch_.see.any()) return;
    PanelState<T>& state = scratch_.state[panel];
    forward_step(scratch_.strip, scratch_.queries + place, scratch_.see, scratch_.dropout[panel],
                 state, scratch_.scores, scratch_.step);
    for (int64_t i = 0; i < count; ++i) {
      S* total = scratch_.total + place + i * width_;
      const Vector<T> shrink = splat(state.shrink[i]);
      for (int64_t n = 0; n < width_; n += kLanes<T>) {
        store(total + n, fma(load(total + n), shrink, load(scratch_.step + i * width_ + n)));
      }
    }
  }

  void write(HeadView<T> y, S* log_sum) {
    const int64_t b = head_ / shape_.H, h = head_ % shape_.H;
    for (int64_t i = first_; i < last_; ++i) {
      const int64_t panel = (i - first_) / kPanel<T>, lane = (i - first_) % kPanel<T>;
      const S sum = scratch_.state[panel].sum[lane];
      const S* total = scratch_.total + (i - first_) * width_;
      T* to = y.at(b, h) + i * y.row;
      log_sum[head_ * shape_.Lq + i] = scratch_.state[panel].top[lane] + std::log(sum);
      if (sum == 0 && band_.falls_back(i)) {
        std::copy_n(in_.v.at(b, h) + (i + shape_.offset) * in_.v.row, shape_.size, to);
        continue;
      }
      update_row(to, total, total, shape_.size, false, S(0), sum == 0 ? S(0) : S(1) / sum);
    }
  }

  const BandShape& shape_;
  const BandInputs<T>& in_;
  const Band band_;
  const int64_t head_, first_, last_;
  Scratch<T>& scratch_;
  const int64_t width_;
};

/// Where blocks of queries begin: chunks cut into at most kPanels panels, then the end.
template <class T>
std::vector<int64_t> cut_queries(const BandShape& shape) {
  std::vector<int64_t> cuts;
  for (int64_t i = 0; i < shape.Lq;) {
    cuts.push_back(i);
    int64_t next = i + kPanels * kPanel<T>;
    if (shape.chunk > 0) next = std::min(next, i + shape.chunk - (i + shape.offset) % shape.chunk);
    i = std::min(next, shape.Lq);
  }
  cuts.push_back(shape.Lq);
  return cuts;
}

}  // namespace

template <class T>
void band_forward(const BandShape& shape, const BandInputs<T>& in, HeadView<T> y,
                  Compute<T>* log_sum) {
  const std::vector<int64_t> cuts = cut_queries<T>(shape);
  const VisibleKeys keys(shape, in.mask);
  const int64_t blocks = static_cast<int64_t>(cuts.size()) - 1;
  Carver measure;
  (void)Scratch<T>(measure, shape.size);
  const int threads = threads_for(2 * shape.B * shape.H * shape.Lq * band_keys(shape) * shape.size);
  memory::Workspace<std::byte> space(measure.used() * threads);
#pragma omp parallel num_threads(threads)
  {
    const TileScope<T> tiles;
    Carver carver(space.data() + measure.used() * omp_get_thread_num());
    Scratch<T> scratch(carver, shape.size);
#pragma omp for collapse(2) schedule(dynamic)
    for (int64_t head = 0; head < shape.B * shape.H; ++head) {
      for (int64_t reversed = 0; reversed < blocks; ++reversed) {
        const int64_t block = blocks - 1 - reversed;  // the longest first if causal
        QueryBlock<T>(shape, in, keys, head, cuts[block], cuts[block + 1], scratch).run(y, log_sum);
      }
    }
  }
}

template void band_forward<float>(const BandShape&, const BandInputs<float>&, HeadView<float>,
                                  float*);
template void band_forward<double>(const BandShape&, const BandInputs<double>&, HeadView<double>,
                                   double*);
#if TENET_HAVE_AVX512
template void band_forward<bf16>(const BandShape&, const BandInputs<bf16>&, HeadView<bf16>, float*);
#endif

}  // namespace tenet::detail::tiles
