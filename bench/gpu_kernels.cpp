/// Rates of what a training step on a GPU is made of, as lines of JSON {"name", "rate"}: copies in
/// GB/s, read and written; products and attention in TFLOP/s, forward and backward.
/// bench/peers/gpu_kernels_pytorch.py measures the same rows in PyTorch.
///
/// Of full attention the products of the causal half count, of LSH attention those of visible pairs
/// of a query and a key: 2 of K multiply-adds each forward, 5 backward.
#include <fmt/format.h>

#include <tenet/core/autograd.h>
#include <tenet/core/grad_mode.h>
#include <tenet/models/reformer_config.h>
#include <tenet/ops/attention/attention.h>
#include <tenet/ops/attention/lsh_attention.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/matmul.h>
#include <tenet/ops/views.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <string_view>

namespace {

using namespace tenet;

constexpr int64_t width = 128;   // of a head
constexpr int64_t window = 128;  // of LSH attention
constexpr Device gpu = Device::cuda();

/// Seconds of one of several calls, the best of three times; calls fill about `seconds`.
double seconds_of(const std::function<void()>& call, double seconds = 0.05) {
  const auto time = [&](int64_t calls) {
    synchronize(gpu);
    const auto begin = std::chrono::steady_clock::now();
    for (int64_t i = 0; i < calls; ++i) call();
    synchronize(gpu);
    const auto end = std::chrono::steady_clock::now();
    return std::chrono::duration<double>(end - begin).count() / static_cast<double>(calls);
  };
  time(2);
  const double one = time(2);
  const int64_t calls = std::clamp<int64_t>(static_cast<int64_t>(seconds / one), 1, 1000);
  double best = time(calls);
  for (int i = 0; i < 2; ++i) best = std::min(best, time(calls));
  return best;
}

void report(const std::string& name, double amount, double seconds) {
  fmt::print("{{\"name\": \"{}\", \"rate\": {:.5g}}}\n", name, amount / seconds);
  std::fflush(stdout);
}

Tensor normal(const Shape& shape, DType dtype) { return randn(shape, {.device = gpu}).to(dtype); }

/// (B, H, L, K) as a projection leaves it.
Tensor heads_of(int64_t batch, int64_t heads, int64_t length) {
  return permute(normal({batch, length, heads, width}, DType::bf16), {0, 2, 1, 3});
}

void measure_copy(int64_t count) {
  const Tensor x = normal({count}, DType::f32);
  const NoGrad scope;
  report(fmt::format("copy f32 {} MB", count * 4 >> 20), 8e-9 * static_cast<double>(count),
         seconds_of([&] { x.clone(); }));
}

void measure_product(int64_t n, DType dtype) {
  const Tensor a = normal({n, n}, dtype), b = normal({n, n}, dtype);
  const NoGrad scope;
  const double size = static_cast<double>(n);
  report(fmt::format("matmul {} {}", to_string(dtype), n), 2e-12 * size * size * size,
         seconds_of([&] { matmul(a, b); }));
}

/// Forward, and the walk back through its graph.
void measure_passes(const std::string& name, Tensors leaves, double flops,
                    const std::function<Tensor()>& forward) {
  double seconds = 0;
  {
    const NoGrad scope;
    seconds = seconds_of([&] { forward(); });
  }
  report(name + " forward", 1e-12 * flops, seconds);
  for (Tensor& leaf : leaves) leaf.set_requires_grad(true);
  const Tensor y = forward(), dy = randn(y.shape(), {.device = gpu}).to(y.dtype());
  seconds = seconds_of([&] { grad({y}, leaves, {.dy = {dy}, .retain_graph = true}); });
  report(name + " backward", 2.5e-12 * flops, seconds);
}

void measure_attention(int64_t batch, int64_t heads, int64_t length) {
  const Tensor q = heads_of(batch, heads, length), k = heads_of(batch, heads, length);
  const Tensor v = heads_of(batch, heads, length);
  const double pairs = 0.5 * static_cast<double>(batch * heads * length * (length + 1));
  measure_passes(fmt::format("attention bf16 {} x {} x {}", batch, heads, length), {q, k, v},
                 4 * static_cast<double>(width) * pairs,
                 [=] { return attention(q, k, v, {.causal = true}); });
}

/// In each round a position sees the latest before it in its bucket, `window` at most.
double pairs_of(const Tensor& order) {
  double pairs = 0;
  int64_t earlier = 0;
  for (const int32_t entry : order.to_vector<int32_t>()) {
    earlier = entry < 0 ? 0 : earlier + 1;
    pairs += static_cast<double>(std::min(earlier, window));
  }
  return pairs;
}

void measure_lsh(int64_t batch, int64_t heads, int64_t length, int64_t rounds) {
  const Tensor qk = heads_of(batch, heads, length), v = heads_of(batch, heads, length);
  const std::vector<int64_t> factors = num_buckets_for(length, window);
  int64_t half = 0, buckets = 1;
  for (const int64_t factor : factors) half += factor / 2, buckets *= factor;
  const Tensor rotations = randn({heads, width, rounds, half}, {.device = gpu});
  const Tensor bucket = lsh_hash(qk, rotations, factors), order = empty_like(bucket);
  detail::lsh_sort_kernel(gpu, {view(order), view(bucket), View(), buckets});
  const LshAttentionOptions options{.factors = factors, .window = window};
  measure_passes(fmt::format("lsh_attention bf16 {} x {} x {}, {} rounds, with hash and sort",
                             batch, heads, length, rounds),
                 {qk, v}, 4 * static_cast<double>(width) * pairs_of(order),
                 [=] { return lsh_attention(qk, v, rotations, options); });
}

}  // namespace

int main(int argc, char** argv) {
  const bool quick = argc == 2 && std::string_view(argv[1]) == "--quick";
  if (argc > 1 && !quick) {
    fmt::print(stderr, "usage: gpu_kernels [--quick]\n");
    return 2;
  }
  if (device_count(Device::Kind::cuda) == 0) {
    fmt::print(stderr, "gpu_kernels: there is no GPU, or this build has no CUDA\n");
    return 1;
  }
  const int64_t part = quick ? 4 : 1;
  measure_copy((int64_t{1} << 28) / part);
  for (const int64_t n : {2048, 8192}) measure_product(n / part, DType::bf16);
  measure_product(4096 / part, DType::f32);
  for (const int64_t length : {4096, 16384}) {
    measure_attention(16384 / length, 8, length / part);
    measure_lsh(16384 / length, 8, length / part, 2);
  }
}
