"""The convolutions of bench/conv2d.cpp in PyTorch: milliseconds of y, dx and dw.

    OMP_NUM_THREADS=1 python3 bench/peers/conv2d_pytorch.py

Wall time; on one thread its processor time.
"""

import time

import torch

CASES = [  # images, channels, size, outputs, kernel, stride, padding, groups
    (16, 64, 32, 64, 3, 1, 1, 1),
    (16, 3, 32, 64, 3, 1, 1, 1),
    (16, 64, 32, 128, 3, 2, 1, 1),
    (16, 256, 8, 256, 3, 1, 1, 1),
    (16, 512, 4, 512, 3, 1, 1, 1),
    (16, 64, 32, 256, 1, 1, 0, 1),
    (1, 64, 32, 64, 3, 1, 1, 1),
    (16, 64, 32, 64, 3, 1, 1, 64),
]


def gradient(dy, x, w, stride, padding, groups, mask):
    return torch.ops.aten.convolution_backward(
        dy, x, w, None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], groups, mask)


def measure(case, dtype):
    images, channels, size, outputs, kernel, stride, padding, groups = case
    x = torch.randn(images, channels, size, size).to(dtype)
    w = torch.randn(outputs, channels // groups, kernel, kernel).to(dtype)
    dy = torch.randn_like(torch.nn.functional.conv2d(x, w, None, stride, padding, 1, groups))
    best = [1e9] * 3
    for _ in range(15):
        for i, run in enumerate([
                lambda: torch.nn.functional.conv2d(x, w, None, stride, padding, 1, groups),
                lambda: gradient(dy, x, w, stride, padding, groups, [True, False, False]),
                lambda: gradient(dy, x, w, stride, padding, groups, [False, True, False])]):
            begin = now()
            run()
            best[i] = min(best[i], 1e3 * (now() - begin))
    print(f"{str(dtype)[6:]:9}{case}: y {best[0]:7.2f}  dx {best[1]:7.2f}  dw {best[2]:7.2f} ms")


now = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
torch.manual_seed(1)
print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
with torch.no_grad():
    for dtype in (torch.float32, torch.bfloat16):
        for case in CASES:
            measure(case, dtype)
