#include <tenet/core/autograd.h>
#include <tenet/ops/attention/detail/lsh_kernel.h>
#include <tenet/ops/attention/detail/operand.h>
#include <tenet/ops/attention/lsh_attention.h>

#include <cmath>

namespace tenet {
namespace {

/// The number of buckets. L, rounds and factors are checked against the rotations.
int64_t checked_buckets(const Tensor& qk, const Tensor& rotations,
                        const std::vector<int64_t>& factors, const char* op) {
  check(!factors.empty(), "{}: no bucket factors are given", op);
  int64_t buckets = 1, half = 0;
  for (const int64_t factor : factors) {
    check(factor >= 2 && factor % 2 == 0, "{}: bucket factor {} is not even and positive", op,
          factor);
    check(factor <= (int64_t{1} << 31) / buckets, "{}: the factors give more than 2^31 buckets",
          op);
    buckets *= factor;
    half += factor / 2;
  }
  check(qk.size(2) < (int64_t{1} << 31) - 1, "{}: length {} is not below 2^31 - 1", op, qk.size(2));
  const bool fits = rotations.dim() == 4 && rotations.size(0) == qk.size(1) &&
                    rotations.size(1) == qk.size(3) && rotations.size(2) > 0 &&
                    rotations.size(3) == half;
  check(fits, "{}: rotations have shape {}, qk {} needs ({}, {}, R, {})", op, rotations.shape(),
        qk.shape(), qk.size(1), qk.size(3), half);
  check(rotations.device() == qk.device(), "{}: rotations are on {}, qk is on {}", op,
        rotations.device(), qk.device());
  return buckets;
}

}  // namespace

Tensor lsh_hash(const Tensor& qk, const Tensor& rotations, const std::vector<int64_t>& factors) {
  const char* const op = "lsh_hash";
  detail::check_heads(qk, "qk", op);
  checked_buckets(qk, rotations, factors, op);
  const NoGrad scope;
  const Tensor rows = detail::with_contiguous_rows(qk);
  const Tensor turns = rotations.to(accumulate_dtype(qk.dtype())).contiguous();
  Tensor bucket =
      empty({qk.size(0), qk.size(1), rotations.size(2), qk.size(2)}, {DType::i32, qk.device()});
  detail::lsh_hash_kernel(qk.device(), view(bucket), view(rows), view(turns), factors);
  return bucket;
}

namespace detail {
namespace {

/// p = exp(s - log_sum) in every round; ds = p (dy . v - dy . y); dqk = ds k + (ds^T q through the
/// normalisation), dv = p^T dy
struct LshAttentionNode : Node {
  Saved qk, v, order, mask, y, log_sum;
  LshPlan plan;

  bool once_differentiable() const override { return true; }
  void saved(SavedFields& f) override {
    f("qk", qk), f("v", v), f("order", order), f("mask", mask), f("y", y), f("log_sum", log_sum);
  }
  Tensors backward(const Tensors& dys) override {
    const Tensor dy = with_contiguous_rows(dys[0]);
    const bool over_y = may_overwrite(*this, y) && dy.device().is_cpu();
    const Tensor qk_ = qk.get(*this), v_ = v.get(*this), y_ = y.get(*this);
    const Tensor order_ = order.get(*this), log_sum_ = log_sum.get(*this);
    const Tensor mask_ = mask.defined() ? mask.get(*this) : Tensor();
    const Tensor dqk = over_y ? y_.detach() : empty_heads(qk_, qk_.shape());
    const Tensor dv = empty_heads(v_, v_.shape());
    if (over_y) release_saved();
    lsh_attention_backward_kernel(
        qk_.device(), {view(dqk), view(dv), view(y_), view(dy), view(log_sum_), view(qk_), view(v_),
                       view(order_), view_or_null(mask_), plan});
    return {dqk, dv};
  }
};

tiles::LshShape shape_of(const View& qk, const View& order, const LshPlan& plan) {
  tiles::LshShape shape;
  shape.B = qk.shape[0], shape.H = qk.shape[1], shape.L = qk.shape[2], shape.size = qk.shape[3];
  shape.R = order.shape[2];
  shape.window = plan.window;
  shape.causal = plan.causal;
  shape.key_scale = {plan.scale, true};
  return shape;
}

void lsh_hash_cpu(View bucket, View qk, View rotations, const std::vector<int64_t>& factors) {
  const tiles::HashShape shape{qk.shape[0], qk.shape[1],     qk.shape[2],
                               qk.shape[3], bucket.shape[2], factors};
  dispatch_kernel(qk.dtype, "lsh_hash", [&]<class T, class K>() {
    const Operand<T, K> rows(qk, Operand<T, K>::Use::in);
    tiles::lsh_hash<K>(shape, rows.read(), rotations.as<const Compute<T>>(), bucket.as<int32_t>());
  });
}

void lsh_sort_cpu(const LshSort& a) {
  const Shape& s = a.bucket.shape;
  tiles::lsh_sort(s[0], s[1], s[2], s[3], a.buckets, a.bucket.as<const int32_t>(),
                  mask_bytes(a.mask), a.order.as<int32_t>());
}

template <class T>
tiles::LshInputs<T> inputs(tiles::HeadView<const T> qk, tiles::HeadView<const T> v,
                           const View& order, const View& mask, const LshPlan& plan) {
  return {qk, v, order.as<const int32_t>(), mask_bytes(mask), {plan.dropout, plan.random}};
}

void lsh_attention_cpu(const LshForward& a) {
  dispatch_kernel(a.qk.dtype, "lsh_attention", [&]<class T, class K>() {
    using In = Operand<T, K>;
    const In qk(a.qk, In::Use::in), v(a.v, In::Use::in);
    In y(a.y, In::Use::out);
    tiles::lsh_forward<K>(shape_of(a.qk, a.order, a.plan),
                          inputs(qk.read(), v.read(), a.order, a.mask, a.plan), y.heads(),
                          a.log_sum.as<Compute<T>>());
    y.finish();
  });
}

void lsh_step_cpu(const LshStep& a) {
  dispatch_kernel(a.q.dtype, "lsh_attention", [&]<class T, class K>() {
    using In = Operand<T, K>;
    const In q(a.q, In::Use::in), own(a.own, In::Use::in);
    In y(a.y, In::Use::out);
    tiles::lsh_step<K, T>(shape_of(a.k, a.seen, a.plan),
                          {q.read(), own.read(), heads_of<const T>(a.k), heads_of<const T>(a.v),
                           a.seen.as<const int32_t>()},
                          y.heads());
    y.finish();
  });
}

template <class T, class K>
void backward_of(const LshBackward& a, const tiles::LshShape& shape) {
  using In = Operand<T, K>;
  const In qk(a.qk, In::Use::in), v(a.v, In::Use::in), dy(a.dy, In::Use::in);
  In dqk(a.dqk, In::Use::out), dv(a.dv, In::Use::out);
  const In y(a.y, dqk);
  tiles::lsh_backward<K>(shape, inputs(qk.read(), v.read(), a.order, a.mask, a.plan), y.read(),
                         dy.read(), a.log_sum.as<const Compute<T>>(), dqk.heads(), dv.heads());
  for (In* gradient : {&dqk, &dv}) gradient->finish();
}

/// Head h of batch b of a (B, H, ..) view; of a (B, L) mask all of the batch.
View head_of(View v, int64_t b, int64_t h) {
  if (!v.data) return v;
  const int64_t first = b * v.strides[0] + (v.dim() > 2 ? h * v.strides[1] : 0);
  v.data = v.as<std::byte>() + first * itemsize(v.dtype);
  v.shape[0] = 1;
  if (v.dim() > 2) v.shape[1] = 1;
  return v;
}

// Sums in f32 beside gradients of a half type, and widened operands, would take more than the
// gradients: where heads are long, they are those of one head.
void lsh_attention_backward_cpu(const LshBackward& a) {
  dispatch_kernel(a.qk.dtype, "lsh_attention", [&]<class T, class K>() {
    const tiles::LshShape all = shape_of(a.qk, a.order, a.plan);
    if (std::is_same_v<T, Compute<T>> || tiles::lsh_copies_heads<K>(all)) {
      return backward_of<T, K>(a, all);
    }
    for (int64_t head = 0; head < all.B * all.H; ++head) {
      LshBackward one = a;
      for (View* v : {&one.dqk, &one.dv, &one.y, &one.dy, &one.log_sum, &one.qk, &one.v, &one.order,
                      &one.mask}) {
        *v = head_of(*v, head / all.H, head % all.H);
      }
      tiles::LshShape shape = shape_of(one.qk, one.order, one.plan);
      shape.first_head = head;
      backward_of<T, K>(one, shape);
    }
  });
}

}  // namespace

Kernel<void(View, View, View, const std::vector<int64_t>&)> lsh_hash_kernel{"lsh_hash"};
Kernel<void(const LshSort&)> lsh_sort_kernel{"lsh_sort"};
Kernel<void(const LshForward&)> lsh_attention_kernel{"lsh_attention"};
Kernel<void(const LshStep&)> lsh_step_kernel{"lsh_attention"};
Kernel<void(const LshBackward&)> lsh_attention_backward_kernel{"lsh_attention_backward"};
const bool lsh_attention_filled =
    lsh_hash_kernel.fill(Device::Kind::cpu, &lsh_hash_cpu) &&
    lsh_sort_kernel.fill(Device::Kind::cpu, &lsh_sort_cpu) &&
    lsh_attention_kernel.fill(Device::Kind::cpu, &lsh_attention_cpu) &&
    lsh_step_kernel.fill(Device::Kind::cpu, &lsh_step_cpu) &&
    lsh_attention_backward_kernel.fill(Device::Kind::cpu, &lsh_attention_backward_cpu);

}  // namespace detail

Tensor lsh_attention(const Tensor& qk_, const Tensor& v_, const Tensor& rotations,
                     const LshAttentionOptions& options) {
  const char* const op = "lsh_attention";
  detail::check_heads(qk_, "qk", op);
  detail::check_alike(qk_, "qk", v_, "v", -1, op);
  check(options.window > 0, "{}: window is {}, not positive", op, options.window);
  const int64_t buckets = checked_buckets(qk_, rotations, options.factors, op);
  const Tensor mask = detail::checked_mask(options.mask, qk_, op);
  const Tensor qk = detail::with_contiguous_rows(detail::autocast(qk_));
  const Tensor v = detail::with_contiguous_rows(detail::autocast(v_));
  const int64_t B = qk.size(0), H = qk.size(1), L = qk.size(2), R = rotations.size(2);
  detail::LshPlan plan;
  plan.scale = options.scale.value_or(1 / std::sqrt(static_cast<double>(qk.size(3))));
  plan.window = std::min(options.window, L);
  plan.causal = options.causal;
  plan.dropout = detail::checked_dropout(
      options.dropout, options.generator,
      static_cast<uint64_t>(B * H * R * L) * static_cast<uint64_t>(L), plan.random, op);

  Tensor y = detail::empty_heads(qk, qk.shape());
  const Tensor log_sum = empty({B, H, L}, {accumulate_dtype(qk.dtype()), qk.device()});
  const Tensor order = empty({B, H, R, L}, {DType::i32, qk.device()});
  {
    const Tensor bucket = lsh_hash(qk, rotations, options.factors);
    detail::lsh_sort_kernel(qk.device(), {view(order), view(bucket), view_or_null(mask), buckets});
  }
  detail::lsh_attention_kernel(qk.device(), {view(y), view(log_sum), view(qk), view(v), view(order),
                                             view_or_null(mask), plan});
  if (auto* node = record<detail::LshAttentionNode>(op, y, qk, v)) {
    node->qk = qk, node->v = v, node->order = order, node->y = y, node->log_sum = log_sum;
    if (mask.defined()) node->mask = mask;
    node->plan = plan;
  }
  return y;
}

}  // namespace tenet
