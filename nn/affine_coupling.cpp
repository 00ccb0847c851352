#include <tenet/core/grad_mode.h>
#include <tenet/nn/affine_coupling.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/elementwise.h>
#include <tenet/ops/reduce.h>
#include <tenet/ops/views.h>

#include <numeric>

namespace tenet::nn {

void AffineCoupling::check_options() const {
  check(options_.limit > 0, "{}: limit is {}; it must be positive", name(), options_.limit);
}

std::pair<Tensor, Tensor> AffineCoupling::map(const Tensor& from, const Tensor& to) const {
  check(to.dim() >= 2, "{}: a stream of shape {}; (batch, .., channels) is needed", name(),
        to.shape());
  Shape wanted = to.shape();
  const int64_t width = to.size(-1);
  wanted[to.dim() - 1] = 2 * width;
  const Tensor both = net_.get()(from);
  check(both.shape() == wanted, "{}: the net gives shape {}, {} is needed to change a stream {}",
        name(), both.shape(), wanted, to.shape());
  const double limit = options_.limit;
  return {limit * tanh(slice(both, -1, 0, width) / limit), slice(both, -1, width, 2 * width)};
}

/// The changed stream and the log-determinant.
Tensors AffineCoupling::outputs(const Tensor& x, const Tensor& s, const Tensor& t) {
  std::vector<int> axes(static_cast<size_t>(x.dim() - 1));
  std::iota(axes.begin(), axes.end(), 1);
  return {x * exp(s) + t, sum(s, axes)};
}

Tensors AffineCoupling::forward(const Tensors& x) {
  check(x.size() == 2, "{}: {} streams, a coupling needs 2", name(), x.size());
  const size_t from = options_.swapped ? 1 : 0, to = 1 - from;
  const auto [s, t] = map(x[from], x[to]);
  Tensors y = outputs(x[to], s, t);
  y.insert(y.begin() + static_cast<ptrdiff_t>(from), x[from]);
  return y;
}

Tensors AffineCoupling::inverse(const Tensors& y) {
  check(y.size() == 2 || y.size() == 3, "{}: {} streams, a coupling needs 2", name(), y.size());
  const size_t from = options_.swapped ? 1 : 0, to = 1 - from;
  const auto [s, t] = map(y[from], y[to]);
  Tensors x(2);
  x[from] = y[from];
  x[to] = (y[to] - t) * exp(-s);
  return x;
}

InverseAndGrad AffineCoupling::inverse_and_grad(const Tensors& y, const Tensors& dy) {
  const size_t from = options_.swapped ? 1 : 0, to = 1 - from;
  InverseAndGrad result{.x = Tensors(2), .dx = Tensors(2), .dcaptured = {}};
  Tensors leaves(2), replayed;
  leaves[from] = replay_leaf(y[from]);
  {
    const EnableGrad scope;
    const auto [s, t] = map(leaves[from], y[to]);
    result.x[from] = y[from];
    result.x[to] = (y[to] - t.detach()) * exp(-s.detach());
    leaves[to] = replay_leaf(result.x[to]);
    replayed = outputs(leaves[to], s, t);
  }
  ReplayGrad gradients = replay_grad(std::move(replayed), {dy[to], dy[2]}, leaves);
  result.dx = std::move(gradients.dx);
  result.dx[from] = result.dx[from].defined() ? dy[from] + result.dx[from] : dy[from];
  result.dcaptured = std::move(gradients.dcaptured);
  return result;
}

}  // namespace tenet::nn
