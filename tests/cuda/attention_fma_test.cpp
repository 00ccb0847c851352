#include <tenet/cuda/detail/attention_fma_backward_task.h>
#include <tenet/cuda/detail/attention_fma_forward_task.h>

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

}  // namespace

TEST_CASE("band attention by tiles of registers equals its definition") {
  compare_all<Fma, float>({1, 2, 33, 70, 130}, {1, 8, 24, 64, 128, 100}, 2e-5);
  compare_all<Fma, double>({17, 70}, {3, 16, 64, 40}, 1e-12);
}
