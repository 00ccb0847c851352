"""What PyTorch gives for convolutions, pooling and batch normalisation, as a C++ header.

    python3 tests/reference/conv_fixtures.py | clang-format-14 >tests/reference/conv_fixtures.h

Inputs are a formula in whole numbers over 1024, the same here and in the test, exact in f32. A result is
recorded in f64 as twelve of its elements and its inner product with such numbers. Recorded with PyTorch 2.15.
"""

import torch
from torch import nn
from torch.nn import functional


def numbers(shape, seed):
    count = torch.Size(shape).numel()
    i = torch.arange(count, dtype=torch.int64)
    return ((i * 7919 + seed * 104729) % 2003 - 1001).double().div(1024).reshape(shape)


def digest(x):
    flat = x.detach().double().flatten()
    samples = [flat[k * flat.numel() // 12].item() for k in range(12)]
    return samples + [torch.dot(flat, numbers(flat.shape, 99)).item()]


results = {}


def record(name, f, *shapes):
    """y = f(inputs 0, 1, ... by their number) and the gradients by each, with numbers as dy."""
    inputs = [numbers(shape, i).requires_grad_() for i, shape in enumerate(shapes)]
    y = f(*inputs)
    y.backward(numbers(y.shape, 50))
    results[f"{name}: y"] = digest(y)
    for i, x in enumerate(inputs):
        results[f"{name}: d{i}"] = digest(x.grad)


conv = functional.conv2d
record("conv2d", conv, (2, 3, 6, 7), (4, 3, 3, 3), (4,))
record("conv2d strided", lambda x, w, b: conv(x, w, b, (2, 3), (2, 1)), (2, 3, 8, 9), (4, 3, 3, 2), (4,))
record("conv2d dilated", lambda x, w, b: conv(x, w, b, 1, (3, 1), (3, 2)), (2, 2, 7, 8), (3, 2, 3, 3), (3,))
record("conv2d groups", lambda x, w, b: conv(x, w, b, 2, 1, 1, 2), (2, 4, 6, 5), (6, 2, 3, 3), (6,))
record("conv2d depthwise", lambda x, w, b: conv(x, w, b, 1, 1, 1, 4), (3, 4, 5, 6), (4, 1, 3, 3), (4,))
record("conv2d 1 x 1", conv, (2, 5, 4, 4), (3, 5, 1, 1), (3,))
record("max_pool2d", lambda x: functional.max_pool2d(x, 2), (2, 3, 7, 6))
record("max_pool2d padded", lambda x: functional.max_pool2d(x, (3, 2), (2, 1), (1, 1)), (2, 3, 7, 6))
record("avg_pool2d", lambda x: functional.avg_pool2d(x, 3, 2, 1), (2, 3, 7, 6))
record("avg_pool2d uncounted", lambda x: functional.avg_pool2d(x, 3, 2, 1, count_include_pad=False), (2, 3, 7, 6))
record("batch_norm", lambda x, w, b: functional.batch_norm(x, None, None, w, b, True, 0, 1e-3),
       (3, 4, 5, 2), (4,), (4,))
record("batch_norm given",
       lambda x, w, b: functional.batch_norm(x, numbers((4,), 7), numbers((4,), 8) + 2, w, b, False, 0, 1e-3),
       (3, 4, 5, 2), (4,), (4,))

# A layer over four batches in training, then one in evaluation.
for name, momentum in (("BatchNorm2d", 0.1), ("BatchNorm2d cumulative", None)):
    layer = nn.BatchNorm2d(3, momentum=momentum, dtype=torch.float64)
    for seed in range(4):
        layer(numbers((2, 3, 3, 4), seed))
    layer.eval()
    results[f"{name}: y"] = digest(layer(numbers((2, 3, 3, 4), 9)))
    results[f"{name}: running_mean"] = digest(layer.running_mean)
    results[f"{name}: running_var"] = digest(layer.running_var)

print("/// PyTorch's results, by name. Written by conv_fixtures.py, which says what they are.")
print("#pragma once\n\n#include <map>\n#include <string>\n#include <vector>\n\nnamespace tenet::test {\n")
print("inline const std::map<std::string, std::vector<double>> conv_fixtures = {")
for name, values in results.items():
    print(f'  {{"{name}", {{{", ".join(map(repr, values))}}}}},')
print("};\n\n}  // namespace tenet::test")
