"""What Tenet does otherwise on purpose: PyTorch's results, which the suite checks not to be Tenet's. docs/pytorch.md
says what Tenet does instead; tests/ops/pytorch_test.cpp lists them, with what Tenet takes and PyTorch does not."""
import math

import torch
import torch.nn.functional as F

from op_numbers import op
from recording import uniform

inf, nan = math.inf, math.nan


def differs(what, name, f, *inputs, **args):
    op(name, f, *inputs, kind="differs", what=what, **args)


def row(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


reduced = dict(axes=[0], all=False, keepdim=False)
differs("boolean", "sign", torch.sign, row(0, 1) > 0)
differs("NaN", "sign", torch.sign, row(nan))
differs("-inf", "hardswish", F.hardswish, row(-inf))
differs("gradient at inf", "mish", F.mish, row(inf))
differs("gradient at a bound", "clamp", lambda x: torch.clamp(x, -0.5, 1.25), row(-0.5, 1.25), low=-0.5, high=1.25)
differs("gradient at NaN", "clamp", lambda x: torch.clamp(x, -0.5, 1.25), row(nan), low=-0.5, high=1.25)
for name in ("max", "min"):
    f = lambda x: getattr(torch, "a" + name)(x, dim=[0])
    differs("gradient at equal elements", name, f, row(1, 1), **reduced)
    differs("gradient at NaN", name, f, row(1, nan), **reduced)
for name in ("maximum", "minimum"):
    differs("gradient at NaN", name, getattr(torch, name), row(nan, 1), row(1, nan))
differs("gradient by a subnormal divisor", "div", torch.div, row(1e-45).float(), row(1e-40).float())
differs("a power of 0.5 at -inf", "pow", lambda x: x**0.5, row(-inf), scalar=0.5)
differs("-inf", "binary_cross_entropy_with_logits", F.binary_cross_entropy_with_logits, row(-inf), row(0.5))
differs("boolean with a number", "masked_fill", lambda x, m: x.masked_fill(m, 1), row(0, 1) > 0, row(1, 0) > 0, value=1)
for name in ("softmax", "log_softmax"):
    differs("-inf throughout", name, lambda x: getattr(torch, name)(x, 0), row(-inf, -inf), axis=0)
ignored = torch.tensor([-100, -100])
for name in ("cross_entropy", "nll_loss"):
    differs("no position that counts", name, getattr(F, name), uniform(2, 3), ignored)
classes = torch.tensor([[0, 1], [2, 0]])
differs("classes along axis 1", "cross_entropy", F.cross_entropy, uniform(2, 3, 2), classes)
differs("mean over all elements", "kl_div", lambda q, p: F.kl_div(q, p), uniform(2, 3), uniform(2, 3, low=0.25), log_target=False)
differs("parts of equal size", "chunk", lambda x: torch.chunk(x, 3, 0), uniform(7), count=3, axis=0)
differs("shapes that broadcast", "mse_loss", F.mse_loss, uniform(3, 1), uniform(3))
half = uniform(3).bfloat16()
differs("half types", "mse_loss", F.mse_loss, half, half)
differs("half types", "cross_entropy", F.cross_entropy, uniform(2, 3).bfloat16(), torch.tensor([0, 1]))
differs("a scalar of a wider type", "mul", torch.mul, uniform(3).float(), uniform())
