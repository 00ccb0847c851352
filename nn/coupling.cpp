#include <tenet/core/autograd.h>
#include <tenet/core/grad_mode.h>
#include <tenet/core/trace.h>
#include <tenet/nn/coupling.h>
#include <tenet/ops/concatenate.h>
#include <tenet/ops/stream.h>
#include <tenet/ops/views.h>

#include <utility>

namespace tenet::nn {
namespace {

void check_streams(const Tensors& x, const std::string& name) {
  check(x.size() == 2, "{}: {} streams, a coupling needs 2", name, x.size());
  check(x[0].shape() == x[1].shape() && x[0].dtype() == x[1].dtype(),
        "{}: the streams differ, {} {} and {} {}", name, x[0].dtype(), x[0].shape(), x[1].dtype(),
        x[1].shape());
}

}  // namespace

AdditiveCoupling::AdditiveCoupling(Function f, Function g, std::string name,
                                   const std::string& f_name, const std::string& g_name,
                                   int64_t g_rows)
    : name_(std::move(name)),
      f_{std::move(f), name_ + "." + f_name, 0},
      g_{std::move(g), name_ + "." + g_name, 1, g_rows} {
  check(f_.function && g_.function, "{}: a function is empty", name_);
  check(g_rows >= 0, "{}: {} rows at a time; give 0 for all", g_.name, g_rows);
}

Tensors AdditiveCoupling::Part::pieces(const Tensor& x) const {
  const int64_t count = x.dim() < 2 || x.numel() == 0 ? 0 : x.numel() / x.size(-1);
  if (rows == 0 || count <= rows) return {x};
  std::vector<int64_t> sizes(static_cast<size_t>(count / rows), rows);
  if (count % rows > 0) sizes.push_back(count % rows);
  return split(reshape(x, {count, x.size(-1)}), sizes, 0);
}

Tensor AdditiveCoupling::Part::on_piece(size_t number, const Tensor& x) const {
  const ReplaySection part(section), piece(static_cast<int>(number));
  const trace::Scope scope(name);
  Tensor y = function(x.dtype() == DType::fixed32 && !takes_fixed32 ? decode(x) : x);
  check(y.shape() == x.shape(), "{}: the function gives shape {} for a stream of shape {}", name,
        y.shape(), x.shape());
  return y;
}

Tensor AdditiveCoupling::Part::operator()(const Tensor& x) const {
  Tensors parts = pieces(x);
  for (size_t i = 0; i < parts.size(); ++i) parts[i] = on_piece(i, parts[i]);
  return parts.size() == 1 ? parts[0] : reshape(concatenate(parts, 0), x.shape());
}

Tensor AdditiveCoupling::Part::add_to(const Tensor& stream, const Tensor& x) const {
  const Tensor delta = (*this)(x);
  try {
    return coupling_add(stream, delta);
  } catch (const OutOfMemory&) {
    throw;
  } catch (const Error& error) {
    throw Error(name + ": " + error.what());
  }
}

Tensors AdditiveCoupling::forward(const Tensors& x) {
  check_streams(x, name_);
  Tensor y1 = f_.add_to(x[0], x[1]);
  Tensor y2 = g_.add_to(x[1], y1);
  return {std::move(y1), std::move(y2)};
}

Tensors AdditiveCoupling::inverse(const Tensors& y) {
  check_streams(y, name_);
  Tensor x2 = coupling_sub(y[1], g_(y[0]));
  Tensor x1 = coupling_sub(y[0], f_(x2));
  return {std::move(x1), std::move(x2)};
}

// source = target - part(input), and the gradient that comes back through the part. Pieces go from
// the last to the first, as in a walk through the graph of all of them.
AdditiveCoupling::Half AdditiveCoupling::half(const Part& part, const Tensor& input,
                                              const Tensor& target, const Tensor& d,
                                              Tensors& dcaptured) const {
  const Tensors inputs = part.pieces(input), ds = part.pieces(d);
  Tensors deltas(inputs.size()), dxs(inputs.size());
  for (size_t i = inputs.size(); i-- > 0;) {
    const Tensor leaf = replay_leaf(inputs[i]);
    Tensors delta(1);
    {
      const EnableGrad scope;
      delta[0] = part.on_piece(i, leaf);
    }
    deltas[i] = delta[0].detach();
    if (inputs.size() == 1) {
      deltas[0] = coupling_sub(target, deltas[0]);
      done_with(*this, target);
    }
    const DType dtype = grad_dtype(delta[0].dtype());
    ReplayGrad gradients = replay_grad(std::move(delta), {ds[i].to(dtype)}, {leaf});
    add_gradients(dcaptured, gradients.dcaptured);
    dxs[i] = std::move(gradients.dx[0]);
  }
  if (inputs.size() == 1) return {std::move(deltas[0]), std::move(dxs[0])};
  Tensor delta = reshape(concatenate(deltas, 0), target.shape());
  deltas.clear();
  Half result{coupling_sub(target, delta), {}};
  delta = Tensor();
  done_with(*this, target);
  if (dxs[0].defined()) result.dx = reshape(concatenate(dxs, 0), d.shape());
  return result;
}

InverseAndGrad AdditiveCoupling::inverse_and_grad(const Tensors& y, Tensors dy) {
  InverseAndGrad result;
  result.dx.resize(2);
  const auto sum = [](Tensor& d, const Tensor& more) {
    return more.defined() ? detail::accumulate(std::move(d), more) : std::move(d);
  };
  // dx1 = dy1 + J_g(y1)^T dy2;  dx2 = dy2 + J_f(x2)^T dx1
  Half second = half(g_, y[0], y[1], dy[1], result.dcaptured);
  result.dx[0] = sum(dy[0], std::exchange(second.dx, Tensor()));
  Half first = half(f_, second.source, y[0], result.dx[0], result.dcaptured);
  result.dx[1] = sum(dy[1], first.dx);
  result.x = {std::move(first.source), std::move(second.source)};
  return result;
}

}  // namespace tenet::nn
