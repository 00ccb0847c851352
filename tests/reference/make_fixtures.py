"""Records PyTorch's numbers for the tests: ops.safetensors, modules.safetensors and optim.safetensors beside this file.

    python tests/reference/make_fixtures.py      # needs torch, transformers and safetensors

Run by hand when a case is added; builds and tests only read the files. Inputs are numbers that f32 holds exactly and
results are computed in f64, so one record serves f32 and f64. A case is data: in the metadata "cases" lists its op,
arguments and how many tensors it has, and tensor "<case>.x0" is its first input, y0 its first output, c0 the cotangent
of y0 and d0 the gradient of x0 (absent where there is none).
"""
import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

FOLDER = Path(__file__).parent
generator = torch.Generator().manual_seed(20200112)


def uniform(*shape, low=-2.0, high=2.0):
    """Multiples of 2^-12, which f32 holds and which have few ties."""
    x = torch.rand(shape, generator=generator, dtype=torch.float64) * (high - low) + low
    return torch.round(x * 4096) / 4096


def integers(high, *shape):
    return torch.randint(0, high, shape, generator=generator)


def narrow(x):
    """As stored: floats that f32 holds."""
    if not x.is_floating_point():
        return x.detach().contiguous().clone()
    y = x.detach().to(torch.float32)
    assert torch.equal(y.double().nan_to_num(), x.detach().nan_to_num()), "an input that f32 does not hold"
    return y.contiguous().clone()


def wide(x):
    return x.detach().contiguous().clone()


class File:
    """Cases and tensors of one file."""

    def __init__(self, name):
        self.name, self.cases, self.tensors = name, [], {}

    def record(self, info, inputs, outputs, leaves):
        """Cotangents for the floating outputs, gradients of `leaves` (name -> tensor)."""
        i = len(self.cases)
        put = lambda key, x: self.tensors.__setitem__(f"{i}.{key}", x)
        for k, x in enumerate(inputs):
            put(f"x{k}", narrow(x))
        differentiable = [y for y in outputs if y.requires_grad]
        cotangents = [uniform(*y.shape, low=-1, high=1) for y in differentiable]
        grads = torch.autograd.grad(differentiable, list(leaves.values()), cotangents, allow_unused=True) if differentiable else []
        for k, y in enumerate(outputs):
            put(f"y{k}", wide(y))
        which = [k for k, y in enumerate(outputs) if y.requires_grad]
        for k, c in zip(which, cotangents):
            put(f"c{k}", narrow(c))
        for name, d in zip(leaves, grads):
            if d is not None:
                put(f"d{name}", wide(d))
        self.cases.append({**info, "inputs": len(inputs), "outputs": len(outputs)})

    def save(self):
        path = FOLDER / f"{self.name}.safetensors"
        save_file(self.tensors, path, metadata={"cases": json.dumps(self.cases, separators=(",", ":")), "torch": torch.__version__})
        path.chmod(0o644)
        print(f"{path.name}: {len(self.cases)} cases, {len(self.tensors)} tensors, {path.stat().st_size} bytes")


# --- Ops -------------------------------------------------------------------------------------------------------------

ops = File("ops")


def op(name, function, *inputs, grad=True, **args):
    """Records function(*inputs); floating inputs are leaves unless grad is False."""
    xs = [x.clone().requires_grad_(grad and x.is_floating_point()) for x in inputs]
    y = function(*xs)
    ops.record({"op": name, "args": args}, inputs, list(y) if isinstance(y, (tuple, list)) else [y],
               {str(k): x for k, x in enumerate(xs) if x.requires_grad})


def unary(name, function, begin=-2.0, end=2.0, **args):
    op(name, function, uniform(3, 7, low=begin, high=end), **args)
    op(name, function, uniform(low=begin, high=end), **args)


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

op("reshape", lambda x: x.transpose(0, 1).reshape(4, -1), uniform(2, 6), shape=[4, -1])
op("view", lambda x: x.view(3, 4), uniform(2, 6), shape=[3, 4])
op("flatten", lambda x: torch.flatten(x, 1, 2), uniform(2, 3, 2, 2), start=1, end=2)
op("permute", lambda x: x.permute(2, 0, 1), uniform(2, 3, 4), axes=[2, 0, 1])
op("transpose", lambda x: x.transpose(0, -1), uniform(2, 3, 4), a=0, b=-1)
op("slice", lambda x: x[:, 1:-1:2], uniform(3, 7), axis=1, start=1, stop=-1, step=2)
op("slice", lambda x: x[-2:], uniform(3, 4), axis=0, start=-2, stop=3, step=1)
op("select", lambda x: x[:, -2], uniform(3, 4, 2), axis=1, index=-2)
op("chunk", lambda x: torch.tensor_split(x, 3, 1), uniform(2, 7), count=3, axis=1)
op("expand", lambda x: x.expand(4, 2, 3), uniform(2, 1), shape=[4, 2, 3])
op("squeeze", torch.squeeze, uniform(1, 3, 1), axes=[], all=True)
op("squeeze", lambda x: x.squeeze(0), uniform(1, 3, 1), axes=[0], all=False)
op("unsqueeze", lambda x: x.unsqueeze(-2), uniform(2, 3), axis=-2)
op("concatenate", lambda *x: torch.cat(x, 1), uniform(2, 3), uniform(2, 1), uniform(2, 0), axis=1)
op("stack", lambda *x: torch.stack(x, -1), uniform(2, 3), uniform(2, 3), axis=-1)
op("split", lambda x: torch.split(x, [1, 3, 2], 0), uniform(6, 2), sizes=[1, 3, 2], axis=0)
op("pad", lambda x: F.pad(x, (2, 1), value=0.5), uniform(2, 3), axis=-1, before=2, after=1, value=0.5)
op("flip", lambda x: torch.flip(x, [1]), uniform(2, 3, 2), axis=1)
op("roll", lambda x: torch.roll(x, -2, 0), uniform(5, 2), shift=-2, axis=0)

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

# --- Modules ---------------------------------------------------------------------------------------------------------

nn = torch.nn
modules = File("modules")


def module(name, theirs, inputs, state=None, call=None, **args):
    """Records theirs(*inputs) with weights drawn anew. `state` maps Tenet's names to parameters, or to rows of one as
    (parameter, begin, end); by default the names are the same."""
    theirs = theirs.double().eval()
    with torch.no_grad():
        for p in theirs.parameters():
            p.copy_(uniform(*p.shape, low=-0.75, high=0.75))
    own = dict(theirs.named_parameters())
    state = {name: name for name in own} if state is None else state
    xs = [x.clone().requires_grad_(x.is_floating_point()) for x in inputs]
    y = (call or theirs)(*xs)
    ops_leaves = {str(k): x for k, x in enumerate(xs) if x.requires_grad}
    i = len(modules.cases)
    modules.record({"op": name, "args": args}, xs, [y], {**ops_leaves, **{"." + n: p for n, p in own.items()}})
    for n in own:  # the gradients go under Tenet's names
        d = modules.tensors.pop(f"{i}.d.{n}", None)
        for ours, from_ in state.items():
            theirs_name, *rows = [from_] if isinstance(from_, str) else from_
            if theirs_name != n:
                continue
            part = slice(*rows) if rows else slice(None)
            modules.tensors[f"{i}.p.{ours}"] = narrow(own[n][part])
            if d is not None:
                modules.tensors[f"{i}.d.{ours}"] = wide(d[part])


module("Linear", nn.Linear(4, 3), [uniform(2, 5, 4)], {"weight": "weight", "bias": "bias"}, sizes=[4, 3], bias=True)
module("Linear", nn.Linear(4, 3, bias=False), [uniform(5, 4)], sizes=[4, 3], bias=False)
module("Embedding", nn.Embedding(7, 3), [integers(7, 2, 4)], sizes=[7, 3])
module("LayerNorm", nn.LayerNorm(6), [uniform(2, 3, 6)], sizes=[6])
module("LayerNorm", nn.LayerNorm(6, eps=0.125), [uniform(4, 6)], sizes=[6], eps=0.125)
module("Dropout", nn.Dropout(0.5), [uniform(3, 4)])
module("Flatten", nn.Flatten(), [uniform(2, 3, 4)])
for name, theirs in dict(Relu="ReLU", Gelu="GELU", Silu="SiLU", Tanh="Tanh", Sigmoid="Sigmoid", LogSigmoid="LogSigmoid",
                         Softplus="Softplus", Selu="SELU", Mish="Mish", Hardswish="Hardswish",
                         LeakyRelu="LeakyReLU", Elu="ELU").items():
    module(name, getattr(nn, theirs)(), [uniform(3, 5, low=-4, high=4)])
module("Hardsigmoid", nn.Hardsigmoid(), [uniform(3, 5, low=-4, high=4)], call=lambda x: F.relu6(x + 3) / 6)
module("GeluTanh", nn.GELU(approximate="tanh"), [uniform(3, 5, low=-4, high=4)])
module("Softmax", nn.Softmax(0), [uniform(3, 5)], axis=0)
module("LogSoftmax", nn.LogSoftmax(-1), [uniform(3, 5)], axis=-1)
module("Glu", nn.GLU(-1), [uniform(3, 4)], axis=-1)
module("Sequential", nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.LayerNorm(6), nn.Linear(6, 2)), [uniform(3, 4)])
two = nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.Linear(6, 4))
module("FeedForward", two, [uniform(2, 5, 4)],
       {"dense.dense.weight": "0.weight", "dense.dense.bias": "0.bias", "output.dense.weight": "2.weight", "output.dense.bias": "2.bias"})


def projections(width, memory=None):
    own = {"output.dense.weight": "out_proj.weight"}
    for k, name in enumerate(("query", "key", "value")):
        own[f"self_attention.{name}.weight"] = ("in_proj_weight", k * width, (k + 1) * width) if memory is None else f"{name[0]}_proj_weight"
    return own


for causal in (False, True):
    m = nn.MultiheadAttention(6, 2, bias=False, batch_first=True)
    hide = torch.ones(5, 5).triu(1).bool() if causal else None
    module("MultiHeadAttention", m, [uniform(2, 5, 6)], projections(6), lambda x: m(x, x, x, attn_mask=hide, need_weights=False)[0], causal=causal)
m = nn.MultiheadAttention(6, 2, bias=False, batch_first=True)
module("MultiHeadAttention", m, [uniform(2, 5, 6), seen], projections(6),
       lambda x, mask: m(x, x, x, key_padding_mask=~mask, need_weights=False)[0], causal=False)
m = nn.MultiheadAttention(6, 2, bias=False, batch_first=True, kdim=4, vdim=4)
module("MultiHeadAttention", m, [uniform(2, 3, 6), uniform(2, 5, 4), seen], projections(6, 4),
       lambda x, memory, mask: m(x, memory, memory, key_padding_mask=~mask, need_weights=False)[0], causal=False, memory=4)

x, t, weight = uniform(5, 4), uniform(5, 4, low=0, high=1), uniform(4, low=0.25)
module("CrossEntropyLoss", nn.CrossEntropyLoss(label_smoothing=0.25), [x, targets], smoothing=0.25)
module("NllLoss", nn.NLLLoss(), [x, targets])
module("MseLoss", nn.MSELoss(), [x, t])
module("L1Loss", nn.L1Loss(), [x, t])
module("HuberLoss", nn.HuberLoss(delta=0.5), [x, t], delta=0.5)
module("SmoothL1Loss", nn.SmoothL1Loss(beta=0.5), [x, t], beta=0.5)
module("BceWithLogitsLoss", nn.BCEWithLogitsLoss(pos_weight=weight), [x, t], pos_weight=weight.tolist())
module("KlDivLoss", nn.KLDivLoss(reduction="batchmean"), [x, t])

# --- Optimizers and schedules ----------------------------------------------------------------------------------------

optim = File("optim")
SHAPES, STEPS = [(4, 3), (5,), (2, 3, 4)], 10
for k, shape in enumerate(SHAPES):
    optim.tensors[f"w{k}"] = narrow(uniform(*shape))
    for step in range(STEPS):
        optim.tensors[f"g{step}.{k}"] = narrow(uniform(*shape))


def optimizer(name, make, schedule=None, clip=None, **args):
    """Ten steps from the same weights with the same gradients: y<k> holds weights k after each."""
    ws = [optim.tensors[f"w{k}"].double().requires_grad_() for k in range(len(SHAPES))]
    theirs = make(ws)
    scheduler = schedule and schedule(theirs)
    history = [[] for _ in ws]
    for step in range(STEPS):
        for k, w in enumerate(ws):
            w.grad = optim.tensors[f"g{step}.{k}"].double()
        if clip:
            torch.nn.utils.clip_grad_norm_(ws, clip)
        theirs.step()
        if scheduler:
            scheduler.step()
        for k, w in enumerate(ws):
            history[k].append(w.detach().clone())
    i = len(optim.cases)
    for k, steps in enumerate(history):
        optim.tensors[f"{i}.y{k}"] = torch.stack([steps[0], steps[2], steps[9]])
    optim.cases.append({"op": name, "args": args})


T = torch.optim
optimizer("Sgd", lambda p: T.SGD(p, lr=0.125), learning_rate=0.125)
optimizer("Sgd", lambda p: T.SGD(p, lr=0.125, weight_decay=0.0625), learning_rate=0.125, weight_decay=0.0625)
optimizer("Sgd", lambda p: T.SGD(p, lr=0.125, momentum=0.875), learning_rate=0.125, momentum=0.875)
optimizer("Sgd", lambda p: T.SGD(p, lr=0.125, momentum=0.875, dampening=0.25, weight_decay=0.0625),
          learning_rate=0.125, momentum=0.875, dampening=0.25, weight_decay=0.0625)
optimizer("Sgd", lambda p: T.SGD(p, lr=0.125, momentum=0.875, nesterov=True, weight_decay=0.0625),
          learning_rate=0.125, momentum=0.875, nesterov=True, weight_decay=0.0625)
for name, theirs in dict(Adam=T.Adam, AdamW=T.AdamW).items():
    optimizer(name, lambda p: theirs(p, lr=0.01), learning_rate=0.01)
    optimizer(name, lambda p: theirs(p, lr=0.01, betas=(0.8, 0.98), eps=1e-3), learning_rate=0.01, beta1=0.8, beta2=0.98, eps=1e-3)
    optimizer(name, lambda p: theirs(p, lr=0.01, weight_decay=0.25), learning_rate=0.01, weight_decay=0.25)
optimizer("RmsProp", lambda p: T.RMSprop(p), learning_rate=0.01)
optimizer("RmsProp", lambda p: T.RMSprop(p, lr=0.02, alpha=0.9, eps=1e-3, weight_decay=0.25),
          learning_rate=0.02, alpha=0.9, eps=1e-3, weight_decay=0.25)
optimizer("RmsProp", lambda p: T.RMSprop(p, lr=0.01, momentum=0.5), learning_rate=0.01, momentum=0.5)
optimizer("RmsProp", lambda p: T.RMSprop(p, lr=0.01, centered=True), learning_rate=0.01, centered=True)
optimizer("RmsProp", lambda p: T.RMSprop(p, lr=0.01, momentum=0.5, centered=True, weight_decay=0.25),
          learning_rate=0.01, momentum=0.5, centered=True, weight_decay=0.25)
optimizer("Adafactor of torch.optim", lambda p: T.Adafactor(p, lr=0.5, eps=(1e-30, 1e-3)), relative=0.5)

from transformers.optimization import Adafactor  # noqa: E402

constant = dict(scale_parameter=False, relative_step=False)
optimizer("Adafactor of transformers", lambda p: Adafactor(p), relative=0.01)
optimizer("Adafactor of transformers", lambda p: Adafactor(p, warmup_init=True), warm_up=True)
optimizer("Adafactor of transformers", lambda p: Adafactor(p, lr=0.05, **constant), learning_rate=0.05, scaled=False)
optimizer("Adafactor of transformers", lambda p: Adafactor(p, lr=0.05, scale_parameter=True, relative_step=False, weight_decay=0.25),
          learning_rate=0.05, weight_decay=0.25)
optimizer("Adafactor of transformers", lambda p: Adafactor(p, lr=0.05, beta1=0.75, weight_decay=0.25, **constant),
          learning_rate=0.05, scaled=False, beta1=0.75, weight_decay=0.25)
optimizer("Adafactor of transformers", lambda p: Adafactor(p, lr=0.05, clip_threshold=0.5, decay_rate=-0.5, eps=(1e-6, 0.5), scale_parameter=True, relative_step=False),
          learning_rate=0.05, clipping_threshold=0.5, decay_exponent=0.5, eps1=1e-6, eps2=0.5)

groups = lambda p: [dict(params=p[:1], lr=0.02, weight_decay=0.125), dict(params=p[1:])]
optimizer("groups", lambda p: T.AdamW(groups(p), lr=0.01, weight_decay=0.25), lambda o: T.lr_scheduler.ExponentialLR(o, 0.75),
          learning_rate=0.01, weight_decay=0.25, group_rate=0.02, group_decay=0.125, factor=0.75)


def measure(step):
    """A measure that falls, stays, falls once more, with a little noise."""
    return max(0.3, 1 - 0.07 * step) + 0.001 * (7 * step % 5) - (0.1 if step > 30 else 0)


def schedule(name, make, followed=(), **args):
    """The rates of 40 steps of an optimizer with learning rate 0.5, which may follow measures."""
    theirs = T.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    scheduler = make(theirs)
    rates = []
    for _ in range(40):
        rates.append(theirs.param_groups[0]["lr"])
        theirs.step()
        scheduler.step(*followed[len(rates) - 1:len(rates)])
    optim.tensors[f"{len(optim.cases)}.rates"] = torch.tensor(rates, dtype=torch.float64)
    optim.cases.append({"op": name, "args": args})


S = T.lr_scheduler
schedule("step_decay", lambda o: S.StepLR(o, 7, 0.5), factor=0.5, every=7)
schedule("milestones", lambda o: S.MultiStepLR(o, [5, 9, 20], 0.25), factor=0.25, milestones=[5, 9, 20])
schedule("exponential", lambda o: S.ExponentialLR(o, 0.875), factor=0.875)
schedule("cosine", lambda o: S.CosineAnnealingLR(o, 39, 0.125), steps=39, final=0.125)
schedule("linear", lambda o: S.LinearLR(o, 1.0, 0.25, 30), steps=30, final=0.125)
schedule("polynomial", lambda o: S.PolynomialLR(o, 30, 2.0), steps=30, power=2.0)
schedule("cosine_restarts", lambda o: S.CosineAnnealingWarmRestarts(o, 5, 2, 0.125), period=5, factor=2, final=0.125)
schedule("one_cycle", lambda o: S.OneCycleLR(o, 0.5, total_steps=40), steps=40)
falling = [measure(step) for step in range(40)]
schedule("plateau", lambda o: S.ReduceLROnPlateau(o, "min", 0.5, 3, cooldown=2, min_lr=0.01), falling,
         measures=falling, factor=0.5, patience=3, threshold=1e-4, cooldown=2, final=0.01)
schedule("plateau", lambda o: S.ReduceLROnPlateau(o, "max", 0.25, 2, 0.05), [1 - m for m in falling],
         measures=[1 - m for m in falling], factor=0.25, patience=2, threshold=0.05, cooldown=0, final=0, larger=True)

for file in (ops, modules, optim):
    file.save()
