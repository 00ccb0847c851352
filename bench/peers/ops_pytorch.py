"""The rows of bench/ops.cpp in PyTorch eager, as lines of JSON: {"name": ..., "ns": ...}.

    python3 bench/peers/ops_pytorch.py [--filter REGEX] [--repetitions N] [--device cuda]

ns is the median of the repetitions after a warm-up. Same shapes, same threads (all processors). On a GPU calls are
timed 16 at a time, until the last of them is done.
"""

import argparse
import json
import re
import statistics
import time

import torch
import torch.nn.functional as F

SIZES = {  # matrix, product, width, rows, images, channels, plane, batched
    "small": ((16, 64), 32, 32, 32, 1, 4, 16, (4, 16, 16)),
    "cache": ((1024, 256), 512, 256, 1024, 4, 64, 32, (64, 64, 64)),
    "large": ((16384, 1024), 2048, 1024, 16384, 16, 64, 128, (1024, 128, 128)),
}
SECONDS = 0.1  # of a repetition, at least
AT_A_TIME = 16  # calls on a GPU
device = "cpu"


def synchronize():
    if device == "cuda":
        torch.cuda.synchronize()


def leaf(*shape, dtype=torch.float32):
    return torch.randn(*shape, device=device).to(dtype).requires_grad_()


def indices_below(most, shape):
    return torch.randint(0, most, shape, device=device)


def products(size, dtype):
    _, product, width, rows, images, channels, plane, batched = SIZES[size]

    def make_matmul():
        a, b = leaf(product, product, dtype=dtype), leaf(product, product, dtype=dtype)
        return [a, b], lambda: torch.matmul(a, b)

    def make_bmm():
        a, b = leaf(*batched, dtype=dtype), leaf(*batched, dtype=dtype)
        return [a, b], lambda: torch.matmul(a, b)

    def make_linear():
        x, w = leaf(rows, width, dtype=dtype), leaf(width, width, dtype=dtype)
        bias = leaf(width, dtype=dtype)
        return [x, w, bias], lambda: F.linear(x, w, bias)

    def make_conv2d():
        outputs = 8 if channels == 4 else channels
        x = leaf(images, channels, plane, plane, dtype=dtype)
        w, bias = leaf(outputs, channels, 3, 3, dtype=dtype), leaf(outputs, dtype=dtype)
        return [x, w, bias], lambda: F.conv2d(x, w, bias, padding=1)

    suffix = "_bf16" if dtype == torch.bfloat16 else ""
    return {
        f"{op}{suffix}/{size}": make
        for op, make in (("matmul", make_matmul), ("bmm", make_bmm), ("linear", make_linear),
                         ("conv2d", make_conv2d))
    }


def others(size):
    matrix = SIZES[size][0]
    rows, width = matrix

    def unary(f):
        def make():
            x = leaf(*matrix)
            return [x], lambda: f(x)

        return make

    def make_add():
        a, b = leaf(*matrix), leaf(*matrix)
        return [a, b], lambda: a + b

    def make_layer_norm():
        x, w, b = leaf(*matrix), leaf(width), leaf(width)
        return [x, w, b], lambda: F.layer_norm(x, (width,), w, b)

    def make_cross_entropy():
        x, targets = leaf(*matrix), indices_below(width, (rows,))
        return [x], lambda: F.cross_entropy(x, targets)

    def make_embedding():
        table, indices = leaf(*matrix), indices_below(rows, (rows,))
        return [table], lambda: F.embedding(indices, table)

    def make_gather():
        x, index = leaf(*matrix), indices_below(width, matrix)
        return [x], lambda: torch.gather(x, 1, index)

    makers = {
        "softmax": unary(lambda x: torch.softmax(x, -1)),
        "gelu": unary(F.gelu),
        "dropout": unary(lambda x: F.dropout(x, 0.1)),
        "sort": unary(lambda x: torch.sort(x, stable=True).values),
        "sum": unary(torch.sum),
        "add": make_add,
        "layer_norm": make_layer_norm,
        "cross_entropy": make_cross_entropy,
        "embedding": make_embedding,
        "gather": make_gather,
    }
    return {f"{op}/{size}": make for op, make in makers.items()}


def time_calls(f, count):
    """Nanoseconds per call."""
    synchronize()
    begin = time.perf_counter_ns()
    for _ in range(count):
        f()
    synchronize()
    return (time.perf_counter_ns() - begin) / count


def clear(leaves):
    for x in leaves:
        x.grad = None


def time_backward(leaves, forward, dy, count):
    """The same of the backward pass, each on a fresh graph."""
    total, at_a_time = 0, 1 if device == "cpu" else AT_A_TIME
    groups = -(-count // at_a_time)
    for _ in range(groups):
        graphs = [forward() for _ in range(at_a_time)]
        clear(leaves)
        synchronize()
        begin = time.perf_counter_ns()
        for i, y in enumerate(graphs):
            if i > 0:
                clear(leaves)
            y.backward(dy)
        synchronize()
        total += time.perf_counter_ns() - begin
    return total / (groups * at_a_time)


def median(measure, repetitions):
    """Of measure(count), with a count that takes SECONDS."""
    measure(1)
    count, ns = 1, measure(1)
    while ns * count < 0.2e9 * SECONDS:
        count *= 4
        ns = measure(count)
    count = max(1, round(1e9 * SECONDS / ns))
    return statistics.median(measure(count) for _ in range(repetitions))


def tiny_op():
    a, b = leaf(16), leaf(16)
    return lambda: a * b


def tiny_chain():
    x, w, b = leaf(16), leaf(16), leaf(16)

    def run():
        y = x
        for _ in range(8):
            y = y * w + b
        y.sum().backward()
        x.grad = w.grad = b.grad = None

    return run


def mlp_step():
    model = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(),
                                torch.nn.Linear(128, 128), torch.nn.ReLU(),
                                torch.nn.Linear(128, 10)).to(device)
    optimizer = torch.optim.Adam(model.parameters())
    x, targets = torch.randn(32, 64, device=device), indices_below(10, (32,))

    def run():
        optimizer.zero_grad()
        F.cross_entropy(model(x), targets).backward()
        optimizer.step()

    return run


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--filter", default="")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    flags = parser.parse_args()
    global device
    device = flags.device

    def report(name, measure):
        print(json.dumps({"name": name, "ns": median(measure, flags.repetitions)}), flush=True)

    def wanted(name):
        return re.search(flags.filter, name)

    for size in SIZES:
        cases = {**products(size, torch.float32), **products(size, torch.bfloat16), **others(size)}
        for name, make in cases.items():
            if not wanted(f"{name}/forward") and not wanted(f"{name}/backward"):
                continue
            leaves, forward = make()
            if wanted(f"{name}/forward"):
                report(f"{name}/forward", lambda n: time_calls(forward, n))
            if wanted(f"{name}/backward"):
                dy = torch.randn_like(forward())
                report(f"{name}/backward", lambda n: time_backward(leaves, forward, dy, n))
    for make in (tiny_op, tiny_chain, mlp_step):
        if wanted(make.__name__):
            run = make()
            report(make.__name__, lambda n: time_calls(run, n))


if __name__ == "__main__":
    torch.manual_seed(1)
    main()
