/// Matrix products: Tenet's beside oneDNN's own primitive with all threads, same data, in one run.
///
/// Per shape: GFLOP/s of both (the best of several interleaved repetitions) and their ratio. nn:
/// both plain; nt: B transposed, a layer's forward pass; tn: A transposed, a weight gradient.
#include "clock.h"
#include "onednn_matmul.h"

#include <fmt/format.h>

#include <tenet/ops/gemm/detail/gemm.h>

#include <cmath>

namespace {

using tenet::DType;
using tenet::MatmulShape;
using tenet::detail::Gemm;

// Products of a model with d 256, d_ff 1,024 and 4,096 positions, attention blocks, generation, and
// large ones.
constexpr MatmulShape cases[] = {{1, 4096, 256, 256},   {1, 4096, 1024, 256}, {1, 4096, 256, 1024},
                                 {1, 256, 256, 4096},   {1, 1024, 256, 4096}, {1, 4096, 258, 512},
                                 {64, 64, 128, 64},     {64, 64, 64, 128},    {256, 64, 64, 64},
                                 {1, 1, 256, 256},      {1, 16, 1024, 256},   {1, 64, 256, 256},
                                 {1, 1024, 1024, 1024}, {1, 2048, 2048, 2048}};

/// One product with random operands, for both sides.
class Product {
 public:
  Product(const MatmulShape& c, DType dtype, bool a_transposed, bool b_transposed)
      : a_(tenet::random_operand(c.batch * c.m * c.k, dtype, random_)),
        b_(tenet::random_operand(c.batch * c.k * c.n, dtype, random_)),
        y_(static_cast<size_t>(c.batch * c.m * c.n * tenet::itemsize(dtype))),
        onednn_(c, dtype, a_transposed, b_transposed) {
    gemm_ = {.m = c.m, .n = c.n, .k = c.k, .batch = {c.batch}};
    gemm_.a = matrix(a_, dtype, c.m, c.k, a_transposed);
    gemm_.b = matrix(b_, dtype, c.k, c.n, b_transposed);
    gemm_.c = matrix(y_, dtype, c.m, c.n, false);
    onednn_.bind(a_, b_, y_);
  }

  void tenet() const { tenet::detail::gemm(gemm_); }
  void onednn() { onednn_(); }
  const std::string& name() const { return onednn_.name(); }

 private:
  static tenet::detail::MatrixView matrix(std::vector<std::byte>& data, DType dtype, int64_t rows,
                                          int64_t columns, bool transposed) {
    return {.data = data.data(),
            .dtype = dtype,
            .row_stride = transposed ? 1 : columns,
            .column_stride = transposed ? rows : 1,
            .batch_strides = {rows * columns}};
  }

  std::mt19937 random_{1};
  std::vector<std::byte> a_, b_, y_;
  Gemm gemm_;
  tenet::OnednnMatmul onednn_;
};

/// Prints a line and returns the ratio of oneDNN's time to Tenet's.
double compare(const MatmulShape& c, DType dtype, const char* layout) {
  Product product(c, dtype, layout[0] == 't', layout[1] == 't');
  const double flops = c.flops();
  product.tenet();
  product.onednn();
  const auto repeats = static_cast<int64_t>(std::max(1.0, 2e8 / flops));
  double ours = 1e9, theirs = 1e9;
  for (int round = 0; round < 15; ++round) {
    ours = std::min(ours, tenet::seconds_of(repeats, [&] { product.tenet(); }));
    theirs = std::min(theirs, tenet::seconds_of(repeats, [&] { product.onednn(); }));
  }
  fmt::print(
      "{:5} {} {:4} x {:5} x {:5} x {:5}  tenet {:7.1f}  oneDNN {:7.1f}  ratio {:5.2f}  {}\n",
      tenet::to_string(dtype), layout, c.batch, c.m, c.n, c.k, flops / ours * 1e-9,
      flops / theirs * 1e-9, theirs / ours, product.name());
  std::fflush(stdout);
  return theirs / ours;
}

}  // namespace

int main() {
  fmt::print("{} threads; GFLOP/s; batch x m x n x k\n", tenet::num_threads());
  for (const DType dtype : {DType::f32, DType::bf16}) {
    if (!tenet::onednn_multiplies(dtype)) {
      fmt::print("{}: oneDNN has no products for this processor\n", tenet::to_string(dtype));
      continue;
    }
    double logs = 0;
    int count = 0;
    for (const MatmulShape& c : cases) {
      for (const char* layout : {"nn", "nt", "tn"}) {
        logs += std::log(compare(c, dtype, layout));
        ++count;
      }
    }
    fmt::print("{}: geometric mean of the ratios {:.2f}\n", tenet::to_string(dtype),
               std::exp(logs / count));
  }
}
