"""The step of `reformer bench step` in reformer-pytorch: forward, backward, Adam on random bytes, as a line of JSON."""
import argparse
import json
import statistics
import time

import torch
from reformer_pytorch import ReformerLM


def status(key):
    with open("/proc/self/status") as lines:
        for line in lines:
            if line.startswith(key + ":"):
                return int(line.split()[1]) * 1024
    return 0


parser = argparse.ArgumentParser()
for name, default in dict(layers=6, d_model=256, heads=4, d_ff=1024, hashes=4, chunk=64, length=4096,
                          batch=1, steps=3, threads=2).items():
    parser.add_argument("--" + name.replace("_", "-"), type=int, default=default)
args = parser.parse_args()

torch.manual_seed(0)
torch.set_num_threads(args.threads)
model = ReformerLM(num_tokens=258, dim=args.d_model, depth=args.layers, max_seq_len=args.length,
                   heads=args.heads, dim_head=args.d_model // args.heads, bucket_size=args.chunk,
                   n_hashes=args.hashes, ff_mult=args.d_ff // args.d_model, causal=True)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)


def step(length):
    start = time.perf_counter()
    tokens = torch.randint(2, 258, (args.batch, length))
    targets = torch.randint(2, 258, (args.batch, length))
    logits = model(tokens)
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return time.perf_counter() - start


step(2 * args.chunk if args.length > 64 else args.length)  # the shortest length it accepts
idle = status("VmRSS")
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")
step(args.length)
seconds = statistics.median(step(args.length) for _ in range(args.steps))
print(json.dumps(dict(peer="reformer-pytorch", layers=args.layers, length=args.length,
                      step_seconds=seconds, tokens_per_second=args.batch * args.length / seconds,
                      rss_above_idle_bytes=status("VmHWM") - idle)))
