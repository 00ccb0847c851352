"""Trains a transformer with full attention on bytes for some minutes; held-out bits per byte as a line of JSON.

--data: a folder with train.bin and valid.bin, as byte_baselines --dump writes them. Batches, learning rate, clip and
the windows of the evaluation are those of `reformer train` and `reformer eval`. The minutes are of training alone.
"""
import math
import pathlib
import time

import common
import torch
from transformer import Transformer


def read(path):
    return torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8).long() + 2


def loss_of(model, window, dtype, reduction="mean"):
    """Of windows (batch, length + 1): every byte but the first from those before it."""
    with common.autocast(dtype):
        logits = model(window[:, :-1])
    return torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), window[:, 1:].flatten(), reduction=reduction)


def train(model, text, args):
    """Adam, warm-up, then the inverse square root of the step; returns the number of steps."""
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / args.warmup, math.sqrt(args.warmup / (step + 1))))
    end, steps = time.monotonic() + 60 * args.minutes, 0
    while time.monotonic() < end:
        starts = torch.randint(len(text) - args.length, (args.batch,)).tolist()
        loss = loss_of(model, torch.stack([text[i:i + args.length + 1] for i in starts]), args.dtype)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        steps += 1
    return steps


@torch.no_grad()
def bits_per_byte(model, text, length):
    """In f32, over windows that do not overlap; the last one is shorter."""
    model.eval()
    windows = [text[i:i + length + 1] for i in range(0, len(text) - 1, length)]
    total = sum(loss_of(model, window[None], "f32", "sum").item() for window in windows)
    return total / (len(text) - 1) / math.log(2)


flags = common.parser(__doc__, length=1024, minutes=30.0, lr=1e-3, warmup=100)
flags.add_argument("--data", type=pathlib.Path, required=True)
flags.add_argument("--text", help="what the parts in --data were cut from; not read")
args = flags.parse_args()
torch.manual_seed(0)
model = Transformer(common.VOCABULARY, args.layers, args.d_model, args.heads, args.d_ff, args.length)
steps = train(model, read(args.data / "train.bin"), args)
common.report(steps=steps, bits_per_byte=bits_per_byte(model, read(args.data / "valid.bin"), args.length))
