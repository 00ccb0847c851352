/// y[i] = f(x[i], ...) over strided operands of any types on the CPU.
///
/// There is one inner loop per f and type: over contiguous elements of Compute<T>. Operands that
/// are strided, repeated or of a half type pass through small buffers, so an element's bits do not
/// depend on how it lies in memory.
#pragma once

#include <tenet/core/dtype.h>
#include <tenet/ops/detail/loop.h>
#include <tenet/ops/detail/pack.h>

#include <tuple>
#include <utility>

#if defined(__F16C__)
#include <immintrin.h>
#endif

namespace tenet::detail {

/// Elements per buffer: a few buffers fit the first-level cache.
inline constexpr int64_t map_block = 512;

#if defined(__F16C__)
inline void widen(const f16* from, float* to, int64_t n) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i));
    _mm256_storeu_ps(to + i, _mm256_cvtph_ps(x));
  }
  for (; i < n; ++i) to[i] = _cvtsh_ss(from[i].bits);
}
inline void narrow(const float* from, f16* to, int64_t n) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m128i y = _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i), y);
  }
  for (; i < n; ++i) to[i].bits = _cvtss_sh(from[i], _MM_FROUND_TO_NEAREST_INT);
}
#endif

template <class T>
void widen(const T* from, Compute<T>* to, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i] = Compute<T>(from[i]);
}
template <class T>
void narrow(const Compute<T>* from, T* to, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i] = T(from[i]);
}

/// One operand of a row, read as Compute<T>.
template <class T>
class MapInput {
 public:
  using Value = Compute<T>;

  MapInput(const T* first, int64_t step) : first_(first), step_(step) {}

  bool direct() const { return std::is_same_v<T, Value> && step_ == 1; }
  /// Elements begin to begin + n, contiguous: in place or in the buffer. n <= map_block unless
  /// direct().
  const Value* read(int64_t begin, int64_t n) {
    if constexpr (std::is_same_v<T, Value>) {
      if (step_ == 1) return first_ + begin;
    }
    if (step_ == 0) {  // a later block is no longer than the first
      if (begin == 0) std::fill_n(buffer_, n, Value(*first_));
    } else if (step_ == 1) {
      widen(first_ + begin, buffer_, n);
    } else {
      const T* x = first_ + begin * step_;
      for (int64_t i = 0; i < n; ++i) buffer_[i] = Value(x[i * step_]);
    }
    return buffer_;
  }

 private:
  const T* first_;
  int64_t step_;
  Value buffer_[map_block];
};

/// The result of a row, written as Compute<T>.
template <class T>
class MapOutput {
 public:
  using Value = Compute<T>;

  MapOutput(T* first, int64_t step) : first_(first), step_(step) {}

  bool direct() const { return std::is_same_v<T, Value> && step_ == 1; }
  Value* begin(int64_t begin) {
    if constexpr (std::is_same_v<T, Value>) {
      if (step_ == 1) return first_ + begin;
    }
    return buffer_;
  }
  void end(int64_t begin, int64_t n) {
    if (direct()) return;
    if (step_ == 1) {
      narrow(buffer_, first_ + begin, n);
    } else {
      T* y = first_ + begin * step_;
      for (int64_t i = 0; i < n; ++i) y[i * step_] = T(buffer_[i]);
    }
  }

 private:
  T* first_;
  int64_t step_;
  Value buffer_[map_block];
};

/// The inner loop over contiguous elements, behind a pointer: all else is compiled once per type,
/// not once per f.
template <class Y, class... X>
using MapLoop = void (*)(const void* f, int64_t n, Compute<Y>* y, const Compute<X>*... x);

/// Whether f takes packs as well as numbers: such an f has a member `packs` that is true.
template <class F>
inline constexpr bool takes_packs = requires {
  requires F::packs;
};

template <class F, class Y, class... X>
void map_contiguous(const void* context, int64_t n, Y* y, const X*... x) {
  const F f = *static_cast<const F*>(context);
  if constexpr (takes_packs<F> && (std::is_same_v<float, Y> && ... && std::is_same_v<float, X>)) {
    int64_t i = 0;
    for (; i + Pack::size <= n; i += Pack::size) f(Pack::load(x + i)...).store(y + i);
    if (i < n) f(Pack::load(x + i, n - i)...).store(y + i, n - i);
  } else {
    TENET_IVDEP
    for (int64_t i = 0; i < n; ++i) y[i] = static_cast<Y>(f(x[i]...));
  }
}

template <class Y, class... X>
void map_row(MapLoop<Y, X...> loop, const void* f, int64_t n, MapOutput<Y> y, MapInput<X>... x) {
  const int64_t block = y.direct() && (x.direct() && ...) ? n : map_block;
  for (int64_t begin = 0; begin < n; begin += block) {
    const int64_t count = std::min(block, n - begin);
    loop(f, count, y.begin(begin), x.read(begin, count)...);
    y.end(begin, count);
  }
}

template <class Y, class... X, size_t... I>
[[gnu::noinline]] void map_rows(const View& y, const std::array<View, sizeof...(X)>& x,
                                MapLoop<Y, X...> loop, const void* f, std::index_sequence<I...>) {
  Y* to = y.as<Y>();
  const std::tuple<const X*...> from{x[I].template as<const X>()...};
  for_each_row<1 + sizeof...(X)>(
      y.shape, {y, x[I]...}, [=](int64_t n, const auto& at, const auto& step) {
        map_row<Y, X...>(loop, f, n, MapOutput<Y>(to + at[0], step[0]),
                         MapInput<X>(std::get<I>(from) + at[I + 1], step[I + 1])...);
      });
}

/// y[i] = f(x[i], ...) with y of type Y and the x of types X, all of y's shape; f takes and gives
/// Compute values. y may be one of the x.
template <class Y, class... X, class F>
void map(const View& y, const std::array<View, sizeof...(X)>& x, const F& f) {
  map_rows<Y, X...>(y, x, &map_contiguous<F, Compute<Y>, Compute<X>...>, &f,
                    std::index_sequence_for<X...>());
}

}  // namespace tenet::detail
