/// Operands of the attention ops: their checks, their memory, and the half types' way through f32.
#pragma once

#include <tenet/core/generator.h>
#include <tenet/core/memory.h>
#include <tenet/core/node.h>
#include <tenet/core/parallel.h>
#include <tenet/core/view.h>
#include <tenet/ops/attention/detail/pack.h>

#include <optional>

namespace tenet::detail {

/// (B, H, L, K) as a view of new (B, L, H, K) memory.
Tensor empty_heads(const Tensor& like, const Shape& shape);

/// x, or a row-major copy where the last axis is strided.
Tensor with_contiguous_rows(const Tensor& x);

/// The operands in the type that Autocast asks for.
Tensor autocast(const Tensor& x);

/// Errors: `op: q has shape (2, 3), not (B, H, L, K)` and `op: dtype i32 is not supported`.
void check_heads(const Tensor& x, const char* name, const char* op);
/// The shapes, types and devices of a and b are alike, but for the axis `free` (-1: none).
void check_alike(const Tensor& a, const char* a_name, const Tensor& b, const char* b_name, int free,
                 const char* op);
/// The mask as contiguous bytes (B, L), or undefined.
Tensor checked_mask(const Tensor& mask, const Tensor& keys, const char* op);
/// The dropout probability, and where its numbers begin if it is more than 0: `count` are taken.
double checked_dropout(double p, Generator* generator, uint64_t count, PhiloxKey& random,
                       const char* op);

inline const uint8_t* mask_bytes(const View& mask) { return mask.as<const uint8_t>(); }

/// Whether kernels take operands of this half type as they are.
constexpr bool multiplies(DType dtype) { return multiplies_bf16 && dtype == DType::bf16; }

/// Calls f.operator()<T, K>() for operands of type T, one of the floating types, and a kernel that
/// takes K: bf16 itself where it multiplies(), else Compute<T>.
template <class F>
void dispatch_kernel(DType dtype, const char* op, F&& f) {
#if TENET_HAVE_AVX512
  if (dtype == DType::bf16) return f.template operator()<bf16, bf16>();
#endif
  dispatch(FloatTypes{}, dtype, op, [&]<class T>() { f.template operator()<T, Compute<T>>(); });
}

/// A (B, H, L, K) view in memory.
template <class T>
tiles::HeadView<T> heads_of(const View& v) {
  return {v.as<T>(), v.strides[0], v.strides[1], v.strides[2]};
}

/// A (B, H, L, K) operand of type T for a kernel that takes K: its own memory, or a workspace of
/// floats.
template <class T, class K>
class Operand {
 public:
  static constexpr bool widened = !std::is_same_v<K, T>;
  enum class Use { in, out };

  Operand(const View& v, Use use) : view_(v) {
    if constexpr (widened) {
      space_.emplace(v.numel());
      data_ = space_->data();
      if (use == Use::in) copy([](K& wide, T& value) { wide = value; });
    }
  }
  /// An input in the workspace of an output of the same shape, each row of which is written after
  /// the last reading of this one's.
  Operand(const View& v, const Operand& room) : view_(v), data_(room.data_) {
    if constexpr (widened) copy([](K& wide, T& value) { wide = value; });
  }
  /// Rounds what the kernel wrote to the tensor's type.
  void finish() {
    if constexpr (widened) copy([](K& wide, T& value) { value = T(wide); });
  }
  tiles::HeadView<K> heads() const {
    if constexpr (widened) {
      const Strides s = contiguous_strides(view_.shape);
      return {data_, s[0], s[1], s[2]};
    } else {
      return heads_of<K>(view_);
    }
  }
  tiles::HeadView<const K> read() const {
    const tiles::HeadView<K> h = heads();
    return {h.data, h.batch, h.head, h.row};
  }

 private:
  template <class F>
  void copy(F&& move) {
    const int64_t H = view_.shape[1], L = view_.shape[2], size = view_.shape[3];
    parallel_for(view_.shape[0] * H * L, 256, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        T* narrow = view_.as<T>() + row / (H * L) * view_.strides[0] +
                    row / L % H * view_.strides[1] + row % L * view_.strides[2];
        for (int64_t n = 0; n < size; ++n) move(data_[row * size + n], narrow[n]);
      }
    });
  }

  View view_;
  std::optional<memory::Workspace<K>> space_;
  K* data_ = nullptr;
};

}  // namespace tenet::detail
