/// Band attention by the bodies of the CUDA kernels, emulated, on the operands of band_run.h.
#pragma once

#include <tenet/cuda/detail/attention_backward_task.h>
#include <tenet/cuda/detail/attention_fma_backward_task.h>
#include <tenet/cuda/detail/attention_fma_forward_task.h>
#include <tenet/cuda/detail/attention_forward_task.h>
#include <tenet/cuda/detail/attention_general_task.h>

#include <cuda/emulated_gpu.h>
#include <ops/attention/band_run.h>

namespace cuda_attention_test {

using namespace band_test;
using tenet::test::EmulatedGpu;
namespace kernels = tenet::cuda::attention;

template <class T, class U>
kernels::HeadRows<T> rows_of(Array<U>& x) {
  return {x.values.data(), x.batch(), x.head(), x.row()};
}

/// A task on the operands of a Run, after the kernels that come first.
template <class T>
struct Prepared {
  using S = Compute<T>;
  kernels::Task<T> task;
  std::vector<int32_t> ranks;
  std::vector<S> factors, delta;

  explicit Prepared(Run<T>& run) {
    const tiles::BandShape& s = run.shape;
    task.H = s.H, task.Lq = s.Lq, task.Lk = s.Lk, task.heads = s.B * s.H;
    task.size = static_cast<int>(s.size);
    task.sight = {s.Lk, s.offset, s.chunk, s.before, s.after, s.causal, s.exclude_self, nullptr};
    task.scale = static_cast<S>(s.key_scale.scale);
    task.drop = static_cast<float>(run.dropout.p);
    task.kept = static_cast<S>(1 / (1 - run.dropout.p));
    task.random = run.dropout.key;
    task.q = rows_of<const T>(run.q), task.k = rows_of<const T>(run.k);
    task.v = rows_of<const T>(run.v), task.dy = rows_of<const T>(run.dy);
    task.y = rows_of<T>(run.y), task.dq = rows_of<T>(run.dq);
    task.dk = rows_of<T>(run.dk), task.dv = rows_of<T>(run.dv);
    task.log_sum = run.log_sum.data();
    task.aligned = s.size * static_cast<int64_t>(sizeof(T)) % 16 == 0;
    if (!run.mask.empty()) {
      ranks.assign(static_cast<size_t>(s.B * (2 * s.Lk + 1)), -1);
      EmulatedGpu::run(s.B, 64, 33 * 4, [&](void* shared) {
        kernels::number_keys<EmulatedGpu>(run.mask.data(), s.Lk, ranks.data(),
                                          static_cast<int32_t*>(shared));
      });
      task.sight.ranks = ranks.data();
    }
    if (s.key_scale.normalize) {
      factors.resize(static_cast<size_t>(task.heads * s.Lk));
      warps(task.heads * s.Lk, 0,
            [&](void*) { kernels::key_factors<EmulatedGpu>(task, factors.data()); });
      task.factors = factors.data();
    }
  }
  void before_backward() {
    delta.resize(static_cast<size_t>(task.heads * task.Lq));
    task.delta = delta.data();
    warps(task.heads * task.Lq, 0, [&](void*) { kernels::row_deltas<EmulatedGpu>(task); });
    if (!task.sight.ranks) return;
    warps(task.heads * task.Lk, 0, [&](void*) { kernels::clear_hidden<EmulatedGpu>(task); });
  }
  /// A warp for each of `count` things, two in a block.
  template <class Body>
  static void warps(int64_t count, int64_t bytes, Body&& body) {
    EmulatedGpu::run((count + 1) / 2, 64, bytes, body);
  }
};

struct General {
  template <class T>
  static void forward(const kernels::Task<T>& t) {
    Prepared<T>::warps(t.heads * t.Lq, bytes(t), [&](void* shared) {
      kernels::general_forward<EmulatedGpu>(t, static_cast<Compute<T>*>(shared));
    });
  }
  template <class T>
  static void backward(const kernels::Task<T>& t) {
    Prepared<T>::warps(t.heads * t.Lq, bytes(t), [&](void* shared) {
      kernels::general_queries<EmulatedGpu>(t, static_cast<Compute<T>*>(shared));
    });
    Prepared<T>::warps(t.heads * t.Lk, bytes(t), [&](void* shared) {
      kernels::general_keys<EmulatedGpu>(t, static_cast<Compute<T>*>(shared));
    });
  }
  template <class T>
  static int64_t bytes(const kernels::Task<T>& t) {
    return 2 * kernels::general_rows * t.size * static_cast<int64_t>(sizeof(Compute<T>));
  }
};

/// Calls f.operator()<W>() as the launches do.
template <class F>
void at_width(int size, F&& f) {
  size <= 32   ? f.template operator()<32>()
  : size <= 64 ? f.template operator()<64>()
               : f.template operator()<128>();
}

struct Tiles {
  template <class T>
  static void forward(const kernels::Task<T>& t) {
    at_width(t.size, [&]<int W>() { by_queries<kernels::TileForward<EmulatedGpu, T, W>>(t); });
  }
  template <class T>
  static void backward(const kernels::Task<T>& t) {
    at_width(t.size, [&]<int W>() {
      by_queries<kernels::TileQueries<EmulatedGpu, T, W>>(t);
      using Kernel = kernels::TileKeys<EmulatedGpu, T, W>;
      EmulatedGpu::run(t.heads * kernels::key_blocks(t.Lk), 32 * Kernel::kWarps, Kernel::bytes(),
                       [&](void* shared) { Kernel(t, shared).run(); });
    });
  }
  template <class Kernel, class T>
  static void by_queries(const kernels::Task<T>& t) {
    const int warps = kernels::tile_warps(t.sight.chunk);
    const kernels::QueryBlocks blocks{t.Lq, t.sight.offset, t.sight.chunk, 16 * warps};
    EmulatedGpu::run(t.heads * blocks.count(), 32 * warps, Kernel::bytes(warps),
                     [&](void* shared) { Kernel(t, shared).run(); });
  }
};

struct Fma {
  template <class T>
  static void forward(const kernels::Task<T>& t) {
    at_width(t.size,
             [&]<int W>() { run<kernels::FmaForward<EmulatedGpu, T, W>>(t, query_blocks(t)); });
  }
  template <class T>
  static void backward(const kernels::Task<T>& t) {
    at_width(t.size, [&]<int W>() {
      run<kernels::FmaQueries<EmulatedGpu, T, W>>(t, query_blocks(t));
      run<kernels::FmaKeys<EmulatedGpu, T, W>>(t, kernels::key_blocks(t.Lk));
    });
  }
  template <class T>
  static int64_t query_blocks(const kernels::Task<T>& t) {
    return kernels::QueryBlocks{t.Lq, t.sight.offset, t.sight.chunk, kernels::kTile}.count();
  }
  template <class Kernel, class T>
  static void run(const kernels::Task<T>& t, int64_t blocks) {
    EmulatedGpu::run(t.heads * blocks, kernels::kFmaThreads, Kernel::bytes(),
                     [&](void* shared) { Kernel(t, shared).run(); });
  }
};

/// Runs the kernels K and compares with the definition in double.
template <class K, class T>
void compare(Run<T>& run, double tolerance) {
  Prepared<T> prepared(run);
  K::forward(prepared.task);
  const auto forward = Attention<T>(run.definition(), run.q, run.k, run.v).run(run.dy, &run.y);
  CHECK(difference(run.y, forward.y) <= tolerance);
  for (size_t i = 0; i < run.log_sum.size(); ++i) {
    const double a = run.log_sum[i], b = forward.log_sum[i];
    CHECK((a == b || std::abs(a - b) <= 1e-5 * std::max(1.0, std::abs(b))));
  }
  prepared.before_backward();
  K::backward(prepared.task);
  CHECK(difference(run.dq, forward.dq) <= tolerance);
  CHECK(difference(run.dk, forward.dk) <= tolerance);
  CHECK(difference(run.dv, forward.dv) <= tolerance);
}

/// The shapes and plans of tests/ops/attention/band_kernel_test.cpp.
template <class K, class T>
void compare_all(std::initializer_list<int64_t> lengths, std::vector<int64_t> sizes,
                 double tolerance) {
  unsigned seed = 1;
  for (const int64_t L : lengths) {
    for (int variant = 0; variant < 16; ++variant, ++seed) {
      CAPTURE(L);
      CAPTURE(variant);
      tiles::BandShape shape{.B = 1 + seed % 2, .H = 1 + seed % 3 / 2, .Lq = L, .Lk = L};
      shape.size = sizes[seed % sizes.size()];
      CAPTURE(shape.size);
      shape.causal = variant & 1;
      shape.exclude_self = variant & 2;
      shape.key_scale = {0.7 / std::sqrt(static_cast<double>(shape.size)), (variant & 2) > 0};
      if (variant & 4)
        shape.chunk = 1 + seed * 7 % 40, shape.before = seed % 3, shape.after = seed % 2;
      Run<T> run(shape, seed, variant & 8);
      if (seed % 3 == 0) run.dropout = {0.3f, {seed, 2, 77}};
      compare<K>(run, tolerance);
    }
  }
}

}  // namespace cuda_attention_test
