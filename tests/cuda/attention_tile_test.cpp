#include <tenet/cuda/detail/attention_backward_task.h>
#include <tenet/cuda/detail/attention_forward_task.h>

#include <doctest/doctest.h>

#include <cuda/attention_run.h>

using namespace cuda_attention_test;

namespace {

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

}  // namespace

TEST_CASE("band attention by tensor cores equals its definition") {
  compare_all<Tiles, tenet::bf16>({1, 2, 33, 70, 130}, {8, 24, 64, 128, 40, 13}, 2e-2);
  compare_all<Tiles, tenet::f16>({17, 70}, {16, 32, 64, 100, 128}, 3e-3);
}
