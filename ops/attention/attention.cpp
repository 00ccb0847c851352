#include <tenet/core/autograd.h>
#include <tenet/ops/attention/attention.h>
#include <tenet/ops/attention/detail/band_kernel.h>
#include <tenet/ops/attention/detail/band_op.h>
#include <tenet/ops/attention/detail/operand.h>

#include <cmath>

namespace tenet {

Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v,
                 const AttentionOptions& options) {
  const char* const op = "attention";
  detail::check_heads(q, "q", op);
  detail::check_alike(q, "q", k, "k", 2, op);
  detail::check_alike(k, "k", v, "v", -1, op);
  check(options.offset >= 0, "{}: offset is {}, below 0", op, options.offset);
  detail::AttentionPlan plan;
  plan.scale = options.scale.value_or(1 / std::sqrt(static_cast<double>(q.size(3))));
  plan.offset = options.offset;
  plan.causal = options.causal;
  plan.normalize_keys = options.normalize_keys;
  plan.exclude_self = options.exclude_self;
  const uint64_t weights =
      static_cast<uint64_t>(q.size(0) * q.size(1) * q.size(2)) * static_cast<uint64_t>(k.size(2));
  plan.dropout =
      detail::checked_dropout(options.dropout, options.generator, weights, plan.random, op);
  return detail::band_attention(op, q, k, v, detail::checked_mask(options.mask, k, op), plan);
}

namespace detail {
namespace {

/// p = exp(s - log_sum); ds = p (dy . v - dy . y); dq = ds k, dk = ds^T q, dv = p^T dy
struct AttentionNode : Node {
  Saved q, k, v, mask, y, log_sum;
  AttentionPlan plan;

  bool once_differentiable() const override { return true; }
  void saved(SavedFields& f) override {
    f("q", q), f("k", k), f("v", v), f("mask", mask), f("y", y), f("log_sum", log_sum);
  }
  Tensors backward(const Tensors& dys) override {
    const Tensor dy = with_contiguous_rows(dys[0]);
    const Tensor q_ = q.get(*this), k_ = k.get(*this), v_ = v.get(*this), y_ = y.get(*this);
    const Tensor log_sum_ = log_sum.get(*this);
    const Tensor mask_ = mask.defined() ? mask.get(*this) : Tensor();
    const Tensor dq = empty_heads(q_, q_.shape()), dk = empty_heads(k_, k_.shape());
    const Tensor dv = empty_heads(v_, v_.shape());
    attention_backward_kernel(
        q_.device(), {view(dq), view(dk), view(dv), view(y_), view(dy), view(log_sum_), view(q_),
                      view(k_), view(v_), view_or_null(mask_), plan});
    return {dq, dk, dv};
  }
};

tiles::BandShape shape_of(const View& q, const View& k, const AttentionPlan& plan) {
  tiles::BandShape shape;
  shape.B = q.shape[0], shape.H = q.shape[1], shape.Lq = q.shape[2], shape.Lk = k.shape[2];
  shape.size = q.shape[3];
  shape.offset = plan.offset;
  shape.chunk = plan.chunk, shape.before = plan.before, shape.after = plan.after;
  shape.causal = plan.causal, shape.exclude_self = plan.exclude_self;
  shape.key_scale = {plan.scale, plan.normalize_keys};
  return shape;
}

void attention_cpu(const AttentionForward& a) {
  dispatch_kernel(a.q.dtype, "attention", [&]<class T, class K>() {
    using In = Operand<T, K>;
    const In q(a.q, In::Use::in), k(a.k, In::Use::in), v(a.v, In::Use::in);
    In y(a.y, In::Use::out);
    tiles::band_forward<K>(
        shape_of(a.q, a.k, a.plan),
        {q.read(), k.read(), v.read(), mask_bytes(a.mask), {a.plan.dropout, a.plan.random}},
        y.heads(), a.log_sum.as<Compute<T>>());
    y.finish();
  });
}

void attention_backward_cpu(const AttentionBackward& a) {
  dispatch_kernel(a.q.dtype, "attention", [&]<class T, class K>() {
    using In = Operand<T, K>;
    const In q(a.q, In::Use::in), k(a.k, In::Use::in), v(a.v, In::Use::in);
    const In y(a.y, In::Use::in), dy(a.dy, In::Use::in);
    In dq(a.dq, In::Use::out), dk(a.dk, In::Use::out), dv(a.dv, In::Use::out);
    tiles::band_backward<K>(
        shape_of(a.q, a.k, a.plan),
        {q.read(), k.read(), v.read(), mask_bytes(a.mask), {a.plan.dropout, a.plan.random}},
        y.read(), dy.read(), a.log_sum.as<const Compute<T>>(), dq.heads(), dk.heads(), dv.heads());
    for (In* gradient : {&dq, &dk, &dv}) gradient->finish();
  });
}

}  // namespace

Kernel<void(const AttentionForward&)> attention_kernel{"attention"};
Kernel<void(const AttentionBackward&)> attention_backward_kernel{"attention_backward"};
const bool attention_filled =
    attention_kernel.fill(Device::Kind::cpu, &attention_cpu) &&
    attention_backward_kernel.fill(Device::Kind::cpu, &attention_backward_cpu);

Tensor band_attention(const char* op, const Tensor& q_, const Tensor& k_, const Tensor& v_,
                      const Tensor& mask, const AttentionPlan& plan) {
  const Tensor q = with_contiguous_rows(autocast(q_)), k = with_contiguous_rows(autocast(k_));
  const Tensor v = with_contiguous_rows(autocast(v_));
  Tensor y = empty_heads(q, q.shape());
  const Tensor log_sum =
      empty({q.size(0), q.size(1), q.size(2)}, {accumulate_dtype(q.dtype()), q.device()});
  attention_kernel(q.device(),
                   {view(y), view(log_sum), view(q), view(k), view(v), view_or_null(mask), plan});
  if (auto* node = record<AttentionNode>(op, y, q, k, v)) {
    node->q = q, node->k = k, node->v = v, node->y = y, node->log_sum = log_sum;
    if (mask.defined()) node->mask = mask;
    node->plan = plan;
  }
  return y;
}

}  // namespace detail
}  // namespace tenet
