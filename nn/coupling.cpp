#include <tenet/core/autograd.h>
#include <tenet/core/detail/core_kernels.h>
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
  if (parts.size() == 1) return on_piece(0, parts[0]);
  if (grad_enabled()) {
    for (size_t i = 0; i < parts.size(); ++i) parts[i] = on_piece(i, parts[i]);
    return reshape(concatenate(parts, 0), x.shape());
  }
  Joined y{*this, x.shape()};
  for (size_t i = 0; i < parts.size(); ++i) y.put(i, on_piece(i, parts[i]));
  return y.whole;
}

void AdditiveCoupling::Joined::put(size_t number, Tensor piece) {
  if (piece.shape() == shape) {
    whole = std::move(piece);
    return;
  }
  if (!whole.defined()) {
    whole = empty_like(piece, shape);
    places = part.pieces(whole);
  }
  detail::copy_kernel(whole.device(), view(places[number]), view(piece));
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
  Tensors targets = part.pieces(target);
  Joined source{part, target.shape()}, dx{part, d.shape()};
  for (size_t i = inputs.size(); i-- > 0;) {
    const Tensor leaf = replay_leaf(inputs[i]);
    Tensors delta(1);
    {
      const EnableGrad scope;
      delta[0] = part.on_piece(i, leaf);
    }
    source.put(i, coupling_sub(targets[i], delta[0].detach()));
    targets.pop_back();
    if (i == 0) done_with(*this, target);
    Tensors ddelta(1);  // a braced list would hold it until the end of the walk
    ddelta[0] = ds[i].to(grad_dtype(delta[0].dtype()));
    ReplayGrad gradients = replay_grad(std::move(delta), std::move(ddelta), {leaf});
    add_gradients(dcaptured, gradients.dcaptured);
    if (gradients.dx[0].defined()) dx.put(i, std::move(gradients.dx[0]));
  }
  return {std::move(source.whole), std::move(dx.whole)};
}

InverseAndGrad AdditiveCoupling::inverse_and_grad(const Tensors& y, const Tensors& dy) {
  return inverse_and_grad_in_place(y, dy);
}

InverseAndGrad AdditiveCoupling::inverse_and_grad_in_place(const Tensors& y, Tensors dy) {
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
