/// LSH attention by the bodies of the CUDA kernels, emulated, on the operands of lsh_run.h.
#pragma once

#include <tenet/cuda/detail/lsh_general_task.h>
#include <tenet/cuda/detail/lsh_hash_task.h>
#include <tenet/cuda/detail/lsh_places_task.h>
#include <tenet/cuda/detail/lsh_plain_backward_task.h>
#include <tenet/cuda/detail/lsh_plain_forward_task.h>
#include <tenet/cuda/detail/lsh_sort_task.h>
#include <tenet/cuda/detail/lsh_tile_backward_task.h>
#include <tenet/cuda/detail/lsh_tile_forward_task.h>

#include <cuda/emulated_gpu.h>
#include <ops/attention/lsh_run.h>

namespace cuda_lsh_test {

using namespace lsh_test;
using tenet::test::EmulatedGpu;
namespace kernels = tenet::cuda::lsh;

template <class T, class U>
kernels::HeadRows<T> rows_of(Array<U>& x) {
  return {x.values.data(), x.batch(), x.head(), x.row()};
}

/// A warp for each of `count` things, two in a block; `rows` rows of K for each.
template <class S, class Body>
void warps(int64_t count, int64_t rows, int64_t size, Body&& body) {
  EmulatedGpu::run((count + 1) / 2, 64, 2 * rows * size * static_cast<int64_t>(sizeof(S)), body);
}

/// The buckets and the order of a Run.
template <class T>
void hash_emulated(Run<T>& run) {
  const tiles::LshShape& s = run.shape;
  kernels::HashTask<T> t;
  t.H = s.H, t.L = s.L, t.R = s.R, t.size = static_cast<int>(s.size);
  for (const int64_t factor : run.factors) {
    t.columns[t.factors++] = static_cast<int32_t>(factor / 2);
    t.half += factor / 2;
  }
  t.q = rows_of<const T>(run.q);
  t.rotation = run.rotation.data();
  t.bucket = run.bucket.data();
  using Shared = kernels::HashShared<Compute<T>>;
  EmulatedGpu::run(
      s.B * s.H * s.R * t.tiles(), kernels::hash_threads, sizeof(Shared),
      [&](void* shared) { kernels::hash_tile<EmulatedGpu>(t, *static_cast<Shared*>(shared)); });
}

/// The places of a round, as cuda/lsh_places.cu finds them.
struct Places {
  std::vector<int32_t> begin, first;
  int32_t count = 0;

  void find(const kernels::RoundPlaces& places) {
    const kernels::BucketStart start{places};
    begin.assign(static_cast<size_t>(places.count()), -1);
    first.clear();
    int32_t largest = 0;
    for (int32_t n = 0; n < places.count(); ++n) {
      begin[n] = largest = kernels::Larger{}(largest, start(n));
      if (kernels::BlockStart{places, begin.data()}(n)) first.push_back(n);
    }
    count = static_cast<int32_t>(first.size());
  }
};

/// Tasks on the operands of a Run, two heads at a time.
template <class T>
struct Rounds {
  using S = Compute<T>;
  Run<T>& run;
  kernels::Task<T> task;
  Places places;
  std::vector<S> mean, factor, sum, delta;
  std::vector<uint8_t> finite;
  std::vector<S> y_sums, dqk_sums, dv_sums;

  explicit Rounds(Run<T>& run_) : run(run_) {
    const tiles::LshShape& s = run.shape;
    task.H = s.H, task.L = s.L, task.R = s.R;
    task.window = std::min(s.window, s.L);
    task.size = static_cast<int>(s.size);
    task.causal = s.causal;
    task.scale = static_cast<S>(s.key_scale.scale);
    task.drop = static_cast<float>(run.dropout.p);
    task.kept = static_cast<S>(1 / (1 - run.dropout.p));
    task.random = run.dropout.key;
    task.q = rows_of<const T>(run.q), task.v = rows_of<const T>(run.v);
    task.y = rows_of<const T>(run.y), task.dy = rows_of<const T>(run.dy);
    task.out = rows_of<T>(run.y), task.dqk = rows_of<T>(run.dq), task.dv = rows_of<T>(run.dv);
    task.order = run.order.data();
    task.mask = run.mask_data();
    task.log_sum = run.log_sum.data();
  }

  template <class Prepare, class Round>
  void walk(Prepare&& prepare, Round&& round) {
    const int64_t heads = run.shape.B * run.shape.H;
    kernels::Task<T> t = task;
    for (t.first_head = 0; t.first_head < heads; t.first_head += 2) {
      t.heads = std::min<int64_t>(2, heads - t.first_head);
      for (auto* numbers : {&mean, &factor, &sum, &delta}) numbers->assign(2 * t.L, S(NAN));
      finite.assign(2 * t.L, 7);
      t.mean = mean.data(), t.factor = factor.data(), t.finite = finite.data();
      t.sum = sum.data(), t.delta = delta.data();
      t.y_sums = sums(y_sums, t.out, t);
      t.dqk_sums = sums(dqk_sums, t.dqk, t), t.dv_sums = sums(dv_sums, t.dv, t);
      warps<S>(t.heads * t.L, 0, t.size, [&](void*) { prepare(t); });
      for (t.round = 0; t.round < t.R; ++t.round) {
        places.find({t.order, t.L, t.R, t.first_head, t.heads, t.round});
        t.begin = places.begin.data(), t.first = places.first.data(), t.count = &places.count;
        round(t);
      }
    }
  }

 private:
  kernels::HeadRows<S> sums(std::vector<S>& space, const kernels::HeadRows<T>& out,
                            const kernels::Task<T>& t) {
    if constexpr (std::is_same_v<S, T>) {
      return out;
    } else {
      space.assign(2 * t.L * t.size, S(NAN));
      return {space.data(), t.H * t.L * t.size, t.L * t.size, t.size, t.first_head * t.L * t.size};
    }
  }
};

struct General {
  template <class T>
  static void forward(const kernels::Task<T>& t) {
    warps<Compute<T>>(t.heads * t.L, kernels::forward_rows, t.size, [&](void* shared) {
      kernels::general_forward<EmulatedGpu>(t, static_cast<Compute<T>*>(shared));
    });
  }
  template <class T>
  static void backward(const kernels::Task<T>& t) {
    warps<Compute<T>>(t.heads * t.L, kernels::backward_rows, t.size, [&](void* shared) {
      kernels::general_backward<EmulatedGpu>(t, static_cast<Compute<T>*>(shared));
    });
  }
  template <class T>
  static void step(const kernels::StepTask<T>& t) {
    warps<Compute<T>>(t.heads, kernels::forward_rows, t.size, [&](void* shared) {
      kernels::general_step<EmulatedGpu>(t, static_cast<Compute<T>*>(shared));
    });
  }
};

template <class T>
bool aligned(const kernels::HeadRows<const T>& rows, int size) {
  return size * sizeof(T) % 16 == 0 && reinterpret_cast<uintptr_t>(rows.data) % 16 == 0;
}

/// Of f32 and f64, in tiles of width W; a grid of 3 blocks.
template <int W>
struct Plain {
  template <class T>
  static void forward(kernels::Task<T> t) {
    t.grid = 3;
    t.aligned = aligned(t.q, t.size) && aligned(t.v, t.size);
    EmulatedGpu::run(t.grid, 128, kernels::PlainForward<EmulatedGpu, T, W>::bytes(),
                     [&](void* shared) { kernels::plain_forward<EmulatedGpu, T, W>(t, shared); });
  }
  template <class T>
  static void backward(kernels::Task<T> t) {
    t.grid = 3;
    t.aligned = aligned(t.q, t.size) && aligned(t.v, t.size) && aligned(t.dy, t.size);
    EmulatedGpu::run(t.grid, 128, kernels::PlainGradient<EmulatedGpu, T, W>::bytes(),
                     [&](void* shared) { kernels::plain_backward<EmulatedGpu, T, W>(t, shared); });
  }
  template <class T>
  static void step(const kernels::StepTask<T>& t) {
    General::step(t);
  }
};

/// By tensor cores, in tiles of width W; a grid of 3 blocks.
template <int W>
struct Tiles {
  template <class T>
  static void forward(kernels::Task<T> t) {
    t.grid = 3;
    t.aligned = aligned(t.q, t.size) && aligned(t.v, t.size);
    EmulatedGpu::run(t.grid, 128, kernels::TileSoftmax<EmulatedGpu, T, W>::bytes(4),
                     [&](void* shared) { kernels::tile_forward<EmulatedGpu, T, W>(t, shared); });
  }
  template <class T>
  static void backward(kernels::Task<T> t) {
    t.grid = 3;
    t.aligned = aligned(t.q, t.size) && aligned(t.v, t.size) && aligned(t.dy, t.size);
    EmulatedGpu::run(t.grid, 128, kernels::TileGradient<EmulatedGpu, T, W>::bytes(),
                     [&](void* shared) { kernels::tile_backward<EmulatedGpu, T, W>(t, shared); });
  }
  template <class T>
  static void step(kernels::StepTask<T> t) {
    t.aligned = aligned(t.q, t.size) && aligned(t.k, t.size) && aligned(t.v, t.size);
    EmulatedGpu::run(t.heads, 32, kernels::TileSoftmax<EmulatedGpu, T, W>::bytes(1),
                     [&](void* shared) { kernels::tile_step<EmulatedGpu, T, W>(t, shared); });
  }
};

template <class K, class T>
void run_forward(Run<T>& run) {
  Rounds<T> rounds(run);
  rounds.walk([](const kernels::Task<T>& t) { kernels::prepare_forward<EmulatedGpu>(t); },
              [](const kernels::Task<T>& t) { K::forward(t); });
}
template <class K, class T>
void run_backward(Run<T>& run) {
  Rounds<T> rounds(run);
  rounds.walk([](const kernels::Task<T>& t) { kernels::prepare_backward<EmulatedGpu>(t); },
              [](const kernels::Task<T>& t) { K::backward(t); });
}

/// Runs the kernels K and compares with the definition in double.
template <class K, class T>
void compare(Run<T>& run, double tolerance) {
  hash_emulated(run);
  run.sort();
  run_forward<K>(run);
  auto want = Attention<T>(run.definition(), run.q, run.q, run.v).run(run.dy, &run.y);
  for (size_t n = 0; n < want.dq.values.size(); ++n) want.dq.values[n] += want.dk.values[n];
  CHECK(difference(run.y, want.y) <= tolerance);
  for (size_t i = 0; i < run.log_sum.size(); ++i) {
    const double a = run.log_sum[i], c = want.log_sum[i];
    CHECK((a == c || std::abs(a - c) <= 1e-5 * std::max(1.0, std::abs(c))));
  }
  run_backward<K>(run);
  CHECK(difference(run.dq, want.dq) <= tolerance);
  CHECK(difference(run.dv, want.dv) <= tolerance);
}

/// The shapes and plans of tests/ops/attention/lsh_kernel_test.cpp.
template <class K, class T>
void compare_all(std::initializer_list<int64_t> lengths, std::vector<int64_t> sizes,
                 double tolerance) {
  unsigned seed = 1;
  const std::vector<std::vector<int64_t>> factors{{2}, {4}, {2, 6}, {8}, {16, 4}, {4, 2, 6}};
  for (const int64_t L : lengths) {
    for (int variant = 0; variant < 12; ++variant, ++seed) {
      tiles::LshShape shape{.B = 1 + variant % 2, .H = 2, .L = L, .R = 1 + seed % 3};
      shape.size = sizes[seed % sizes.size()];
      shape.window = std::vector<int64_t>{1, 3, 20, 64, 1000}[seed % 5];
      shape.causal = variant & 2;
      CAPTURE(L);
      CAPTURE(variant);
      CAPTURE(shape.size);
      CAPTURE(shape.window);
      Run<T> run(shape, factors[seed % factors.size()], seed, variant & 4);
      if (seed % 3 == 0) run.dropout = {0.2f, {seed, 1, 5}};
      compare<K>(run, tolerance);
    }
  }
}

/// The last position of a causal Run again, from the rows before it; K::step() gives the same bits
/// as K::forward().
template <class K, class T>
void compare_step(Run<T>& run) {
  const tiles::LshShape& s = run.shape;
  hash_emulated(run);
  run.sort();
  run_forward<K>(run);
  kernels::StepTask<T> t;
  t.heads = s.B * s.H, t.H = s.H, t.R = s.R;
  t.room = std::min(s.window, s.L) + kernels::kBucketRun;
  t.size = static_cast<int>(s.size);
  t.scale = static_cast<Compute<T>>(s.key_scale.scale);
  t.q = rows_of<const T>(run.q), t.own = rows_of<const T>(run.v);
  t.q.data = run.q.at(0, 0, s.L - 1), t.own.data = run.v.at(0, 0, s.L - 1);
  t.k = rows_of<const T>(run.q), t.v = rows_of<const T>(run.v);
  Array<T> y(s.B, s.H, 1, s.size);
  t.y = rows_of<T>(y);
  std::vector<int32_t> seen(t.heads * s.R * t.room, -1);
  for (int64_t list = 0; list < t.heads * s.R; ++list) {
    std::vector<int32_t> members;
    const int32_t* bucket = run.bucket.data() + list * s.L;
    for (int32_t i = 0; i + 1 < s.L; ++i) {
      if (bucket[i] == bucket[s.L - 1]) members.push_back(i);
    }
    const int64_t count = std::min<int64_t>(std::min(s.window, s.L), std::ssize(members));
    std::copy(members.end() - count, members.end(),
              seen.begin() + list * t.room + (std::ssize(members) - count) % kernels::kBucketRun);
  }
  t.seen = seen.data();
  std::vector<Compute<T>> factor(seen.size(), NAN);
  std::vector<uint8_t> finite(seen.size(), 0);
  t.factor = factor.data(), t.finite = finite.data();
  warps<T>(std::ssize(seen), 0, t.size, [&](void*) { kernels::step_facts<EmulatedGpu>(t); });
  K::step(t);
  for (int64_t head = 0; head < t.heads; ++head) {
    const T *a = y.at(head / s.H, head % s.H, 0), *b = run.y.at(head / s.H, head % s.H, s.L - 1);
    CHECK(std::memcmp(a, b, s.size * sizeof(T)) == 0);
  }
}

/// Later positions, values that are not finite among them, change no bit of earlier rows.
template <class K, class T>
void compare_causal() {
  tiles::LshShape shape{.B = 1, .H = 2, .L = 150, .R = 2};
  shape.size = 16, shape.window = 40;
  Run<T> run(shape, {4}, 3, false);
  hash_emulated(run);
  run.sort();
  run_forward<K>(run);
  const Array<T> y = run.y;
  const int64_t kept = 97;
  for (int64_t h = 0; h < shape.H; ++h) {
    for (int64_t i = kept; i < shape.L; ++i) {
      for (int64_t n = 0; n < shape.size; ++n) {
        run.v.at(0, h, i)[n] = T(i % 3 == 0 ? NAN : INFINITY);
        if (i % 2 == 0) run.q.at(0, h, i)[n] = T(-Compute<T>(run.q.at(0, h, i)[n]));
      }
    }
  }
  hash_emulated(run);
  run.sort();
  run_forward<K>(run);
  for (int64_t h = 0; h < shape.H; ++h) {
    for (int64_t i = 0; i < kept; ++i) {
      CHECK(std::memcmp(y.at(0, h, i), run.y.at(0, h, i), shape.size * sizeof(T)) == 0);
    }
  }
}

template <class K, class T>
void compare_steps(std::initializer_list<int64_t> lengths, std::vector<int64_t> sizes) {
  unsigned seed = 7;
  for (const int64_t L : lengths) {
    for (const int64_t window : {1, 5, 40, 64, 100}) {
      CAPTURE(L);
      CAPTURE(window);
      tiles::LshShape shape{.B = 1, .H = 2, .L = L, .R = 1 + seed % 3};
      shape.size = sizes[seed % sizes.size()], shape.window = window;
      Run<T> run(shape, {2 + 2 * (seed % 2)}, seed, false);
      compare_step<K>(run);
      ++seed;
    }
  }
}

}  // namespace cuda_lsh_test
