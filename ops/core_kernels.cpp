/// The CPU side of the kernels that core/ calls: copy with conversion, fill, accumulate.
#include <tenet/core/detail/core_kernels.h>
#include <tenet/ops/detail/loop.h>

#include <algorithm>
#include <cmath>
#include <cstring>

namespace tenet::detail {
namespace {

template <class To, class From>
To convert(From value) {
  if constexpr (std::is_same_v<To, From>) {
    return value;
  } else if constexpr (std::is_same_v<To, bool>) {
    return static_cast<Compute<From>>(value) != 0;
  } else {
    return To(static_cast<Compute<To>>(static_cast<Compute<From>>(value)));
  }
}

template <class To, class From>
void copy_elements(const View& to, const View& from) {
  To* y = to.as<To>();
  const From* x = from.as<const From>();
  for_each_row<2>(to.shape, {to, from}, [=](int64_t n, const auto& at, const auto& step) {
    To* yy = y + at[0];
    const From* xx = x + at[1];
    if (step[0] == 1 && step[1] == 1) {
      for (int64_t i = 0; i < n; ++i) yy[i] = convert<To>(xx[i]);
    } else if (step[0] == 1 && step[1] == 0) {
      std::fill_n(yy, n, convert<To>(*xx));
    } else {
      for (int64_t i = 0; i < n; ++i) yy[i * step[0]] = convert<To>(xx[i * step[1]]);
    }
  });
}

void copy_cpu(View to, View from) {
  if (to.dtype == DType::fixed32 && from.dtype == DType::fixed32) {
    copy_elements<int32_t, int32_t>(to, from);
    return;
  }
  dispatch(AllTypes(), to.dtype, "copy", [&]<class To>() {
    dispatch(AllTypes(), from.dtype, "copy",
             [&]<class From>() { copy_elements<To, From>(to, from); });
  });
}

void fill_cpu(View to, Scalar value) {
  const auto fill = [&]<class T>() {
    const T element = T(value.as<Compute<T>>());
    T* y = to.as<T>();
    for_each_row<1>(to.shape, {to}, [=](int64_t n, const auto& at, const auto& step) {
      T* yy = y + at[0];
      if (step[0] == 1) {
        std::fill_n(yy, n, element);
      } else {
        for (int64_t i = 0; i < n; ++i) yy[i * step[0]] = element;
      }
    });
  };
  if (to.dtype == DType::fixed32) {
    fill.template operator()<int32_t>();
  } else {
    dispatch(AllTypes(), to.dtype, "fill", fill);
  }
}

void accumulate_cpu(View to, View from) {
  dispatch(NumberTypes(), to.dtype, "accumulate", [&]<class T>() {
    T* y = to.as<T>();
    const T* x = from.as<const T>();
    for_each_row<2>(to.shape, {to, from}, [=](int64_t n, const auto& at, const auto& step) {
      T* yy = y + at[0];
      const T* xx = x + at[1];
      if (step[0] == 1 && step[1] == 1) {
        for (int64_t i = 0; i < n; ++i) yy[i] = T(Compute<T>(yy[i]) + Compute<T>(xx[i]));
      } else if (step[0] == 1 && step[1] == 0) {
        const Compute<T> value(*xx);
        for (int64_t i = 0; i < n; ++i) yy[i] = T(Compute<T>(yy[i]) + value);
      } else {
        for (int64_t i = 0; i < n; ++i) {
          yy[i * step[0]] = T(Compute<T>(yy[i * step[0]]) + Compute<T>(xx[i * step[1]]));
        }
      }
    });
  });
}

const bool filled = copy_kernel.fill(Device::Kind::cpu, &copy_cpu) &&
                    fill_kernel.fill(Device::Kind::cpu, &fill_cpu) &&
                    accumulate_kernel.fill(Device::Kind::cpu, &accumulate_cpu);

}  // namespace
}  // namespace tenet::detail
