/// The attention kernels beside oneDNN's batched products of the same head width, in one run.
///
/// Two figures of each pass. "of oneDNN's rate": GFLOP/s of the kernel, where only visible pairs of
/// a query and a key count (2 products of K multiply-adds each forward, 5 backward), over GFLOP/s
/// of oneDNN's products, which are dense. "speed over": the time that oneDNN would need for all
/// products of the blocks that are commonly computed, without softmax and gathers, over the
/// kernel's whole time, without the hash. Those blocks are, for lsh, a chunk of queries against two
/// chunks of keys in every round; for full attention, square tiles of the causal half. oneDNN gets
/// them all at once and in pieces that stay in the cache; the faster counts.
#include "clock.h"
#include "onednn_matmul.h"

#include <fmt/format.h>

#include <tenet/models/reformer_config.h>
#include <tenet/ops/attention/attention.h>
#include <tenet/ops/attention/lsh_attention.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/views.h>

#include <algorithm>
#include <functional>

namespace {

using namespace tenet;

constexpr int64_t heads = 4, width = 64, rounds = 4, chunk_length = 64;
constexpr int64_t cached_blocks = 16;  // of lsh, whose operands fit the cache
constexpr int64_t tile = 256;          // queries and keys of a tile of full attention

/// The products of blocks of m queries and n keys by oneDNN, `batch` of them at a time. Forward
/// scores and values; backward scores, and the gradients of weights, values, queries and keys.
class Products {
 public:
  Products(int64_t batch, int64_t m, int64_t n, int64_t blocks, DType dtype, bool backward)
      : repeats_(blocks / batch) {
    const MatmulShape scores{batch, m, n, width}, queries{batch, m, width, n};
    const MatmulShape keys{batch, n, width, m};
    add(scores, dtype, false, true);
    add(queries, dtype, false, false);
    if (backward) {
      add(scores, dtype, false, true);
      add(keys, dtype, true, false);
      add(keys, dtype, true, false);
    }
    std::mt19937 random(1);
    const int64_t most = batch * std::max(m * n, std::max(m, n) * width);
    for (auto* data : {&a_, &b_, &y_}) *data = random_operand(most, dtype, random);
    for (OnednnMatmul& matmul : matmuls_) matmul.bind(a_, b_, y_);
  }
  double flops() const { return flops_; }
  void operator()() {
    for (OnednnMatmul& matmul : matmuls_) {
      for (int64_t i = 0; i < repeats_; ++i) matmul();
    }
  }

 private:
  void add(const MatmulShape& shape, DType dtype, bool a_transposed, bool b_transposed) {
    matmuls_.emplace_back(shape, dtype, a_transposed, b_transposed);
    flops_ += shape.flops() * static_cast<double>(repeats_);
  }

  int64_t repeats_;
  double flops_ = 0;
  std::vector<OnednnMatmul> matmuls_;
  std::vector<std::byte> a_, b_, y_;
};

/// What is timed: the kernel, and oneDNN in its place.
struct Pass {
  const char* name;
  std::function<void()> kernel;
  double flops;  // of the visible pairs
  std::vector<Products> onednn;
};

/// A line: the best of `times` interleaved repetitions.
void compare(const std::string& what, Pass& pass, int times) {
  double ours = 1e9, theirs = 1e9, rate = 0;
  for (int i = 0; i < times; ++i) {
    ours = std::min(ours, seconds_of(1, pass.kernel));
    for (Products& products : pass.onednn) {
      const double time = seconds_of(1, products);
      theirs = std::min(theirs, time);
      rate = std::max(rate, products.flops() / time);
    }
  }
  fmt::print(
      "{} {:8}  tenet {:8.2f} ms {:6.1f}  oneDNN {:8.2f} ms {:6.1f}  of oneDNN's rate {:5.2f}"
      "  speed over {:6.2f}\n",
      what, pass.name, ours * 1e3, pass.flops / ours * 1e-9, theirs * 1e3, rate * 1e-9,
      pass.flops / ours / rate, theirs / ours);
  std::fflush(stdout);
}

/// (1, H, L, K) as a projection leaves it.
Tensor random_heads(int64_t length, DType dtype) {
  return permute(randn({1, length, heads, width}).to(dtype), {0, 2, 1, 3});
}

/// What a kernel reads and writes.
struct Tensors {
  Tensors(int64_t length, DType dtype) : log_sum(zeros({1, heads, length})) {
    for (Tensor* x : {&q, &k, &v, &y, &dy, &dq, &dk, &dv}) *x = random_heads(length, dtype);
  }
  Tensor q, k, v, y, dy, dq, dk, dv, log_sum;
};

/// Visible pairs of causal LSH attention: in each round a position sees the latest before it in its
/// bucket, `chunk_length` at most.
double pairs_of(const Tensor& order) {
  double pairs = 0;
  int64_t earlier = 0;
  for (const int32_t entry : order.to_vector<int32_t>()) {
    earlier = entry < 0 ? 0 : earlier + 1;
    pairs += static_cast<double>(std::min(earlier, chunk_length));
  }
  return pairs;
}

std::string line_head(const char* kind, int64_t length, DType dtype, double pairs) {
  return fmt::format("{:4} {:4} L {:6} {:7.1f} keys a query", kind, to_string(dtype), length,
                     pairs / static_cast<double>(heads * length));
}

void measure_lsh(int64_t length, DType dtype) {
  const Tensors t(length, dtype);
  const std::vector<int64_t> factors = num_buckets_for(length, chunk_length);
  int64_t half = 0, buckets = 1;
  for (const int64_t factor : factors) half += factor / 2, buckets *= factor;
  const Tensor bucket = lsh_hash(t.q, randn({heads, width, rounds, half}), factors);
  const Tensor order = empty_like(bucket);
  detail::lsh_sort_kernel({}, {view(order), view(bucket), View(), buckets});
  const detail::LshPlan plan{.scale = 0.125, .window = chunk_length};
  const double pairs = pairs_of(order);
  const int64_t blocks = heads * rounds * length / chunk_length;
  for (const bool backward : {false, true}) {
    Pass pass{backward ? "backward" : "forward", {}, pairs * width * (backward ? 10 : 4), {}};
    pass.kernel = [&, backward] {
      if (backward) {
        detail::lsh_attention_backward_kernel(
            {}, {view(t.dq), view(t.dv), view(t.y), view(t.dy), view(t.log_sum), view(t.q),
                 view(t.v), view(order), View(), plan});
      } else {
        detail::lsh_attention_kernel(
            {}, {view(t.y), view(t.log_sum), view(t.q), view(t.v), view(order), View(), plan});
      }
    };
    for (const int64_t batch : {blocks, cached_blocks}) {
      pass.onednn.emplace_back(batch, chunk_length, 2 * chunk_length, blocks, dtype, backward);
    }
    compare(line_head("lsh", length, dtype, pairs), pass, 15);
  }
}

void measure_full(int64_t length, DType dtype) {
  const Tensors t(length, dtype);
  const detail::AttentionPlan plan{.scale = 0.125, .causal = true};
  const int64_t tiles = length / tile;
  const double pairs = 0.5 * static_cast<double>(heads * length) * static_cast<double>(length + 1);
  for (const bool backward : {false, true}) {
    Pass pass{backward ? "backward" : "forward", {}, pairs * width * (backward ? 10 : 4), {}};
    pass.kernel = [&, backward] {
      if (backward) {
        detail::attention_backward_kernel(
            {}, {view(t.dq), view(t.dk), view(t.dv), view(t.y), view(t.dy), view(t.log_sum),
                 view(t.q), view(t.k), view(t.v), View(), plan});
      } else {
        detail::attention_kernel(
            {}, {view(t.y), view(t.log_sum), view(t.q), view(t.k), view(t.v), View(), plan});
      }
    };
    pass.onednn.emplace_back(heads, tile, tile, heads * tiles * (tiles + 1) / 2, dtype, backward);
    compare(line_head("full", length, dtype, pairs), pass, length > 4096 ? 3 : 9);
  }
}

}  // namespace

int main() {
  fmt::print("{} threads; {} heads of {}, causal; lsh: {} hashes, chunk {}; rates in GFLOP/s\n",
             num_threads(), heads, width, rounds, chunk_length);
  for (const auto measure : {measure_lsh, measure_full}) {
    for (const DType dtype : {DType::f32, DType::bf16}) {
      if (!onednn_multiplies(dtype)) {
        fmt::print("{}: oneDNN has no products for this processor\n", to_string(dtype));
        continue;
      }
      for (const int64_t length : {1024, 4096, 16384}) measure(length, dtype);
    }
  }
}
