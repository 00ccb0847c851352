#include <omp.h>

#include <tenet/core/half.h>
#include <tenet/core/memory.h>
#include <tenet/ops/attention/detail/lsh.h>

namespace tenet::detail::tiles {
namespace {

/// One thread's scratch space.
template <class T>
struct Scratch {
  using S = Compute<T>;
  Strip<T> strip;
  T *query, *queries;
  S *scores, *step;
  S* sums;
  T *key, *values;  // rows widened from a half type

  Scratch(Carver& carver, const LshShape& shape) {
    const int64_t keys = shape.window + kBucketRun;
    strip = carve_strip<T>(carver, keys, shape.size, Sums::values);
    query = carver.take<T>(strip.width);
    queries = carver.take<T>(kPanel<T> * strip.width);
    scores = carver.take<S>(round_up(keys, kKeyUnit<T>) * kPanel<T>);
    step = carver.take<S>(kPanel<T> * strip.width);
    sums = carver.take<S>(strip.width);
    key = carver.take<T>(shape.size);
    values = carver.take<T>(keys * shape.size);
  }
};

/// `row` itself, or widened into `space`.
template <class T, class Kept>
const T* widened(const Kept* row, int64_t size, T* space) {
  if constexpr (std::is_same_v<T, Kept>) {
    return row;
  } else {
    for (int64_t n = 0; n < size; ++n) space[n] = static_cast<T>(row[n]);
    return space;
  }
}

/// Copies the positions that a round shows, behind as many zeros as are before them; how many are.
template <class T, class Kept>
int64_t pack_seen(const LshShape& shape, const Rows<const Kept>& k, const Rows<const Kept>& v,
                  const int32_t* seen, Scratch<T>& scratch) {
  begin_keys(scratch.strip);
  const int64_t room = shape.window + kBucketRun;
  int64_t before = 0;
  for (; before < kBucketRun && seen[before] < 0; ++before) append_nothing(scratch.strip);
  for (int64_t count = before; count < room && seen[count] >= 0; ++count) {
    if (count + kPrefetchRows < room && seen[count + kPrefetchRows] >= 0) {
      prefetch_row(k[seen[count + kPrefetchRows]], shape.size);
      prefetch_row(v[seen[count + kPrefetchRows]], shape.size);
    }
    append_key(scratch.strip, widened(k[seen[count]], shape.size, scratch.key),
               widened(v[seen[count]], shape.size, scratch.values + count * shape.size),
               seen[count], shape.key_scale);
  }
  finish_keys(scratch.strip);
  return before;
}

template <class T, class Kept>
void step_head(const LshShape& shape, const LshStepInputs<T, Kept>& in, int64_t head, T* y,
               Scratch<T>& scratch) {
  using S = Compute<T>;
  const int64_t b = head / shape.H, h = head % shape.H, width = scratch.strip.width;
  const Rows<const Kept> k = head_rows(in.k, b, h), v = head_rows(in.v, b, h);
  pack_row(scratch.query, in.q.at(b, h), shape.size, width);
  transpose_panel(scratch.queries, scratch.query, 1, width);
  PanelState<T> state;
  state.clear();
  for (int64_t r = 0; r < shape.R; ++r) {
    const int32_t* seen = in.seen + (head * shape.R + r) * (shape.window + kBucketRun);
    const int64_t first = pack_seen(shape, k, v, seen, scratch), count = scratch.strip.count;
    if (first == count) continue;
    Visibility<T> see;
    see.count = 1;
    see.set(0, first, count, -1);
    see.close();
    const bool kept = state.sum[0] != 0;
    forward_step(scratch.strip, scratch.queries, see, {}, state, scratch.scores, scratch.step);
    update_row(scratch.sums, scratch.sums, scratch.step, width, kept, state.shrink[0], S(1));
  }
  if (state.sum[0] == 0) {
    std::copy_n(in.own.at(b, h), shape.size, y);
    return;
  }
  update_row(y, scratch.sums, scratch.sums, shape.size, false, S(1), S(1) / state.sum[0]);
}

}  // namespace

template <class T, class Kept>
void lsh_step(const LshShape& shape, const LshStepInputs<T, Kept>& in, HeadView<T> y) {
  Carver measure;
  (void)Scratch<T>(measure, shape);
  const int64_t heads = shape.B * shape.H;
  const int threads = threads_for(2 * heads * shape.R * shape.window * kLanes<T> * shape.size);
  memory::Workspace<std::byte> space(measure.used() * threads);
#pragma omp parallel num_threads(threads)
  {
    const TileScope<T> tiles;
    Carver carver(space.data() + measure.used() * omp_get_thread_num());
    Scratch<T> scratch(carver, shape);
#pragma omp for schedule(static)
    for (int64_t head = 0; head < heads; ++head) {
      step_head(shape, in, head, y.at(head / shape.H, head % shape.H), scratch);
    }
  }
}

template void lsh_step<float, float>(const LshShape&, const LshStepInputs<float, float>&,
                                     HeadView<float>);
template void lsh_step<double, double>(const LshShape&, const LshStepInputs<double, double>&,
                                       HeadView<double>);
template void lsh_step<float, bf16>(const LshShape&, const LshStepInputs<float, bf16>&,
                                    HeadView<float>);
template void lsh_step<float, f16>(const LshShape&, const LshStepInputs<float, f16>&,
                                   HeadView<float>);
#if TENET_HAVE_AVX512
template void lsh_step<bf16, bf16>(const LshShape&, const LshStepInputs<bf16, bf16>&,
                                   HeadView<bf16>);
#endif

}  // namespace tenet::detail::tiles
