/// What optimizers do to parameters, fused: one parallel pass over all tensors of a model, no
/// temporaries of their size.
///
/// Every tensor is contiguous. State has the accumulation type: f32, or f64 for f64 parameters.
/// Tensors are cut into blocks whose places depend on their shapes alone, and sums over blocks are
/// added in order: the bits of a step do not depend on the number of threads.
///
/// Where a step's `guard` is not null, it points to a number in the device's memory, and the step
/// changes something only if that number is finite.
#pragma once

#include <tenet/core/kernel.h>
#include <tenet/core/view.h>

#include <vector>

namespace tenet::detail {

/// w and its gradient; `momentum` has null data if it is not used.
struct SgdTensor {
  View w, dw, momentum;
};
/// d = dw + l2 w;  u = momentum u + gain d;  w -= rate (nesterov ? d + momentum u : u)
struct SgdStep {
  double rate = 0, momentum = 0, gain = 1, l2 = 0;
  bool nesterov = false;
  const double* guard = nullptr;
};
extern Kernel<void(const std::vector<SgdTensor>&, const SgdStep&)> sgd_update_kernel;

struct AdamTensor {
  View w, dw, first, second;
};
/// d = dw + l2 w;  m = beta1 m + (1 - beta1) d;  v = beta2 v + (1 - beta2) d^2;
/// w = (1 - decay) w - rate m / (sqrt(v) / root + eps), where rate and root hold the bias
/// corrections.
struct AdamStep {
  double rate = 0, beta1 = 0, beta2 = 0, root = 1, eps = 0, l2 = 0, decay = 0;
  const double* guard = nullptr;
};
extern Kernel<void(const std::vector<AdamTensor>&, const AdamStep&)> adam_update_kernel;

/// `mean` and `momentum` have null data if they are not used.
struct RmsPropTensor {
  View w, dw, square, mean, momentum;
};
/// d = dw + l2 w;  v = alpha v + (1 - alpha) d^2;  if centered m = alpha m + (1 - alpha) d and v'
/// = v - m^2, else v' = v;  y = d / (sqrt(v') + eps);  u = momentum u + y;  w -= rate u
struct RmsPropStep {
  double rate = 0, alpha = 0, eps = 0, l2 = 0, momentum = 0;
  const double* guard = nullptr;
};
extern Kernel<void(const std::vector<RmsPropTensor>&, const RmsPropStep&)> rmsprop_update_kernel;

/// w seen as (groups, rows, columns). Factored: `row` is (groups, rows) and `column` (groups,
/// columns); else `row` has w's size and `column` null data. `momentum` has w's size, or null data.
struct AdafactorTensor {
  View w, dw, row, column, momentum;
  int64_t groups = 1, rows = 1, columns = 1;
};
/// q = dw^2 + eps1; row = beta2 row + (1 - beta2) mean_columns(q), column likewise over rows;
/// y = dw / sqrt(row column / mean(row)), or dw / sqrt(row) if not factored; y /= max(1, rms(y) /
/// clip); s = rate (scaled ? max(rms(w), eps2) : 1); u = s y, or with momentum beta1 u + (1 -
/// beta1) s y; w = (1 - decay (decay_scaled ? s : 1)) w - u
struct AdafactorStep {
  double rate = 0, beta1 = 0, beta2 = 0, eps1 = 0, eps2 = 0, clip = 1, decay = 0;
  bool scaled = true, decay_scaled = false;
  const double* guard = nullptr;
};
extern Kernel<void(const std::vector<AdafactorTensor>&, const AdafactorStep&)>
    adafactor_update_kernel;

/// sum = the sum of the squares of all elements; one f64 number.
extern Kernel<void(const std::vector<View>&, View sum)> square_sum_kernel;
/// Every element times `factor`, one f64 number.
extern Kernel<void(const std::vector<View>&, View factor)> scale_kernel;

}  // namespace tenet::detail
