/// oneDNN's own matrix product, plain layouts, all threads.
#pragma once

#include <tenet/core/dtype.h>

#include <cstddef>
#include <oneapi/dnnl/dnnl.hpp>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

namespace tenet {

/// Of `batch` products [m, k] x [k, n].
struct MatmulShape {
  int64_t batch, m, n, k;
  double flops() const { return 2.0 * static_cast<double>(batch * m) * static_cast<double>(n * k); }
};

/// Uniform on [-1, 1); bf16 or f32.
inline std::vector<std::byte> random_operand(int64_t count, DType dtype, std::mt19937& random) {
  std::vector<std::byte> data(static_cast<size_t>(count * itemsize(dtype)));
  for (int64_t i = 0; i < count; ++i) {
    const float value = static_cast<float>(random()) * 0x1p-31F - 1.0F;
    if (dtype == DType::f32) {
      reinterpret_cast<float*>(data.data())[i] = value;
    } else {
      reinterpret_cast<bf16*>(data.data())[i] = value;
    }
  }
  return data;
}

/// One shape, prepared. A transposed operand lies in memory as [k, m] or [n, k].
class OnednnMatmul {
 public:
  OnednnMatmul(const MatmulShape& s, DType dtype, bool a_transposed, bool b_transposed)
      : type_(dtype == DType::f32 ? dnnl::memory::data_type::f32 : dnnl::memory::data_type::bf16),
        a_(describe(s.batch, s.m, s.k, a_transposed)),
        b_(describe(s.batch, s.k, s.n, b_transposed)),
        y_(describe(s.batch, s.m, s.n, false)) {
    const dnnl::matmul::primitive_desc description(dnnl::matmul::desc(a_, b_, y_), engine_);
    name_ = description.impl_info_str();
    primitive_ = dnnl::matmul(description);
  }

  /// Where the operands and the result lie.
  void bind(std::vector<std::byte>& a, std::vector<std::byte>& b, std::vector<std::byte>& y) {
    arguments_ = {{DNNL_ARG_SRC, {a_, engine_, a.data()}},
                  {DNNL_ARG_WEIGHTS, {b_, engine_, b.data()}},
                  {DNNL_ARG_DST, {y_, engine_, y.data()}}};
  }
  void operator()() {
    primitive_.execute(stream_, arguments_);
    stream_.wait();
  }
  const std::string& name() const { return name_; }

 private:
  dnnl::memory::desc describe(int64_t batch, int64_t rows, int64_t columns, bool transposed) const {
    return {{batch, rows, columns},
            type_,
            dnnl::memory::dims{rows * columns, transposed ? 1 : columns, transposed ? rows : 1}};
  }

  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  dnnl::memory::data_type type_;
  dnnl::memory::desc a_, b_, y_;
  dnnl::matmul primitive_;
  std::unordered_map<int, dnnl::memory> arguments_;
  std::string name_;
};

/// Whether oneDNN has products of this type for the processor: those of bf16 need AVX-512.
inline bool onednn_multiplies(DType dtype) {
  try {
    OnednnMatmul({1, 16, 16, 16}, dtype, false, false);
    return true;
  } catch (const dnnl::error&) {
    return false;
  }
}

}  // namespace tenet
