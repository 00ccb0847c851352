"""Ops at the edges: empty tensors, axes of size 1, no axes at all, extreme values."""
import math

import torch
import torch.nn.functional as F

from op_numbers import op, unaries
from recording import integers, uniform

# --- Shapes ----------------------------------------------------------------------------------------------------------

for name, f, begin, end, args in unaries:
    for shape in [(0,), (2, 0, 3), (1, 1), (1, 3, 1)]:
        op(name, f, uniform(*shape, low=begin, high=end), **args)

pairs = [((1,), (3,)), ((0, 3), (1,)), ((), ()), ((1, 1), (2, 3)), ((5, 1, 3), (1, 4, 1)), ((2, 1, 0), (3, 1)), ((), (0,))]
for a, b in pairs:
    for name in "add sub mul maximum minimum".split():
        op(name, getattr(torch, name), uniform(*a), uniform(*b))
    op("div", torch.div, uniform(*a), uniform(*b, low=0.5))
    op("pow", torch.pow, uniform(*a, low=0.3), uniform(*b))
    for name, theirs in dict(equal=torch.eq, less=torch.lt, greater_equal=torch.ge, logical_and=torch.logical_and).items():
        op(name, theirs, torch.round(uniform(*a)), torch.round(uniform(*b)), grad=False)
    op("where", lambda c, x, y: torch.where(c, x, y), integers(2, *b).bool(), uniform(*a), uniform(*b))
op("masked_fill", lambda x, m: x.masked_fill(m, 1.5), uniform(0, 3), integers(2, 3).bool(), value=1.5)
op("masked_fill", lambda x, m: x.masked_fill(m, 1.5), uniform(), torch.tensor(True), value=1.5)

totals = dict(sum=torch.sum, mean=torch.mean, logsumexp=torch.logsumexp, norm=lambda x, dim, keepdim: torch.linalg.vector_norm(x, dim=dim, keepdim=keepdim))
extremes = dict(max=torch.amax, min=torch.amin)
for shape, axes in [((1,), [0]), ((1, 3, 1), [0, 2]), ((1, 3, 1), [1]), ((0, 3), [1]), ((2, 0, 3), [0])]:
    for name, f in {**totals, **extremes}.items():
        for keep in (False, True):
            op(name, lambda x: f(x, dim=axes, keepdim=keep), uniform(*shape), axes=axes, all=False, keepdim=keep)
    op("var", lambda x: torch.var(x, dim=axes, correction=0), uniform(*shape), axes=axes, all=False, keepdim=False, correction=0)
for shape, axes in [((0,), [0]), ((0, 3), [0]), ((2, 0), [0, 1])]:  # nothing to reduce
    for name, f in totals.items():
        op(name, lambda x: f(x, dim=axes, keepdim=False), uniform(*shape), axes=axes, all=False, keepdim=False)
for name, f in {**totals, **extremes}.items():
    op(name, lambda x: f(x, dim=(), keepdim=False), uniform(), axes=[], all=True, keepdim=False)
for name in ("argmax", "argmin"):
    for shape, axis in [((1,), 0), ((1, 3, 1), -1), ((0, 3), 1), ((3, 1), 0)]:
        op(name, lambda x: getattr(torch, name)(x, dim=axis), uniform(*shape), axes=[axis], all=False, keepdim=False)
for shape, axis in [((0,), 0), ((3, 0), 0), ((0, 3), 1), ((1, 4, 1), 1), ((1,), 0)]:
    op("cumsum", lambda x: torch.cumsum(x, axis), uniform(*shape), axis=axis)
    for name in ("softmax", "log_softmax"):
        op(name, lambda x: getattr(torch, name)(x, axis), uniform(*shape), axis=axis)
    op("sort", lambda x: torch.sort(x, dim=axis, stable=True), uniform(*shape), axis=axis, descending=False)
    op("argsort", lambda x: torch.argsort(x, dim=axis, descending=True, stable=True), uniform(*shape), axis=axis, descending=True)
    op("flip", lambda x: torch.flip(x, [axis]), uniform(*shape), axis=axis)
    op("roll", lambda x: torch.roll(x, 7, axis), uniform(*shape), shift=7, axis=axis)
op("top_k", lambda x: torch.topk(x, 0, dim=-1), uniform(3, 6), k=0, axis=-1)
op("top_k", lambda x: torch.topk(x, 1, dim=0), uniform(1, 3), k=1, axis=0)

for a, b in [((0, 3), (3, 2)), ((2, 3), (3, 0)), ((0, 2, 3), (3, 4)), ((1, 1), (1, 1)), ((1, 4), (4,)), ((0,), (0,)), ((3, 1, 2), (1, 2, 1))]:
    op("matmul", torch.matmul, uniform(*a), uniform(*b))
op("linear", F.linear, uniform(0, 4), uniform(5, 4), uniform(5))
op("linear", F.linear, uniform(1, 1), uniform(1, 1), uniform(1))
op("reshape", lambda x: x.transpose(0, 1).reshape(0, 5), uniform(2, 0), shape=[0, 5])
op("view", lambda x: x.view(()), uniform(1, 1), shape=[])
op("flatten", torch.flatten, uniform(), start=0, end=-1)
op("flatten", torch.flatten, uniform(2, 0, 3), start=0, end=-1)
op("permute", lambda x: x.permute(()), uniform(), axes=[])
op("slice", lambda x: x[:, 2:2], uniform(2, 3), axis=1, start=2, stop=2, step=1)
op("slice", lambda x: x[5:9], uniform(2, 3), axis=0, start=5, stop=9, step=1)
op("slice", lambda x: x[-9:9:7], uniform(2, 3), axis=0, start=-9, stop=9, step=7)
op("select", lambda x: x[0], uniform(1), axis=0, index=0)
op("chunk", lambda x: torch.chunk(x, 1, 0), uniform(3), count=1, axis=0)
op("expand", lambda x: x.expand(0, 3), uniform(1, 3), shape=[0, 3])
op("expand", lambda x: x.expand(2, 2), uniform(), shape=[2, 2])
op("squeeze", torch.squeeze, uniform(0, 1), axes=[], all=True)
op("unsqueeze", lambda x: x.unsqueeze(0), uniform(), axis=0)
op("concatenate", lambda *x: torch.cat(x, 0), uniform(0, 2), uniform(0, 2), axis=0)
op("stack", lambda *x: torch.stack(x, 0), uniform(), uniform(), axis=0)
op("stack", lambda *x: torch.stack(x, 1), uniform(3, 0), uniform(3, 0), axis=1)
op("split", lambda x: torch.split(x, [0, 3, 0], 1), uniform(2, 3), sizes=[0, 3, 0], axis=1)
op("pad", lambda x: F.pad(x, (2, 1), value=0.5), uniform(2, 0), axis=-1, before=2, after=1, value=0.5)
op("pad", lambda x: F.pad(x, (0, 0)), uniform(2, 1), axis=-1, before=0, after=0, value=0)

none = torch.zeros(0, dtype=torch.int64)
op("index_select", lambda x, i: torch.index_select(x, 0, i), uniform(3, 2), none, axis=0)
op("gather", lambda x, i: torch.gather(x, 0, i), uniform(3, 2), none.reshape(0, 2), axis=0)
op("take_along", lambda x, i: torch.take_along_dim(x, i, 0), uniform(3, 1), integers(3, 1, 4), axis=0)
op("scatter_add", lambda x, i, s: x.scatter_add(0, i, s), uniform(3, 2), none.reshape(0, 2), uniform(0, 2), axis=0)
op("scatter_add", lambda x, i, s: x.scatter_add(0, i, s), uniform(1), torch.zeros(5, dtype=torch.int64), uniform(5), axis=0)
op("one_hot", lambda i: F.one_hot(i, 3).double(), none, classes=3)
op("embedding", lambda w, i: F.embedding(i, w), uniform(4, 2), none)
op("embedding", lambda w, i: F.embedding(i, w), uniform(4, 2), torch.tensor(3))

for shape in [(0, 4), (3, 1), (1, 1, 5)]:
    n = shape[-1]
    op("layer_norm", lambda x, w, b: F.layer_norm(x, (n,), w, b, 1e-3), uniform(*shape), uniform(n), uniform(n),
       grad=n > 1, eps=1e-3)  # of one element PyTorch's gradients are what rounding leaves of 0
    op("glu", lambda x: F.glu(x, 0), uniform(2, *shape), axis=0)
for reduction in ("mean", "sum", "none"):
    one = uniform(1, 1), torch.tensor([0])
    op("cross_entropy", lambda x, t: F.cross_entropy(x, t, reduction=reduction), *one, reduction=reduction)
    op("nll_loss", lambda x, t: F.nll_loss(x, t, reduction=reduction), *one, reduction=reduction)
    for name in ("mse_loss", "l1_loss", "huber_loss", "smooth_l1_loss", "binary_cross_entropy_with_logits"):
        args = dict(huber_loss=dict(delta=1.0), smooth_l1_loss=dict(beta=1.0)).get(name, {})
        for shape in [(0,), (), (1, 1)]:  # the mean over none is NaN
            op(name, lambda x, t: getattr(F, name)(x, t, reduction=reduction), uniform(*shape), uniform(*shape, low=0, high=1), reduction=reduction, **args)
for reduction in ("sum", "none"):  # Tenet's mean over no positions is 0, PyTorch's NaN
    ignored = uniform(2, 3), torch.tensor([-100, -100])
    op("cross_entropy", lambda x, t: F.cross_entropy(x, t, reduction=reduction), *ignored, reduction=reduction)
    op("cross_entropy", lambda x, t: F.cross_entropy(x, t, reduction=reduction), uniform(0, 3), none, reduction=reduction)
attention = F.scaled_dot_product_attention
for shape in [(1, 1, 1, 1), (1, 2, 1, 3), (0, 1, 2, 3)]:
    op("attention", lambda q, k, v: attention(q, k, v, is_causal=True), uniform(*shape), uniform(*shape), uniform(*shape), causal=True)
for mask in ([True, False, False], [False, False, False]):  # queries that see nothing get zeros
    op("attention", lambda q, k, v, m: attention(q, k, v, attn_mask=m[:, None, None]), uniform(1, 1, 2, 3), uniform(1, 1, 3, 3), uniform(1, 1, 3, 3),
       torch.tensor([mask]), causal=False)
for chunk, length in [(2, 1), (4, 4), (3, 8), (16, 5)]:
    distance = torch.arange(length)[:, None] // chunk - torch.arange(length) // chunk
    band = (distance >= 0) & (distance <= 1) & torch.ones(length, length).tril().bool()
    op("local_attention", lambda q, k, v: attention(q, k, v, attn_mask=band), *(uniform(1, 2, length, 4) for _ in "qkv"), chunk=chunk)
for rows, chunk, classes in [(1, 1, 1), (4, 1, 3), (7, 3, 5), (7, 100, 5)]:
    op("linear_cross_entropy", lambda h, w, b, t: F.cross_entropy(F.linear(h, w, b), t), uniform(rows, 2), uniform(classes, 2), uniform(classes),
       integers(classes, rows), chunk=chunk)
for shape in [(1, 2, 3), (2, 1), (3, 2, 1, 1), (2, 3, 2, 2)]:
    channels = shape[1]
    op("batch_norm", lambda x, w, b: F.batch_norm(x, None, None, w, b, True, 0, 1e-3), uniform(*shape), uniform(channels), uniform(channels), given=False, eps=1e-3)
    op("batch_norm", lambda x, m, v: F.batch_norm(x, m.detach(), v.detach(), None, None, False, 0, 0.25), uniform(*shape), uniform(channels), uniform(channels, low=0.0625),
       given=True, eps=0.25)
op("batch_norm", lambda x, m, v: F.batch_norm(x, m.detach(), v.detach(), None, None, False, 0, 0.25), uniform(0, 2), uniform(2), uniform(2, low=0.25), given=True, eps=0.25)
op("conv2d", F.conv2d, uniform(0, 2, 3, 3), uniform(1, 2, 2, 2), uniform(1), stride=[1, 1], padding=[0, 0], dilation=[1, 1], groups=1)
op("avg_pool2d", lambda x: F.avg_pool2d(x, 1), uniform(1, 1, 1, 1), kernel=[1, 1], stride=[1, 1], padding=[0, 0], count=True)
op("matmul", torch.matmul, uniform(3, 70), uniform(70, 5))
op("linear", F.linear, uniform(2, 1, 66), uniform(3, 66), uniform(3))
op("sum", lambda x: torch.sum(x, dim=[0]), uniform(1100), axes=[0], all=False, keepdim=False)
op("mean", lambda x: torch.mean(x, dim=[0]), uniform(1100), axes=[0], all=False, keepdim=False)
op("softmax", lambda x: torch.softmax(x, -1), uniform(2, 300, low=-8, high=8), axis=-1)
op("layer_norm", lambda x: F.layer_norm(x, (300,), eps=1e-5), uniform(2, 300), eps=1e-5)
op("conv2d", F.conv2d, uniform(1, 1, 1, 1), uniform(1, 1, 1, 1), uniform(1), stride=[1, 1], padding=[0, 0], dilation=[1, 1], groups=1)
op("max_pool2d", lambda x: F.max_pool2d(x, 1), uniform(1, 1, 1, 1), kernel=[1, 1], stride=[1, 1], padding=[0, 0])

# --- Extreme values --------------------------------------------------------------------------------------------------
# A type takes part if it holds the inputs: the first list is for all four, the second for bf16, f32 and f64 as far as
# they go, the third for f64 alone. The wider results are rounded to the type.

inf, nan = math.inf, math.nan
common = [0.0, -0.0, inf, -inf, nan, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, 2.0**-14, -(2.0**-14), 2.0**-20, 3.0, -3.0, 6.0, -6.0,
          10.0, -10.0, 12.0, -12.0, 20.0, -20.0, 89.0, -89.0, 104.0, -104.0, 59904.0, -59904.0]
lists = [common, [2.0**100, -(2.0**100), 2.0**-126, -(2.0**-126), 2.0**-130, 2.0**127, -(2.0**127), 2.0**-60, -(2.0**-60)],
         [1e30, -1e30, 1e-40, -1e-40, 3e38, -3e38, 1.4e-45], [1e300, -1e300, 1e-310, 709.0, -745.0, -709.0]]
lists[2] = torch.tensor(lists[2], dtype=torch.float32).double().tolist()
tensors = [torch.tensor(values, dtype=torch.float64) for values in lists]


def extreme(name, f, *inputs, **args):
    op(name, f, *inputs, kind="extremes", **args)


# The points at which Tenet differs, see op_differences.py.
apart = dict(sign=lambda x: x.isnan(), mish=lambda x: x == inf, hardswish=lambda x: x == -inf,
             clamp=lambda x: x.isnan() | (x == -0.5) | (x == 1.25))
for x in tensors:
    for name, f, _, _, args in unaries:
        extreme(name, f, x[~apart[name](x)] if name in apart else x, **args)
    for name in "isfinite isnan logical_not".split():
        extreme(name, getattr(torch, name), x)
    first, second = (y.flatten() for y in torch.meshgrid(x[:16], x[:16], indexing="ij"))
    for name in "add sub mul pow".split():
        extreme(name, getattr(torch, name), first, second)
    normal = (second == 0) | ~(second.abs() < 2.0**-126)
    extreme("div", torch.div, first, second, grad=False)
    extreme("div", torch.div, first[normal], second[normal])
    for name in "maximum minimum".split():
        extreme(name, getattr(torch, name), first, second, grad=False)
        numbers = ~(first.isnan() | second.isnan())
        extreme(name, getattr(torch, name), first[numbers], second[numbers])
    for name, theirs in dict(equal="eq", not_equal="ne", less="lt", less_equal="le", greater="gt", greater_equal="ge").items():
        extreme(name, getattr(torch, theirs), x[:8, None], x[None, :8])
    for scalar in (2.0, 3.0, 0.5, -1.0, 0.0):
        extreme("pow", lambda x: x**scalar, x[(x > 0) | x.isnan()] if scalar == 0.5 else x, scalar=scalar)
    extreme("div", lambda x: 1.0 / x, x, scalar=1.0, left=True)

rows = torch.tensor([[-inf, 1, 2, 3], [inf, 1, 2, 3], [nan, 1, 2, 3], [104, -104, 0, 3], [59904, 59904, -59904, 1],
                     [-59904, -59904, -59904, -59904], [0, -0.0, -0.0, 0], [-inf, inf, 0, 1], [inf, inf, 1, 2], [1, 2.0**-14, 2.0**-20, 0]],
                    dtype=torch.float64)
big = torch.tensor([[2.0**100, 2.0**100, 1, 0], [-(2.0**100), 0, 1, 2], [-(2.0**100)] * 4, [2.0**-130, 2.0**-130, 2.0**-126, 0]], dtype=torch.float64)
for x in (rows, big):
    over = dict(axes=[1], all=False, keepdim=False)
    for name, f in {**totals, **extremes}.items():
        if name == "norm" and x is big:
            continue  # squares of 2^100 are infinite in f32, PyTorch's too
        extreme(name, lambda x: f(x, dim=[1], keepdim=False), x, grad=name not in extremes, **over)
    for name in ("argmax", "argmin"):
        extreme(name, lambda x: getattr(torch, name)(x, dim=1), x, **over)
    for name in ("softmax", "log_softmax"):
        extreme(name, lambda x: getattr(torch, name)(x, 1), x, axis=1)
    extreme("cumsum", lambda x: torch.cumsum(x, 1), x, axis=1)
    for descending in (False, True):
        extreme("sort", lambda x: torch.sort(x, dim=1, descending=descending, stable=True), x, axis=1, descending=descending)
        extreme("argsort", lambda x: torch.argsort(x, dim=1, descending=descending, stable=True), x, axis=1, descending=descending)
    classes = torch.arange(len(x)) % 4
    extreme("cross_entropy", lambda x, t: F.cross_entropy(x, t, reduction="none"), x, classes, reduction="none")
    extreme("nll_loss", lambda x, t: F.nll_loss(x, t, reduction="none"), x, classes, reduction="none")
    extreme("layer_norm", lambda x: F.layer_norm(x, (4,), eps=1e-5), x[[0, 1, 2, 6]] if x is rows else x[3:], eps=1e-5)
    half = torch.full_like(x, 0.5)
    extreme("binary_cross_entropy_with_logits", lambda x, t: F.binary_cross_entropy_with_logits(x, t, reduction="none"),
            x.masked_fill(x == -inf, -89), half, reduction="none")
    for name in ("mse_loss", "l1_loss", "huber_loss", "smooth_l1_loss"):
        args = dict(huber_loss=dict(delta=1.0), smooth_l1_loss=dict(beta=1.0)).get(name, {})
        extreme(name, lambda x, t: getattr(F, name)(x, t, reduction="none"), x, half, reduction="none", **args)
    extreme("where", torch.where, x > 0, x, -x)
    extreme("masked_fill", lambda x, m: x.masked_fill(m, -inf), x, x > 0, value="-inf")
    extreme("max_pool2d", lambda x: F.max_pool2d(x, 2), x.reshape(1, 1, len(x), 4), kernel=[2, 2], stride=[2, 2], padding=[0, 0])
# Scores of 1e4 and -1e4; for gradients, whose shares are exp(score - lse) with a rounded lse, of 100 and -100.
q = torch.tensor([[104.0, -104.0], [-104.0, 0.5], [0.0, 0.0]], dtype=torch.float64).reshape(1, 1, 3, 2)
k = torch.tensor([[104.0, 0.5], [-104.0, 104.0], [0.5, 0.5]], dtype=torch.float64).reshape(1, 1, 3, 2)
v = torch.tensor([[1.0, -59904.0], [0.5, 59904.0], [2.0, 0.0]], dtype=torch.float64).reshape(1, 1, 3, 2)
for causal in (False, True):
    extreme("attention", lambda q, k, v: attention(q, k, v, is_causal=causal), q, k, v, grad=False, causal=causal)
    extreme("attention", lambda q, k, v: attention(q, k, v, is_causal=causal), q / 64, k, v / 2.0**15, causal=causal)
finite = torch.tensor([[0.0, -0.0, 59904, -59904], [2.0**-14, -1, 1, 2.0**-20]], dtype=torch.float64)
extreme("matmul", torch.matmul, finite, torch.tensor([[inf], [1.0], [0.0], [-1.0]], dtype=torch.float64))
extreme("matmul", torch.matmul, finite, torch.tensor([[nan], [1.0], [0.0], [-1.0]], dtype=torch.float64))
extreme("matmul", torch.matmul, finite, torch.tensor([[0.0], [1.0], [-1.0], [-1.0]], dtype=torch.float64))
