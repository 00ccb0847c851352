"""What the scripts that record PyTorch's numbers share.

A case is data: in the metadata "cases" lists its op, arguments and how many tensors it has, and tensor "<case>.x0" is
its first input, y0 its first output, c0 the cotangent of y0 and d0 the gradient of x0 (absent where there is none).
"""
import json
from pathlib import Path

import torch
from safetensors.torch import save_file

FOLDER = Path(__file__).parent
torch.set_num_threads(1)
generator = torch.Generator().manual_seed(20200112)


def uniform(*shape, low=-2.0, high=2.0):
    """Numbers that each of the four floating types holds: multiples of 2^-12 with 8 binary digits."""
    x = torch.rand(shape, generator=generator, dtype=torch.float64) * (high - low) + low
    return (torch.round(x * 4096) / 4096).to(torch.bfloat16).double()


def integers(high, *shape, low=0):
    return torch.randint(low, high, shape, generator=generator)


def narrow(x):
    """As f32 if that holds it."""
    x = x.detach().contiguous().clone()
    y = x.to(torch.float32) if x.dtype == torch.float64 else x
    return y if torch.equal(y.to(x.dtype).nan_to_num(7.5), x.nan_to_num(7.5)) else x


def wide(x):
    return x.detach().contiguous().clone()


class File:
    """Cases and tensors of one file."""

    def __init__(self, name):
        self.name, self.cases, self.tensors = name, [], {}

    def record(self, info, inputs, outputs, leaves, store=narrow):
        """Cotangents for the floating outputs, gradients of `leaves` (name -> tensor)."""
        i = len(self.cases)
        put = lambda key, x: self.tensors.__setitem__(f"{i}.{key}", x)
        for k, x in enumerate(inputs):
            put(f"x{k}", store(x))
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
        # One entry: safetensors writes several in an order that changes from run to run.
        path = FOLDER / f"{self.name}.safetensors"
        save_file(self.tensors, path, metadata={"cases": json.dumps(self.cases, separators=(",", ":"))})
        path.chmod(0o644)
        print(f"{path.name}: {len(self.cases)} cases, {len(self.tensors)} tensors, {path.stat().st_size} bytes")
