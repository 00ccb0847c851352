#include <tenet/core/autograd.h>
#include <tenet/core/detail/core_kernels.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/concatenate.h>
#include <tenet/ops/cross_entropy.h>
#include <tenet/ops/detail/class_targets.h>
#include <tenet/ops/elementwise.h>
#include <tenet/ops/index.h>
#include <tenet/ops/matmul.h>
#include <tenet/ops/reduce.h>
#include <tenet/ops/softmax.h>
#include <tenet/ops/views.h>

namespace tenet {
namespace {

/// x without its place in the graph, as (rows, last axis), contiguous.
Tensor as_rows(const Tensor& x) {
  const NoGrad scope;
  const int64_t last = x.shape().back();
  Shape leading = x.shape();
  leading.erase(leading.dim() - 1);
  return reshape(x.detach().contiguous(), {leading.numel(), last});
}

/// How many positions count, at least 1, as a number of the loss's type.
Tensor counted(const Tensor& targets, int64_t ignore_index, DType dtype) {
  return maximum(sum(not_equal(targets, ignore_index)).to(dtype), 1);
}

/// The sum of all losses, one after the other in f64: the zeros of ignored positions among them
/// change no bit of it.
Tensor sum_in_order(const Tensor& losses) {
  if (losses.numel() == 0) return sum(losses);
  const Tensor running = cumsum(reshape(losses.to(DType::f64), {losses.numel()}), 0);
  return select(running, 0, losses.numel() - 1).to(losses.dtype());
}

// dlogits = (softmax(logits) - onehot(targets)) * dloss, 0 where ignored
struct CrossEntropyNode : Node {
  Saved logits, lse, targets;
  int64_t ignore_index = 0;

  Tensors backward(const Tensors& dy) override {
    if (grad_enabled()) return {composed(dy[0])};
    const Tensor x = logits.get(*this), dx = empty_like(x);
    const int64_t rows = lse.shape().numel();
    const Tensor dloss = reshape(dy[0], {rows});
    const auto as_matrix = [&](const Tensor& t) {
      return view(reshape(t, {rows, x.shape().back()}));
    };
    detail::cross_entropy_backward_kernel(dx.device(), as_matrix(dx), as_matrix(x),
                                          view(lse.get(*this)), view(targets.get(*this)),
                                          view(dloss), ignore_index);
    return {dx};
  }
  void saved(SavedFields& f) override {
    f("logits", logits);
    f("lse", lse);
    f("targets", targets);
  }

 private:
  Tensor composed(const Tensor& dy) const {
    const Tensor x = logits.get(*this).to(dy.dtype());
    const Tensor target = reshape(targets.get(*this), dy.shape());
    const Tensor counts = not_equal(target, ignore_index);
    const Tensor onehot = one_hot(where(counts, target, 0), x.shape().back(), dy.dtype());
    const Tensor scale = mul(dy, counts.to(dy.dtype()));
    return mul(sub(softmax(x), onehot), unsqueeze(scale, -1)).to(logits.dtype());
  }
};

/// The loss of each position.
Tensor position_losses(const Tensor& logits, const Tensor& targets, int64_t ignore_index) {
  promote(logits.dtype(), logits.dtype(), "cross_entropy");  // refuses fixed32
  check(is_floating(logits.dtype()), "cross_entropy: dtype {} is not supported", logits.dtype());
  const Tensor classes =
      detail::class_targets(logits, targets, logits.dim() > 0 ? logits.shape().back() : 0,
                            ignore_index, "cross_entropy", "logits");
  const Tensor x = logits.contiguous(), rows = as_rows(x);
  const TensorOptions options{accumulate_dtype(x.dtype()), x.device()};
  Tensor loss = empty(targets.shape(), options);
  const Tensor lse = empty({rows.shape()[0]}, options);
  detail::cross_entropy_kernel(x.device(), view(reshape(loss, lse.shape())), view(lse), view(rows),
                               view(classes), ignore_index);
  if (auto* node = record<CrossEntropyNode>("cross_entropy", loss, x)) {
    node->logits = x;
    node->lse = lse;
    node->targets = classes;
    node->ignore_index = ignore_index;
  }
  return loss;
}

/// The loss with class weights, label smoothing or both, from that without.
Tensor adjusted(Tensor losses, const Tensor& logits, const Tensor& targets,
                const CrossEntropyOptions& options) {
  const int64_t classes = logits.shape().back();
  const DType dtype = losses.dtype();
  const Tensor flat = reshape(targets.to(DType::i64), {targets.numel()});
  const Tensor weights =
      reshape(detail::target_weights(flat, options.weight, classes, options.ignore_index, dtype,
                                     "cross_entropy"),
              targets.shape());
  losses = mul(losses, weights);
  if (options.label_smoothing > 0) {
    Tensor log_p = log_softmax(logits.to(dtype));
    if (options.weight.defined()) log_p = mul(log_p, options.weight.detach().to(dtype));
    const Tensor even = div(sum(log_p, -1), -static_cast<double>(classes));
    const Tensor counts = not_equal(targets, options.ignore_index);
    losses = add(mul(losses, 1 - options.label_smoothing),
                 mul(where(counts, even, 0), options.label_smoothing));
  }
  if (options.reduction == Reduction::none) return losses;
  if (options.reduction == Reduction::sum) return sum(losses);
  return detail::weighted_mean(losses, weights);
}

/// Gradients of the sum of the losses, made in the forward pass; dx = its share * dy / count.
struct LinearCrossEntropyNode : Node {
  Saved dhidden, dweight, dbias, count;
  Tensors backward(const Tensors& dy) override {
    const Tensor scale = count.defined() ? div(dy[0], count.get(*this)) : dy[0];
    const auto scaled = [&](size_t i, const Saved& d) {
      return d.defined() ? mul(d.get(*this), scale)
                               .to(edges()[i]
                                       .node->outputs()[static_cast<size_t>(edges()[i].slot)]
                                       .grad_dtype)
                         : Tensor();
    };
    return {scaled(0, dhidden), scaled(1, dweight), scaled(2, dbias)};
  }
  void saved(SavedFields& f) override {
    f("dhidden", dhidden);
    f("dweight", dweight);
    f("dbias", dbias);
    f("count", count);
  }
  bool once_differentiable() const override { return true; }
};

/// The pass over the chunks.
class ChunkedLoss {
 public:
  /// All outside the graph; d* are undefined where no gradient is wanted, else of the accumulation
  /// type and zero (dhidden: of hidden's type).
  Tensor hidden, weight, bias, targets;
  int64_t ignore_index = 0;
  Tensor loss, dhidden, dweight, dbias;

  void run(int64_t begin, int64_t end) {
    const Device device = hidden.device();
    const DType wide = loss.dtype();
    const detail::MatmulOptions in{.type = hidden.dtype()};
    const Tensor h = slice(hidden, 0, begin, end), t = slice(targets, 0, begin, end);
    const Tensor logits = empty({end - begin, weight.shape()[0]}, {wide, device});
    const Tensor lse = empty({end - begin}, {wide, device});
    detail::matmul_kernel(device, view(logits), view(h), view(transpose(weight, 0, 1)),
                          view_or_null(bias), in);
    detail::cross_entropy_kernel(device, view(slice(loss, 0, begin, end)), view(lse), view(logits),
                                 view(t), ignore_index);
    if (!dhidden.defined() && !dweight.defined() && !dbias.defined()) return;
    detail::cross_entropy_backward_kernel(device, view(logits), view(logits), view(lse), view(t),
                                          View{}, ignore_index);
    // The logits are their gradient from here on.
    if (dbias.defined()) detail::accumulate_kernel(device, view(dbias), view(sum(logits, 0)));
    if (dhidden.defined()) {
      detail::matmul_kernel(device, view(slice(dhidden, 0, begin, end)), view(logits), view(weight),
                            View{}, in);
    }
    if (dweight.defined()) {
      const Tensor part = empty_like(dweight);
      detail::matmul_kernel(device, view(part), view(transpose(logits, 0, 1)), view(h), View{}, in);
      detail::accumulate_kernel(device, view(dweight), view(part));
    }
  }
};

int64_t rows_per_chunk(int64_t rows, const LinearCrossEntropyOptions& options) {
  check(options.chunk_rows >= 0 && options.chunk_count >= 0,
        "linear_cross_entropy: chunk_rows {} and chunk_count {} must not be negative",
        options.chunk_rows, options.chunk_count);
  check(options.chunk_rows == 0 || options.chunk_count == 0,
        "linear_cross_entropy: chunk_rows {} and chunk_count {} were both given; give one",
        options.chunk_rows, options.chunk_count);
  if (options.chunk_count > 0)
    return std::max<int64_t>((rows + options.chunk_count - 1) / options.chunk_count, 1);
  return options.chunk_rows > 0 ? options.chunk_rows : 1024;
}

DType product_type(const Tensor& hidden, const Tensor& weight) {
  const DType dtype = promote(hidden.dtype(), weight.dtype(), "linear_cross_entropy");
  check(is_floating(dtype), "linear_cross_entropy: dtype {} is not supported", dtype);
  return dtype == DType::f32 ? autocast_dtype().value_or(dtype) : dtype;
}

void check_shapes(const Tensor& hidden, const Tensor& weight, const Tensor& bias) {
  check(weight.dim() == 2 && hidden.dim() >= 1 && hidden.shape().back() == weight.shape()[1],
        "linear_cross_entropy: hidden {} and weight {} do not fit; (..., D) and (V, D) are needed",
        hidden.shape(), weight.shape());
  check(!bias.defined() || bias.shape() == Shape{weight.shape()[0]},
        "linear_cross_entropy: bias has shape {}, weight {} gives {} classes",
        bias.defined() ? bias.shape() : Shape(), weight.shape(), weight.shape()[0]);
}

}  // namespace

Tensor cross_entropy(const Tensor& logits, const Tensor& targets, CrossEntropyOptions options) {
  check(options.label_smoothing >= 0 && options.label_smoothing <= 1,
        "cross_entropy: label_smoothing is {}; it must be from 0 to 1", options.label_smoothing);
  Tensor losses = position_losses(logits, targets, options.ignore_index);
  if (options.weight.defined() || options.label_smoothing > 0) {
    return adjusted(losses, logits, targets, options);
  }
  if (options.reduction == Reduction::none) return losses;
  const Tensor total = sum_in_order(losses);
  if (options.reduction == Reduction::sum) return total;
  return div(total, counted(targets, options.ignore_index, total.dtype()));
}

Tensor linear_cross_entropy(const Tensor& hidden, const Tensor& weight, const Tensor& bias,
                            const Tensor& targets, LinearCrossEntropyOptions options) {
  check_shapes(hidden, weight, bias);
  check(options.reduction != Reduction::none,
        "linear_cross_entropy: reduction none is not supported; use cross_entropy of linear");
  const DType dtype = product_type(hidden, weight), wide = accumulate_dtype(dtype);
  const Tensor h = hidden.to(dtype), w = weight.to(dtype);
  const bool recording = grad_enabled();
  const auto wanted = [&](const Tensor& x) {
    return recording && x.defined() && x.requires_grad();
  };
  ChunkedLoss pass;
  Tensor y, count;
  {
    const NoGrad scope;
    pass.targets = detail::class_targets(h, targets, w.shape()[0], options.ignore_index,
                                         "linear_cross_entropy", "hidden");
    pass.hidden = as_rows(h);
    pass.weight = w.detach().contiguous();
    if (bias.defined()) pass.bias = bias.detach();
    pass.ignore_index = options.ignore_index;
    const int64_t rows = pass.hidden.shape()[0], step = rows_per_chunk(rows, options);
    pass.loss = empty({rows}, {wide, h.device()});
    const auto zeros_of = [&](Shape shape) {
      Tensor zero = empty(shape, {wide, h.device()});
      detail::fill_kernel(zero.device(), view(zero), 0);
      return zero;
    };
    if (wanted(h)) pass.dhidden = empty_like(pass.hidden);
    if (wanted(w)) pass.dweight = zeros_of(w.shape());
    if (wanted(bias)) pass.dbias = zeros_of(bias.shape());
    for (int64_t begin = 0; begin < rows; begin += step)
      pass.run(begin, std::min(rows, begin + step));
    y = sum_in_order(pass.loss);
    if (options.reduction == Reduction::mean) {
      count = counted(pass.targets, options.ignore_index, wide);
      y = div(y, count);
    }
    if (pass.dhidden.defined()) pass.dhidden = reshape(pass.dhidden, h.shape());
  }
  if (auto* node = record<LinearCrossEntropyNode>("linear_cross_entropy", y, h, w, bias)) {
    node->dhidden = pass.dhidden;
    node->dweight = pass.dweight;
    node->dbias = pass.dbias;
    node->count = count;
  }
  return y;
}

namespace detail {

constinit Kernel<void(View, View, View, View, int64_t)> cross_entropy_kernel{"cross_entropy"};
constinit Kernel<void(View, View, View, View, View, int64_t)> cross_entropy_backward_kernel{
    "cross_entropy_backward"};

}  // namespace detail
}  // namespace tenet
