#include <tenet/core/grad_mode.h>
#include <tenet/core/trace.h>
#include <tenet/nn/coupling.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/stream.h>

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
                                   const std::string& f_name, const std::string& g_name)
    : name_(std::move(name)),
      f_{std::move(f), name_ + "." + f_name, 0},
      g_{std::move(g), name_ + "." + g_name, 1} {
  check(f_.function && g_.function, "{}: a function is empty", name_);
}

Tensor AdditiveCoupling::Part::operator()(const Tensor& x) const {
  const ReplaySection part(section);
  const trace::Scope scope(name);
  Tensor y = function(x.dtype() == DType::fixed32 ? decode(x) : x);
  check(y.shape() == x.shape(), "{}: the function gives shape {} for a stream of shape {}", name,
        y.shape(), x.shape());
  return y;
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

InverseAndGrad AdditiveCoupling::inverse_and_grad(const Tensors& y, const Tensors& dy) {
  InverseAndGrad result;
  result.x.resize(2);
  result.dx.resize(2);
  // One half of the coupling: source = target - part(input), and the gradient that comes back
  // through the part.
  const auto half = [&](const Part& part, const Tensor& input, const Tensor& target,
                        const Tensor& d) {
    const Tensor leaf = replay_leaf(input);
    Tensors delta(1);
    {
      const EnableGrad scope;
      delta[0] = part(leaf);
    }
    Tensor source = coupling_sub(target, delta[0].detach());
    const DType dtype = grad_dtype(delta[0].dtype());
    ReplayGrad gradients = replay_grad(std::move(delta), {d.to(dtype)}, {leaf});
    add_gradients(result.dcaptured, gradients.dcaptured);
    return std::pair(std::move(source), std::move(gradients.dx[0]));
  };
  // dx1 = dy1 + J_g(y1)^T dy2;  dx2 = dy2 + J_f(x2)^T dx1
  auto [x2, from_g] = half(g_, y[0], y[1], dy[1]);
  result.dx[0] = from_g.defined() ? dy[0] + from_g : dy[0];
  auto [x1, from_f] = half(f_, x2, y[0], result.dx[0]);
  result.dx[1] = from_f.defined() ? dy[1] + from_f : dy[1];
  result.x = {std::move(x1), std::move(x2)};
  return result;
}

}  // namespace tenet::nn
