"""Every op of Tenet that PyTorch has, with its arguments: outputs and gradients."""
import math

import torch
import torch.nn.functional as F

from recording import File, integers, narrow, uniform, wide

ops = File("ops")


def op(name, function, *inputs, grad=True, kind="numbers", **args):
    """Records function(*inputs); floating inputs are leaves unless grad is False. The kinds "types" and "differs" keep
    the inputs' types; the others are numbers for every floating type."""
    typed = kind in ("types", "differs")
    leaf = lambda x: grad and x.is_floating_point() and kind != "types"
    xs = [x.clone().requires_grad_(leaf(x)) for x in inputs]
    y = function(*xs)
    ops.record({"op": name, "kind": kind, "args": args}, inputs, list(y) if isinstance(y, (tuple, list)) else [y],
               {str(k): x for k, x in enumerate(xs) if x.requires_grad}, wide if typed else narrow)
    if kind == "extremes" and all(narrow(x).dtype != torch.float64 for x in inputs):
        add_gradients("f32", torch.float32, function, xs)
    if kind == "numbers" and name in ("sigmoid", "tanh"):  # whose derivatives are made from the rounded y
        add_gradients("bf16", torch.bfloat16, function, xs)
        add_gradients("f16", torch.float16, function, xs)


def add_gradients(prefix, dtype, function, xs):
    """Adds PyTorch's own gradients in a narrower type to the last case, as <prefix>.0, ..."""
    xs = [x.detach().to(dtype if x.is_floating_point() else x.dtype).requires_grad_(x.requires_grad) for x in xs]
    y = function(*xs)
    y = y[0] if isinstance(y, tuple) else y
    i = len(ops.cases) - 1
    if y.requires_grad:
        leaves = {k: x for k, x in enumerate(xs) if x.requires_grad}
        grads = torch.autograd.grad(y, list(leaves.values()), ops.tensors[f"{i}.c0"].to(y.dtype), allow_unused=True)
        ops.tensors.update({f"{i}.{prefix}.{k}": wide(d) for k, d in zip(leaves, grads) if d is not None})


unaries = []  # (name, function, begin, end, args), for the other scripts
movers = []  # (name, function, shapes, args) of ops that take elements of any type


def unary(name, function, begin=-2.0, end=2.0, **args):
    op(name, function, uniform(3, 7, low=begin, high=end), **args)
    op(name, function, uniform(low=begin, high=end), **args)
    unaries.append((name, function, begin, end, args))


def mover(name, function, *shapes, **args):
    op(name, function, *(uniform(*shape) for shape in shapes), **args)
    movers.append((name, function, shapes, args))


for name in "neg abs sign exp square sin cos tanh erf sigmoid floor ceil round".split():
    unary(name, getattr(torch, name), -3, 3)
for name in "log sqrt rsqrt reciprocal".split():
    unary(name, getattr(torch, name), 0.3, 3)
for name in "relu silu softplus selu mish hardswish".split():
    unary(name, getattr(F, name), -4.5, 4.5)
# PyTorch's own hardsigmoid has 1/6 rounded to f32 in its backward, in f64 too.
unary("hardsigmoid", lambda x: F.relu6(x + 3) / 6, -4.5, 4.5)
unary("log_sigmoid", F.logsigmoid, -4.5, 4.5)
unary("gelu", F.gelu, -4, 4)
unary("gelu_tanh", lambda x: F.gelu(x, approximate="tanh"), -4, 4)
unary("leaky_relu", F.leaky_relu, slope=0.01)
unary("leaky_relu", lambda x: F.leaky_relu(x, 0.25), slope=0.25)
unary("elu", lambda x: F.elu(x, 0.75), alpha=0.75)
unary("clamp", lambda x: torch.clamp(x, -0.5, 1.25), low=-0.5, high=1.25)
op("glu", lambda x: F.glu(x, -1), uniform(2, 3, 4), axis=-1)
op("glu", lambda x: F.glu(x, 1), uniform(2, 6, 2), axis=1)
special = torch.tensor([0.0, -0.0, 1.0, math.inf, -math.inf, math.nan, -2.5], dtype=torch.float64)
for name in "isfinite isnan logical_not".split():
    op(name, getattr(torch, name), special, grad=False)

shapes = [((3, 4), (3, 4)), ((2, 3, 1), (4,)), ((), (2, 3)), ((4, 1, 2), (3, 1)), ((2, 0), (1,))]
for a, b in shapes:
    for name in "add sub mul maximum minimum".split():
        op(name, getattr(torch, name), uniform(*a), uniform(*b))
    op("div", torch.div, uniform(*a), uniform(*b, low=0.5))
    op("pow", torch.pow, uniform(*a, low=0.3), uniform(*b))
    for name, theirs in dict(equal="eq", not_equal="ne", less="lt", less_equal="le", greater="gt", greater_equal="ge",
                             logical_and="logical_and", logical_or="logical_or").items():
        op(name, getattr(torch, theirs), torch.round(uniform(*a)), torch.round(uniform(*b)), grad=False)
for name in "add sub mul".split():
    op(name, lambda x, name=name: getattr(torch, name)(x, 1.5), uniform(2, 3), scalar=1.5)
    op(name, lambda x, name=name: getattr(torch, name)(torch.tensor(1.5, dtype=torch.float64), x), uniform(2, 3), scalar=1.5, left=True)
op("div", lambda x: x / 1.5, uniform(2, 3), scalar=1.5)
op("div", lambda x: 1.5 / x, uniform(2, 3, low=0.5), scalar=1.5, left=True)
op("pow", lambda x: x**3, uniform(2, 3), scalar=3.0)
op("pow", lambda x: 1.5**x, uniform(2, 3), scalar=1.5, left=True)
op("where", torch.where, integers(2, 2, 1, 3).bool(), uniform(4, 1), uniform(3))
op("masked_fill", lambda x, m: x.masked_fill(m, -1.5), uniform(2, 3, 4), integers(2, 3, 1).bool(), value=-1.5)

reductions = [(None, False), (1, False), (-1, True), ([0, 2], False), ([0, -1], True)]
for axes, keep in reductions:
    dim = tuple(range(3)) if axes is None else axes
    args = dict(axes=[] if axes is None else ([axes] if isinstance(axes, int) else axes), all=axes is None, keepdim=keep)
    for name, f in dict(sum=torch.sum, mean=torch.mean, logsumexp=torch.logsumexp, max=torch.amax, min=torch.amin).items():
        op(name, lambda x: f(x, dim=dim, keepdim=keep), uniform(2, 3, 4), **args)
    op("norm", lambda x: torch.linalg.vector_norm(x, dim=dim, keepdim=keep), uniform(2, 3, 4), **args)
    for correction in (0, 1):
        op("var", lambda x: torch.var(x, dim=dim, keepdim=keep, correction=correction), uniform(2, 3, 4), correction=correction, **args)
for axis in (None, 0, -1):
    for name in ("argmax", "argmin"):
        op(name, lambda x: getattr(torch, name)(x, dim=axis), uniform(3, 5), axes=[] if axis is None else [axis], all=axis is None, keepdim=False)
op("cumsum", lambda x: torch.cumsum(x, 1), uniform(2, 5, 3), axis=1)
op("cumsum", lambda x: torch.cumsum(x, -1), uniform(4, 6), axis=-1)

for a, b in [((2, 3), (3, 4)), ((2, 1, 3, 4), (5, 4, 2)), ((3,), (3,)), ((3,), (2, 3, 4)), ((2, 3, 4), (4,)), ((2, 0), (0, 3))]:
    op("matmul", torch.matmul, uniform(*a), uniform(*b))
op("matmul", torch.matmul, uniform(17, 33), uniform(33, 9))
op("linear", F.linear, uniform(2, 3, 4), uniform(5, 4), uniform(5))
op("linear", F.linear, uniform(4), uniform(5, 4))

mover("reshape", lambda x: x.transpose(0, 1).reshape(4, -1), (2, 6), shape=[4, -1])
mover("view", lambda x: x.view(3, 4), (2, 6), shape=[3, 4])
mover("flatten", lambda x: torch.flatten(x, 1, 2), (2, 3, 2, 2), start=1, end=2)
mover("permute", lambda x: x.permute(2, 0, 1), (2, 3, 4), axes=[2, 0, 1])
mover("transpose", lambda x: x.transpose(0, -1), (2, 3, 4), a=0, b=-1)
mover("slice", lambda x: x[:, 1:-1:2], (3, 7), axis=1, start=1, stop=-1, step=2)
mover("slice", lambda x: x[-2:], (3, 4), axis=0, start=-2, stop=3, step=1)
mover("select", lambda x: x[:, -2], (3, 4, 2), axis=1, index=-2)
mover("chunk", lambda x: torch.tensor_split(x, 3, 1), (2, 7), count=3, axis=1)
mover("expand", lambda x: x.expand(4, 2, 3), (2, 1), shape=[4, 2, 3])
mover("squeeze", torch.squeeze, (1, 3, 1), axes=[], all=True)
mover("squeeze", lambda x: x.squeeze(0), (1, 3, 1), axes=[0], all=False)
mover("unsqueeze", lambda x: x.unsqueeze(-2), (2, 3), axis=-2)
mover("concatenate", lambda *x: torch.cat(x, 1), (2, 3), (2, 1), (2, 0), axis=1)
mover("stack", lambda *x: torch.stack(x, -1), (2, 3), (2, 3), axis=-1)
mover("split", lambda x: torch.split(x, [1, 3, 2], 0), (6, 2), sizes=[1, 3, 2], axis=0)
mover("pad", lambda x: F.pad(x, (2, 1), value=0.5), (2, 3), axis=-1, before=2, after=1, value=0.5)
mover("flip", lambda x: torch.flip(x, [1]), (2, 3, 2), axis=1)
mover("roll", lambda x: torch.roll(x, -2, 0), (5, 2), shift=-2, axis=0)

op("index_select", lambda x, i: torch.index_select(x, 1, i), uniform(2, 4, 3), torch.tensor([3, 0, 3]), axis=1)
op("gather", lambda x, i: torch.gather(x, 1, i), uniform(2, 4), integers(4, 2, 3), axis=1)
op("take_along", lambda x, i: torch.take_along_dim(x, i, 1), uniform(2, 4), integers(4, 1, 3), axis=1)
op("scatter_add", lambda x, i, s: x.scatter_add(0, i, s), uniform(4, 3), integers(4, 5, 3), uniform(5, 3), axis=0)
op("one_hot", lambda i: F.one_hot(i, 5).double(), integers(5, 2, 3), classes=5)
op("embedding", lambda w, i: F.embedding(i, w), uniform(6, 3), integers(6, 2, 4))
for descending in (False, True):
    op("sort", lambda x: torch.sort(x, dim=1, descending=descending, stable=True), uniform(3, 6), axis=1, descending=descending)
    op("argsort", lambda x: torch.argsort(x, dim=0, descending=descending, stable=True), torch.round(uniform(6, 2)), axis=0, descending=descending)
op("top_k", lambda x: torch.topk(x, 3, dim=-1), uniform(3, 6), k=3, axis=-1)

for axis in (-1, 0, 1):
    op("softmax", lambda x: torch.softmax(x, axis), uniform(2, 3, 5, low=-6, high=6), axis=axis)
    op("log_softmax", lambda x: torch.log_softmax(x, axis), uniform(2, 3, 5, low=-6, high=6), axis=axis)
op("layer_norm", lambda x, w, b: F.layer_norm(x, (6,), w, b, 1e-5), uniform(3, 2, 6), uniform(6), uniform(6), eps=1e-5)
op("layer_norm", lambda x: F.layer_norm(x, (6,), eps=0.125), uniform(3, 6), eps=0.125)

reduce_names = ("mean", "sum", "none")
targets = torch.tensor([3, 0, -100, 2, 2])
for reduction in reduce_names:
    logits, weight = uniform(5, 4, low=-4, high=4), uniform(4, low=0.25)
    op("cross_entropy", lambda x, t: F.cross_entropy(x, t, reduction=reduction), logits, targets, reduction=reduction)
    op("cross_entropy", lambda x, t: F.cross_entropy(x, t, reduction=reduction, label_smoothing=0.125), logits, targets, reduction=reduction, smoothing=0.125)
    op("cross_entropy", lambda x, t: F.cross_entropy(x, t, weight, reduction=reduction), logits, targets, reduction=reduction, weight=weight.tolist())
    op("cross_entropy", lambda x, t: F.cross_entropy(x, t, weight, reduction=reduction, label_smoothing=0.125), logits, targets, reduction=reduction, weight=weight.tolist(), smoothing=0.125)
    op("nll_loss", lambda x, t: F.nll_loss(x, t, weight, reduction=reduction), logits, targets, reduction=reduction, weight=weight.tolist())
    op("nll_loss", lambda x, t: F.nll_loss(x, t, reduction=reduction), logits, targets, reduction=reduction)
    a, b = uniform(3, 4), uniform(3, 4)
    for name, f in dict(mse_loss=F.mse_loss, l1_loss=F.l1_loss).items():
        op(name, lambda x, t: f(x, t, reduction=reduction), a, b, reduction=reduction)
    op("huber_loss", lambda x, t: F.huber_loss(x, t, delta=0.75, reduction=reduction), a, b, reduction=reduction, delta=0.75)
    op("smooth_l1_loss", lambda x, t: F.smooth_l1_loss(x, t, beta=0.75, reduction=reduction), a, b, reduction=reduction, beta=0.75)
    t, p = uniform(3, 4, low=0, high=1), uniform(4, low=0.25)
    op("binary_cross_entropy_with_logits", lambda x, t: F.binary_cross_entropy_with_logits(x, t, reduction=reduction), 4 * a, t, reduction=reduction)
    op("binary_cross_entropy_with_logits", lambda x, t: F.binary_cross_entropy_with_logits(x, t, weight=p, pos_weight=p, reduction=reduction),
       4 * a, t, reduction=reduction, weight=p.tolist(), pos_weight=p.tolist())
    # Tenet's divergence is of the distributions along the last axis: its mean is "batchmean".
    kl = (lambda q, t, log: F.kl_div(q, t, reduction="none", log_target=log).sum(-1)) if reduction == "none" else (
        lambda q, t, log: F.kl_div(q, t, reduction="batchmean" if reduction == "mean" else "sum", log_target=log))
    op("kl_div", lambda q, t: kl(q, t, False), uniform(3, 4, low=-3, high=-0.25), uniform(3, 4, low=0.0625, high=1), reduction=reduction, log_target=False)
    op("kl_div", lambda q, t: kl(q, t, True), uniform(3, 4, low=-3, high=-0.25), uniform(3, 4, low=-3, high=0), reduction=reduction, log_target=True)
op("linear_cross_entropy", lambda h, w, b, t: F.cross_entropy(F.linear(h, w, b), t), uniform(5, 3), uniform(4, 3), uniform(4), targets, chunk=2)

attention = F.scaled_dot_product_attention
q, k, v = uniform(2, 2, 5, 4), uniform(2, 2, 5, 4), uniform(2, 2, 5, 4)
op("attention", attention, q, k, v, causal=False)
op("attention", lambda q, k, v: attention(q, k, v, is_causal=True), q, k, v, causal=True)
op("attention", lambda q, k, v: attention(q, k, v, scale=0.25), uniform(1, 2, 3, 4), uniform(1, 2, 6, 4), uniform(1, 2, 6, 4), causal=False, scale=0.25)
seen = torch.tensor([[1, 1, 0, 1, 0], [1, 0, 1, 1, 1]]).bool()
op("attention", lambda q, k, v, m: attention(q, k, v, attn_mask=m[:, None, None]), q, k, v, seen, causal=False)
distance = torch.arange(7)[:, None] // 2 - torch.arange(7) // 2  # in chunks of 2
band = (distance >= 0) & (distance <= 1) & torch.ones(7, 7).tril().bool()
op("local_attention", lambda q, k, v: attention(q, k, v, attn_mask=band), uniform(1, 2, 7, 4), uniform(1, 2, 7, 4), uniform(1, 2, 7, 4), chunk=2)

made = dict(dtype=torch.float64)
op("arange", lambda: torch.arange(-1.5, 3, 0.75, **made), start=-1.5, stop=3.0, step=0.75)
op("eye", lambda: torch.eye(3, 5, **made), rows=3, columns=5)
op("full", lambda: torch.full((2, 3), 1.25, **made), shape=[2, 3], value=1.25)
op("zeros", lambda: torch.zeros(2, 3, **made), shape=[2, 3])
op("ones", lambda: torch.ones(0, 3, **made), shape=[0, 3])
op("add_", lambda x, y: x.add_(y, alpha=-0.5), uniform(2, 3), uniform(3), grad=False, alpha=-0.5)
op("mul_", lambda x: x.mul_(1.5), uniform(2, 3), grad=False, value=1.5)
op("fill_", lambda x: x.fill_(2.5), uniform(2, 3), grad=False, value=2.5)
op("copy_", lambda x, y: x.copy_(y), uniform(2, 3), uniform(2, 1), grad=False)
for name in "zeros_like ones_like".split():
    op(name, getattr(torch, name), uniform(2, 3), grad=False)
op("full_like", lambda x: torch.full_like(x, 1.25), uniform(2, 3), grad=False, value=1.25)
# Of what is drawn, what does not depend on the numbers drawn.
op("dropout", lambda x: F.dropout(x, 0.5, training=False), uniform(2, 3), p=0.5, training=False)
for p in (0.0, 1.0):
    op("dropout", lambda x: F.dropout(x, p), uniform(2, 3), p=p, training=True)
    op("bernoulli", lambda: torch.full((2, 3), p).bernoulli().bool(), shape=[2, 3], p=p)
op("randint", lambda: torch.randint(3, 4, (2, 3)), shape=[2, 3], low=3, high=4)

image, kernel = (2, 4, 5, 6), uniform(6, 2, 3, 2, low=-1, high=1)
conv = lambda stride, padding, dilation, groups: dict(stride=stride, padding=padding, dilation=dilation, groups=groups)
op("conv2d", F.conv2d, uniform(2, 2, 5, 4), kernel, uniform(6), **conv([1, 1], [0, 0], [1, 1], 1))
op("conv2d", lambda x, w, b: F.conv2d(x, w, b, (2, 1), (1, 0), (1, 2), 2), uniform(*image), kernel, uniform(6), **conv([2, 1], [1, 0], [1, 2], 2))
op("conv2d", lambda x, w: F.conv2d(x, w, None, 1, (2, 1), 1, 4), uniform(*image), uniform(4, 1, 3, 3), **conv([1, 1], [2, 1], [1, 1], 4))
op("conv2d", F.conv2d, uniform(2, 3, 2, 2), uniform(4, 3, 1, 1), **conv([1, 1], [0, 0], [1, 1], 1))
op("max_pool2d", lambda x: F.max_pool2d(x, 2), uniform(*image), kernel=[2, 2], stride=[2, 2], padding=[0, 0])
op("max_pool2d", lambda x: F.max_pool2d(x, (3, 2), (1, 2), (1, 1)), uniform(*image), kernel=[3, 2], stride=[1, 2], padding=[1, 1])
op("avg_pool2d", lambda x: F.avg_pool2d(x, 2), uniform(*image), kernel=[2, 2], stride=[2, 2], padding=[0, 0], count=True)
for count in (True, False):
    op("avg_pool2d", lambda x: F.avg_pool2d(x, (3, 2), (1, 2), (1, 1), count_include_pad=count), uniform(*image),
       kernel=[3, 2], stride=[1, 2], padding=[1, 1], count=count)
op("batch_norm", lambda x, w, b: F.batch_norm(x, None, None, w, b, True, 0, 1e-3), uniform(3, 2, 4), uniform(2), uniform(2), given=False, eps=1e-3)
op("batch_norm", lambda x, m, v, w, b: F.batch_norm(x, m.detach(), v.detach(), w, b, False, 0, 1e-3),
   uniform(3, 2, 2, 2), uniform(2), uniform(2, low=0.25), uniform(2), uniform(2), given=True, eps=1e-3)
