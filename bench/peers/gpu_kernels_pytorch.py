"""The rows of bench/gpu_kernels.cpp that PyTorch has, as lines of JSON: {"name": ..., "rate": ...}."""
import json
import sys
import time

import torch
import torch.nn.functional as F

WIDTH = 128


def seconds_of(call, seconds=0.05):
    def measure(calls):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        for _ in range(calls):
            call()
        torch.cuda.synchronize()
        return (time.perf_counter() - begin) / calls

    measure(2)
    calls = min(1000, max(1, int(seconds / measure(2))))
    return min(measure(calls) for _ in range(3))


def report(name, amount, seconds):
    print(json.dumps(dict(name=name, rate=amount / seconds)), flush=True)


def normal(*shape, dtype):
    return torch.randn(*shape, device="cuda").to(dtype)


def measure_copy(count):
    x = normal(count, dtype=torch.float32)
    report(f"copy f32 {count * 4 >> 20} MB", 8e-9 * count, seconds_of(x.clone))


def measure_product(n, name, dtype):
    a, b = normal(n, n, dtype=dtype), normal(n, n, dtype=dtype)
    report(f"matmul {name} {n}", 2e-12 * n**3, seconds_of(lambda: a @ b))


def measure_attention(batch, heads, length):
    q, k, v = (normal(batch, length, heads, WIDTH, dtype=torch.bfloat16).transpose(1, 2) for _ in range(3))
    forward = lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True)
    flops = 4 * WIDTH * 0.5 * batch * heads * length * (length + 1)
    name = f"attention bf16 {batch} x {heads} x {length}"
    with torch.no_grad():
        report(name + " forward", 1e-12 * flops, seconds_of(forward))
    for x in (q, k, v):
        x.requires_grad_()
    y = forward()
    dy = torch.randn_like(y)
    backward = lambda: torch.autograd.grad(y, (q, k, v), dy, retain_graph=True)
    report(name + " backward", 2.5e-12 * flops, seconds_of(backward))


part = 4 if "--quick" in sys.argv else 1
measure_copy((1 << 28) // part)
for size in (2048, 8192):
    measure_product(size // part, "bf16", torch.bfloat16)
measure_product(4096 // part, "f32", torch.float32)
for full in (4096, 16384):
    measure_attention(16384 // full, 8, full // part)
