/// From the number of an element to its places in strided operands.
#pragma once

#include <tenet/core/macros.h>
#include <tenet/core/view.h>
#include <tenet/ops/detail/loop.h>

#include <array>
#include <cstdint>
#include <limits>

namespace tenet::cuda {

/// Division of 0 <= n < 2^31 by a fixed d by one multiplication. Granlund, Montgomery, "Division by
/// Invariant Integers using Multiplication" (1994).
class Divider {
 public:
  Divider() = default;
  explicit Divider(uint32_t d) : divisor_(d) {
    while ((uint64_t{1} << shift_) < d) ++shift_;
    const uint64_t power = uint64_t{1} << shift_;
    magic_ = static_cast<uint32_t>((uint64_t{1} << 32) * (power - d) / d + 1);
  }
  TENET_HD uint32_t divide(uint32_t n) const {
    const uint32_t high = static_cast<uint32_t>((uint64_t{magic_} * n) >> 32);
    return (high + n) >> shift_;
  }
  TENET_HD uint32_t divisor() const { return divisor_; }

 private:
  uint32_t divisor_ = 1, magic_ = 1, shift_ = 0;
};

/// N operands of one shape. A kernel parameter. Axes that step alike are merged (LoopPlan), so that
/// contiguous operands have one axis.
template <int N>
struct Indexing {
  int dim = 0;
  bool wide = false;  // 2^31 elements or more
  Divider by[Shape::max_dim];
  int64_t size[Shape::max_dim] = {};
  int64_t stride[N][Shape::max_dim] = {};

  Indexing() = default;
  Indexing(const Shape& full, const std::array<View, N>& operands) {
    const tenet::detail::LoopPlan<N> plan(full, operands);
    dim = plan.shape.dim();
    wide = full.numel() > std::numeric_limits<int32_t>::max();
    for (int axis = 0; axis < dim; ++axis) {
      size[axis] = plan.shape[axis];
      if (!wide) by[axis] = Divider(static_cast<uint32_t>(std::max<int64_t>(size[axis], 1)));
      for (int k = 0; k < N; ++k) stride[k][axis] = plan.strides[static_cast<size_t>(k)][axis];
    }
  }

  /// Whether every operand's elements lie in row-major order without gaps.
  bool contiguous() const {
    bool all = dim <= 1;
    for (int k = 0; k < N; ++k) all = all && (dim == 0 || stride[k][0] == 1);
    return all;
  }
  /// Whether operand k repeats one element.
  bool repeats(int k) const {
    bool all = true;
    for (int axis = 0; axis < dim; ++axis) all = all && stride[k][axis] == 0;
    return all;
  }

  /// Where element i of each operand is, in elements from its first.
  struct Places {
    int64_t at[N];
  };
  TENET_HD Places places(int64_t i) const {
    Places result{};
    int64_t rest = i;
#if defined(__CUDA_ARCH__)
#pragma unroll
#endif
    for (int axis = Shape::max_dim - 1; axis >= 0; --axis) {
      if (axis >= dim) continue;
      int64_t quotient = 0;
      if (axis > 0) {
        quotient = wide ? rest / size[axis] : by[axis].divide(static_cast<uint32_t>(rest));
      }
      const int64_t index = rest - quotient * size[axis];
      for (int k = 0; k < N; ++k) result.at[k] += index * stride[k][axis];
      rest = quotient;
    }
    return result;
  }
};

}  // namespace tenet::cuda
