/// The CPU side of ops/cross_entropy.h.
#include <tenet/core/parallel.h>
#include <tenet/ops/cross_entropy.h>
#include <tenet/ops/detail/loop.h>
#include <tenet/ops/detail/math.h>
#include <tenet/ops/detail/row.h>

namespace tenet::detail {
namespace {

/// logsumexp of a row as the sum of two numbers: their rounded sum lacks digits where logits are
/// large.
template <class C>
struct Level {
  C shift;  // the largest element, 0 if that is -inf
  double rest;
};

template <class C, class Row>
Level<C> level_of(int64_t classes, const Row& x) {
  const C largest = row_max<C>(classes, x);
  const C shift = largest == -std::numeric_limits<C>::infinity() ? C(0) : largest;
  C some[reduce_block];
  return {shift, std::log(exp_sum(
                     classes, [&](int64_t i) { return x(i) - shift; }, some))};
}

template <class T>
void losses(const View& loss, const View& lse, const View& logits, const View& targets,
            int64_t ignore_index) {
  using C = Compute<T>;
  const int64_t classes = logits.shape[1];
  parallel_for(
      logits.shape[0], parallel_grain / (4 * classes + 1) + 1, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
          const RowReader<T, true> x{logits.as<const T>() + row * classes, 1};
          const auto [shift, level] = level_of<C>(classes, x);
          const int64_t target = targets.as<const int64_t>()[row];
          const bool counts = target != ignore_index;
          lse.as<C>()[row] = static_cast<C>(static_cast<double>(shift) + level);
          loss.as<C>()[row] = counts ? static_cast<C>(level - (static_cast<double>(x(target)) -
                                                               static_cast<double>(shift)))
                                     : C(0);
        }
      });
}

/// From here on the gradient sums a row anew. Below, the rounding of lse changes a share by 2^-19.
constexpr double large_level = 32;

template <class T>
void gradients(const View& dlogits, const View& logits, const View& lse, const View& targets,
               const View& dloss, int64_t ignore_index) {
  using C = Compute<T>;
  const int64_t classes = logits.shape[1];
  parallel_for(logits.shape[0], parallel_grain / (2 * classes + 1) + 1,
               [&](int64_t begin, int64_t end) {
                 for (int64_t row = begin; row < end; ++row) {
                   const RowReader<T, true> x{logits.as<const T>() + row * classes, 1};
                   const RowWriter<T, true> dx{dlogits.as<T>() + row * classes, 1};
                   const int64_t target = targets.as<const int64_t>()[row];
                   const C scale = dloss.data ? dloss.as<const C>()[row * dloss.strides[0]] : C(1);
                   if (target == ignore_index) {
                     for (int64_t i = 0; i < classes; ++i) dx(i, C(0));
                     continue;
                   }
                   Level<C> level{0, lse.as<const C>()[row]};
                   if (!(std::abs(level.rest) < large_level)) level = level_of<C>(classes, x);
                   const C shift = level.shift, rest = static_cast<C>(level.rest);
                   const C chosen = (math::exp((x(target) - shift) - rest) - C(1)) * scale;
                   C some[reduce_block];
                   for (int64_t first = 0; first < classes; first += reduce_block) {
                     const int64_t count = std::min(classes - first, reduce_block);
                     exp_each(
                         count, [&](int64_t i) { return (x(first + i) - shift) - rest; }, some);
                     for (int64_t i = 0; i < count; ++i) dx(first + i, some[i] * scale);
                   }
                   dx(target, chosen);
                 }
               });
}

void cross_entropy_cpu(View loss, View lse, View logits, View targets, int64_t ignore_index) {
  dispatch(FloatTypes(), logits.dtype, "cross_entropy",
           [&]<class T>() { losses<T>(loss, lse, logits, targets, ignore_index); });
}

void cross_entropy_backward_cpu(View dlogits, View logits, View lse, View targets, View dloss,
                                int64_t ignore_index) {
  dispatch(FloatTypes(), logits.dtype, "cross_entropy",
           [&]<class T>() { gradients<T>(dlogits, logits, lse, targets, dloss, ignore_index); });
}

const bool filled =
    cross_entropy_kernel.fill(Device::Kind::cpu, &cross_entropy_cpu) &&
    cross_entropy_backward_kernel.fill(Device::Kind::cpu, &cross_entropy_backward_cpu);

}  // namespace
}  // namespace tenet::detail
