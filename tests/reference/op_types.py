"""Ops of integers and boolean, and the types that results have."""
import torch
import torch.nn.functional as F

from op_numbers import movers, op, unaries
from recording import generator, integers, uniform

U8, I32, I64, BOOL = torch.uint8, torch.int32, torch.int64, torch.bool
NUMBERS, ALL = (U8, I32, I64), (U8, I32, I64, BOOL)


def whole(dtype, *shape, small=False):
    """Of each type what it holds; few and small ones where a product or a power is made."""
    if dtype == BOOL:
        return integers(2, *shape).bool()
    high = 5 if small else 200 if dtype == U8 else 100
    return integers(high, *shape, low=0 if dtype == U8 else -high).to(dtype)


def typed(name, f, *inputs, **args):
    op(name, f, *inputs, kind="types", **args)


real = "exp log sqrt rsqrt reciprocal sin cos tanh erf sigmoid".split()
for dtype in ALL:
    for name, f, _, _, args in unaries:
        if name in real or (dtype != BOOL and name in "sign neg abs square floor ceil round relu".split()):
            typed(name, f, whole(dtype, 2, 5, small=name in real), **args)
    for name in "isfinite isnan logical_not".split():
        typed(name, getattr(torch, name), whole(dtype, 2, 5))
    for name in "logical_and logical_or add mul maximum minimum".split():
        typed(name, getattr(torch, name), whole(dtype, 2, 3), whole(dtype, 3))
    typed("div", torch.div, whole(dtype, 2, 3), torch.ones(3).to(dtype) if dtype == BOOL else whole(dtype, 3).abs() % 7 + 1)
    for name, theirs in dict(equal="eq", not_equal="ne", less="lt", less_equal="le", greater="gt", greater_equal="ge").items():
        typed(name, getattr(torch, theirs), whole(dtype, 3, 1, small=True), whole(dtype, 5, small=True))
        typed(name, lambda x: getattr(torch, theirs)(x, 1), whole(dtype, 5, small=True), scalar=1)
    for axes, keep in [([0, 1], False), ([1], False), ([0], True)]:
        where = dict(axes=axes, all=len(axes) == 2, keepdim=keep)
        typed("sum", lambda x: torch.sum(x, dim=axes, keepdim=keep), whole(dtype, 3, 4), **where)
        for name, f in dict(max=torch.amax, min=torch.amin).items():
            typed(name, lambda x: f(x, dim=axes, keepdim=keep), whole(dtype, 3, 4), **where)
    typed("sum", lambda x: torch.sum(x, dim=0), whole(dtype, 0, 2), axes=[0], all=False, keepdim=False)
    typed("cumsum", lambda x: torch.cumsum(x, 1), whole(dtype, 2, 6), axis=1)
    for descending in (False, True):
        args = dict(axis=1, descending=descending)
        typed("sort", lambda x: torch.sort(x, dim=1, descending=descending, stable=True), whole(dtype, 2, 6), **args)
        typed("argsort", lambda x: torch.argsort(x, dim=1, descending=descending, stable=True), whole(dtype, 2, 6, small=True), **args)
    for name, f, shapes, args in movers:
        if name != "pad":  # with 0.5
            typed(name, f, *(whole(dtype, *shape) for shape in shapes), **args)
    typed("pad", lambda x: F.pad(x, (2, 1), value=1), whole(dtype, 2, 3), axis=-1, before=2, after=1, value=1)
    typed("where", torch.where, whole(BOOL, 2, 3), whole(dtype, 3), whole(dtype, 2, 1))
    one = True if dtype == BOOL else 1
    typed("masked_fill", lambda x, m: x.masked_fill(m, one), whole(dtype, 2, 3), whole(BOOL, 3), value=one)
    typed("index_select", lambda x, i: torch.index_select(x, 0, i), whole(dtype, 4, 2), integers(4, 3), axis=0)
    typed("index_select", lambda x, i: torch.index_select(x, 0, i), whole(dtype, 4, 2), integers(4, 3).int(), axis=0)
    typed("gather", lambda x, i: torch.gather(x, 1, i), whole(dtype, 2, 4), integers(4, 2, 3), axis=1)
    typed("take_along", lambda x, i: torch.take_along_dim(x, i, 1), whole(dtype, 2, 4), integers(4, 1, 3), axis=1)
    typed("embedding", lambda w, i: F.embedding(i, w), whole(dtype, 4, 2), integers(4, 3))
    typed("fill_", lambda x: x.clone().fill_(1), whole(dtype, 2, 3), value=1)
    typed("copy_", lambda x, y: x.clone().copy_(y), whole(dtype, 2, 3), whole(dtype, 3))
    typed("zeros_like", torch.zeros_like, whole(dtype, 2, 3))
    typed("ones_like", torch.ones_like, whole(dtype, 2, 3))
    typed("full_like", lambda x: torch.full_like(x, 1), whole(dtype, 2, 3), value=1)
    typed("zeros", lambda: torch.zeros(2, dtype=dtype), shape=[2], dtype=str(dtype))
    typed("ones", lambda: torch.ones(2, dtype=dtype), shape=[2], dtype=str(dtype))
    typed("full", lambda: torch.full((2,), 1, dtype=dtype), shape=[2], value=1, dtype=str(dtype))
    typed("eye", lambda: torch.eye(2, 3, dtype=dtype), rows=2, columns=3, dtype=str(dtype))

for dtype in NUMBERS:
    typed("clamp", lambda x: torch.clamp(x, 2, 50), whole(dtype, 2, 5), low=2, high=50)
    typed("sub", torch.sub, whole(dtype, 2, 3), whole(dtype, 3))
    typed("pow", torch.pow, whole(dtype, 2, 3, small=True), whole(dtype, 3, small=True).abs())
    for exponent in (0, 1, 2, 3):
        typed("pow", lambda x: x**exponent, whole(dtype, 5, small=True), scalar=exponent)
    for name, f in dict(add=torch.add, sub=torch.sub, mul=torch.mul).items():
        typed(name, lambda x: f(x, 3), whole(dtype, 2, 3), scalar=3)
    typed("sub", lambda x: 3 - x, whole(dtype, 2, 3), scalar=3, left=True)
    for name in ("argmax", "argmin"):
        typed(name, lambda x: getattr(torch, name)(x, dim=1), whole(dtype, 2, 7), axes=[1], all=False, keepdim=False)
    typed("top_k", lambda x: torch.topk(x, 2, dim=-1), torch.randperm(12, generator=generator).reshape(2, 6).to(dtype), k=2, axis=-1)
    typed("scatter_add", lambda x, i, s: x.scatter_add(0, i, s), whole(dtype, 3, 2), integers(3, 5, 2), whole(dtype, 5, 2), axis=0)
    typed("matmul", torch.matmul, whole(dtype, 2, 3, small=True), whole(dtype, 3, 4, small=True))
    typed("add_", lambda x, y: x.clone().add_(y, alpha=2), whole(dtype, 2, 3), whole(dtype, 3), alpha=2)
    typed("mul_", lambda x: x.clone().mul_(3), whole(dtype, 2, 3), value=3)
    typed("arange", lambda: torch.arange(2, 9, 3, dtype=dtype), start=2, stop=9, step=3, dtype=str(dtype))
typed("arange", lambda: torch.arange(5, -4, -2), start=5, stop=-4, step=-2, dtype="torch.int64")
typed("one_hot", lambda i: F.one_hot(i, 4).double(), integers(4, 2, 3), classes=4)

# Where integers wrap around.
for dtype in NUMBERS:
    limits = torch.tensor([torch.iinfo(dtype).max, torch.iinfo(dtype).min, 1, 0], dtype=dtype)
    for name in "add sub mul maximum minimum".split():
        typed(name, getattr(torch, name), limits[:, None], limits)
    for name in "neg abs square sign".split():
        typed(name, getattr(torch, name), limits)
    for name, f in dict(sum=torch.sum, max=torch.amax, min=torch.amin).items():
        typed(name, lambda x: f(x, dim=0), limits, axes=[0], all=False, keepdim=False)
    typed("sort", lambda x: torch.sort(x, stable=True), limits, axis=0, descending=False)
    typed("less", torch.lt, limits[:, None], limits)
    typed("equal", torch.eq, limits[:, None], limits)

# Promotion: each pair of types, and each type with a number of each kind.
types = (*ALL, torch.float16, torch.bfloat16, torch.float32, torch.float64)
for i, first in enumerate(types):
    x = torch.tensor([1, 0, 1]).to(first)
    for second in types[i + 1:]:
        y = torch.tensor([1, 1, 0]).to(second)
        typed("mul", torch.mul, x, y)
        typed("maximum", torch.maximum, x, y)
        typed("div", torch.div, x, torch.ones(3).to(second))
        typed("less", torch.lt, x, y)
        typed("where", torch.where, torch.tensor([True, False, True]), x, y)
        typed("concatenate", lambda *x: torch.cat(x), x, y, axis=0)
    for number in (True, 2, 2.5):
        typed("mul", lambda x: x * number, x, scalar=number)
        typed("add", lambda x: number + x, x, scalar=number, left=True)
        typed("div", lambda x: x / number, x, scalar=number)
        typed("greater", lambda x: x > number, x, scalar=number)
