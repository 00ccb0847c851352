/// The kernels that core/ calls, on the GPU; sum_to stands with the reductions.
#include <tenet/core/detail/core_kernels.h>
#include <tenet/cuda/detail/map.h>
#include <tenet/cuda/detail/select.h>
#include <tenet/cuda/detail/transpose.h>
#include <tenet/ops/functors.h>

namespace tenet::cuda {
namespace {

template <class To, class From>
struct Convert {
  TENET_HD Compute<To> operator()(Compute<From> x) const {
    if constexpr (std::is_same_v<To, bool>)
      return x != Compute<From>(0);
    else
      return static_cast<Compute<To>>(x);
  }
};

void copy_cuda(View to, View from) {
  if (to.dtype == from.dtype) {
    return dispatch_size(to.dtype, [&]<class T>() {
      if (!transpose<T>(to, from)) map<T, T>("copy", to, {from}, Same());
    });
  }
  dispatch(AllTypes(), to.dtype, "copy", [&]<class To>() {
    dispatch(AllTypes(), from.dtype, "copy", [&]<class From>() {
      if constexpr (!std::is_same_v<To, From>) {
        map<To, From>("copy", to, {from}, Convert<To, From>());
      }
    });
  });
}

/// One number, whatever was there.
template <class C>
struct Constantly {
  C value;
  TENET_HD C operator()(C) const { return value; }
};

void fill_cuda(View to, Scalar value) {
  const auto run = [&]<class T>() {
    using C = Compute<T>;
    map<T, T>("fill", to, {to}, Constantly<C>{value.as<C>()});
  };
  if (to.dtype == DType::fixed32) return run.template operator()<int32_t>();
  dispatch(AllTypes(), to.dtype, "fill", run);
}

struct Plus {
  template <class T>
  TENET_HD T operator()(T a, T b) const {
    return functor::Add().y(a, b);
  }
};

void accumulate_cuda(View to, View from) {
  dispatch(NumberTypes(), to.dtype, "accumulate", [&]<class T>() {
    map<T, T, T>("accumulate", to, {to, from}, Plus());
  });
}

const bool filled = tenet::detail::copy_kernel.fill(Device::Kind::cuda, &copy_cuda) &&
                    tenet::detail::fill_kernel.fill(Device::Kind::cuda, &fill_cuda) &&
                    tenet::detail::accumulate_kernel.fill(Device::Kind::cuda, &accumulate_cuda);

}  // namespace
}  // namespace tenet::cuda
