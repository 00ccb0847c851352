"""Records PyTorch's numbers for the tests: ops.safetensors, modules.safetensors and optim.safetensors beside this file.

    python tests/reference/make_fixtures.py      # needs torch, transformers and safetensors

Run by hand when a case is added; builds and tests only read the files. Results are computed in f64 from inputs that
the narrower types hold, so one record serves them all; recording.py says how a case is stored. The ops' cases are in
op_numbers.py (every op and its arguments), op_edges.py (shapes and extreme values), op_types.py (integers, boolean
and promotion), op_errors.py (what is refused) and op_differences.py (what Tenet does otherwise on purpose).
The same bytes every time on one machine; recorded with PyTorch 2.15.
"""
import torch
import torch.nn.functional as F

import op_differences  # noqa: F401: records cases
import op_edges  # noqa: F401
import op_errors  # noqa: F401
import op_types  # noqa: F401
from op_numbers import ops, seen, targets
from recording import File, integers, narrow, uniform, wide

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
