// Two functions with a backward written by hand. `LogCosh` computes what ops could, but saves one
// tensor where they would save three, and can be differentiated twice. `StraightThrough` has a
// gradient that no rule of calculus gives: it rounds forwards and is the identity backwards.
#include <tenet/tenet.h>

using namespace tenet;

namespace {

/// y = log(cosh(x)) = |x| + log(1 + exp(-2 |x|)) - log 2; dx = dy tanh(x).
struct LogCosh : Function<LogCosh> {
  static Tensor forward(Context& ctx, const Tensor& x) {
    ctx.save(x);
    const Tensor a = abs(x);
    return a + softplus(-2 * a) - std::log(2.0);
  }
  static Tensors backward(Context& ctx, Tensors dy) { return {dy[0] * tanh(ctx.saved(0))}; }
};

/// y = round(x / step) step; dx = dy.
struct StraightThrough : Function<StraightThrough> {
  static Tensor forward(Context&, const Tensor& x, double step) { return round(x / step) * step; }
  static Tensors backward(Context&, Tensors dy) { return {dy[0]}; }
};

/// The largest difference of the gradient of <c, LogCosh(x)> from central differences, in f64.
double gradient_error() {
  Tensor x = randn({20}, {.dtype = DType::f64}), c = randn({20}, {.dtype = DType::f64});
  x.set_requires_grad(true);
  const Tensor dx = grad({LogCosh::apply(x)}, {x}, {.dy = {c}})[0];
  const NoGrad scope;
  const double h = 1e-5;
  const Tensor slope = (LogCosh::apply(x + h) - LogCosh::apply(x - h)) / (2 * h);
  return max(abs(dx - c * slope)).item<double>();
}

/// The same of the second derivative, 1 - tanh(x)^2.
double second_error() {
  const Tensor x = randn({20}, {.dtype = DType::f64}).set_requires_grad(true);
  const Tensor dx = grad({sum(LogCosh::apply(x))}, {x}, {.create_graph = true})[0];
  const Tensor ddx = grad({sum(dx)}, {x})[0];
  return max(abs(ddx - (1 - square(tanh(x.detach()))))).item<double>();
}

/// Trains weights that are used rounded to quarters: 5 numbers that average to 0.6.
double train_rounded() {
  Tensor w = randn({5}).set_requires_grad(true);
  optim::Sgd sgd(Tensors{w}, {.learning_rate = 0.2});
  double loss = 0;
  for (int step = 0; step < 100; ++step) {
    const Tensor error = square(mean(StraightThrough::apply(w, 0.25)) - 0.6);
    backward(error);
    sgd.step();
    sgd.clear_grad();
    loss = error.item<double>();
  }
  fmt::print("rounded weights: {}\n", StraightThrough::apply(w.detach(), 0.25));
  return loss;
}

}  // namespace

int main() {
  set_seed(1);
  const double first = gradient_error(), second = second_error(), loss = train_rounded();
  fmt::print("log cosh: gradient error {:.1e}, second derivative {:.1e}\n", first, second);
  fmt::print("straight through: loss {:.1e}\n", loss);
  return first < 1e-8 && second < 1e-12 && loss < 1e-2 ? 0 : 1;
}
