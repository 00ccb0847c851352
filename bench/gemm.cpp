/// Matrix products: Tenet's beside oneDNN's own primitive with all threads, same data, in one run.
///
/// Per shape: GFLOP/s of both (the best of several interleaved repetitions) and their ratio. nn:
/// both plain; nt: B transposed, a layer's forward pass; tn: A transposed, a weight gradient.
#include <fmt/format.h>

#include <tenet/core/parallel.h>
#include <tenet/ops/gemm/detail/gemm.h>

#include <cmath>
#include <ctime>
#include <oneapi/dnnl/dnnl.hpp>
#include <random>

namespace {

using tenet::DType;
using tenet::detail::Gemm;

struct Case {
  int64_t batch, m, n, k;
};

// Products of a model with d 256, d_ff 1,024 and 4,096 positions, attention blocks, generation, and
// large ones.
constexpr Case cases[] = {{1, 4096, 256, 256},   {1, 4096, 1024, 256}, {1, 4096, 256, 1024},
                          {1, 256, 256, 4096},   {1, 1024, 256, 4096}, {1, 4096, 258, 512},
                          {64, 64, 128, 64},     {64, 64, 64, 128},    {256, 64, 64, 64},
                          {1, 1, 256, 256},      {1, 16, 1024, 256},   {1, 64, 256, 256},
                          {1, 1024, 1024, 1024}, {1, 2048, 2048, 2048}};

/// Wall time; on one thread its processor time, which is right on a busy machine too.
double seconds() {
  timespec time{};
  clock_gettime(tenet::num_threads() == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

template <class F>
double time_once(int repeats, F&& run) {
  const double begin = seconds();
  for (int i = 0; i < repeats; ++i) run();
  return (seconds() - begin) / repeats;
}

/// One product with random operands, for both sides.
class Product {
 public:
  Product(Case c, DType dtype, bool a_transposed, bool b_transposed)
      : a_(c.batch * c.m * c.k * bytes(dtype)),
        b_(c.batch * c.k * c.n * bytes(dtype)),
        c_(c.batch * c.m * c.n * bytes(dtype)) {
    std::mt19937 random(1);
    fill(a_, dtype, random);
    fill(b_, dtype, random);
    gemm_ = {.m = c.m, .n = c.n, .k = c.k, .batch = {c.batch}};
    gemm_.a = matrix(a_, dtype, c.m, c.k, a_transposed);
    gemm_.b = matrix(b_, dtype, c.k, c.n, b_transposed);
    gemm_.c = matrix(c_, dtype, c.m, c.n, false);
    const auto type =
        dtype == DType::f32 ? dnnl::memory::data_type::f32 : dnnl::memory::data_type::bf16;
    const auto describe = [&](const tenet::detail::MatrixView& x, int64_t rows, int64_t columns) {
      return dnnl::memory::desc({c.batch, rows, columns}, type,
                                dnnl::memory::dims{rows * columns, x.row_stride, x.column_stride});
    };
    const auto a = describe(gemm_.a, c.m, c.k), b = describe(gemm_.b, c.k, c.n);
    const auto y = describe(gemm_.c, c.m, c.n);
    const dnnl::matmul::primitive_desc description(dnnl::matmul::desc(a, b, y), engine_);
    name_ = description.impl_info_str();
    primitive_ = dnnl::matmul(description);
    arguments_ = {{DNNL_ARG_SRC, {a, engine_, a_.data()}},
                  {DNNL_ARG_WEIGHTS, {b, engine_, b_.data()}},
                  {DNNL_ARG_DST, {y, engine_, c_.data()}}};
  }

  void tenet() const { tenet::detail::gemm(gemm_); }
  void onednn() {
    primitive_.execute(stream_, arguments_);
    stream_.wait();
  }
  const std::string& name() const { return name_; }

 private:
  static int64_t bytes(DType dtype) { return tenet::itemsize(dtype); }
  static void fill(std::vector<std::byte>& to, DType dtype, std::mt19937& random) {
    for (size_t i = 0; i < to.size() / bytes(dtype); ++i) {
      const float value = static_cast<float>(random()) * 0x1p-31F - 1.0F;
      if (dtype == DType::f32) {
        reinterpret_cast<float*>(to.data())[i] = value;
      } else {
        reinterpret_cast<tenet::bf16*>(to.data())[i] = value;
      }
    }
  }
  static tenet::detail::MatrixView matrix(std::vector<std::byte>& data, DType dtype, int64_t rows,
                                          int64_t columns, bool transposed) {
    return {.data = data.data(),
            .dtype = dtype,
            .row_stride = transposed ? 1 : columns,
            .column_stride = transposed ? rows : 1,
            .batch_strides = {rows * columns}};
  }

  std::vector<std::byte> a_, b_, c_;
  Gemm gemm_;
  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  dnnl::matmul primitive_;
  std::unordered_map<int, dnnl::memory> arguments_;
  std::string name_;
};

/// Prints a line and returns the ratio of oneDNN's time to Tenet's.
double compare(Case c, DType dtype, const char* layout) {
  Product product(c, dtype, layout[0] == 't', layout[1] == 't');
  const double flops = 2.0 * static_cast<double>(c.batch * c.m) * static_cast<double>(c.n * c.k);
  product.tenet();
  product.onednn();
  const int repeats = static_cast<int>(std::max(1.0, 2e8 / flops));
  double ours = 1e9, theirs = 1e9;
  for (int round = 0; round < 15; ++round) {
    ours = std::min(ours, time_once(repeats, [&] { product.tenet(); }));
    theirs = std::min(theirs, time_once(repeats, [&] { product.onednn(); }));
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
    double logs = 0;
    int count = 0;
    for (const Case& c : cases) {
      for (const char* layout : {"nn", "nt", "tn"}) {
        logs += std::log(compare(c, dtype, layout));
        ++count;
      }
    }
    fmt::print("{}: geometric mean of the ratios {:.2f}\n", tenet::to_string(dtype),
               std::exp(logs / count));
  }
}
