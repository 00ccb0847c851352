"""What the peers share: flags, the loop over training steps, memory marks, the line of JSON that ends their output.
Training steps run on --device cuda too."""
import argparse
import contextlib
import json
import statistics
import time

import torch

VOCABULARY = 258  # as a Reformer of Tenet on bytes: 256 and two special tokens

MODEL = dict(layers=6, d_model=256, heads=4, d_ff=1024, hashes=4, chunk=64)


def parser(description, **settings):
    """Takes the flags of a model, --dtype, and `settings`: names with defaults."""
    flags = argparse.ArgumentParser(description=description)
    for name, default in {**MODEL, "batch": 1, **settings}.items():
        flags.add_argument("--" + name.replace("_", "-"), type=type(default), default=default)
    flags.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    return flags


def autocast(dtype, device="cpu"):
    return torch.autocast(device, torch.bfloat16) if dtype == "bf16" else contextlib.nullcontext()


def synchronize(device):
    """Waits for what `device` was given to do."""
    if device == "cuda":
        torch.cuda.synchronize()


def process_bytes(key):
    """A line of /proc/self/status in bytes."""
    with open("/proc/self/status") as lines:
        for line in lines:
            if line.startswith(key + ":"):
                return int(line.split()[1]) * 1024
    raise KeyError(key)


def reset_high_water_mark():
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def random_tokens(batch, length):
    return torch.randint(2, VOCABULARY, (batch, length))


def cross_entropy(logits, targets):
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


def step_flags(description):
    flags = parser(description, length=4096, steps=3)
    flags.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    return flags


class Step:
    """Forward, backward and Adam on random tokens. A model that recomputes activations in the backward pass needs
    `backward_in_autocast`: the types are then those of the forward pass."""

    def __init__(self, model, dtype, device="cpu", backward_in_autocast=False):
        self.model, self.dtype, self.backward_in_autocast = model.to(device).train(), dtype, backward_in_autocast
        self.device = device
        self.optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)

    def __call__(self, batch, length):
        start = time.perf_counter()
        tokens, targets = (random_tokens(batch, length).to(self.device) for _ in range(2))
        with autocast(self.dtype, self.device):
            loss = cross_entropy(self.model(tokens), targets)
            if self.backward_in_autocast:
                loss.backward()
        if not self.backward_in_autocast:
            loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        synchronize(self.device)
        return time.perf_counter() - start


def measure_steps(step, args, warm_up):
    """Calls warm_up() (a step at length 64 or the shortest possible), then runs args.steps timed steps after an untimed
    one; with --steps 0 that one counts. Prints time, tokens/s, the high-water mark and what of it is above idle; of a
    GPU the most bytes that its tensors took at a time, parameters and optimizer included."""
    warm_up()
    idle = process_bytes("VmRSS")
    reset_high_water_mark()
    if args.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds = [step(args.batch, args.length)]
    if args.steps > 0:
        seconds = [step(args.batch, args.length) for _ in range(args.steps)]
    median, peak = statistics.median(seconds), process_bytes("VmHWM")
    on_gpu = dict(peak_bytes=torch.cuda.max_memory_allocated()) if args.device == "cuda" else {}
    report(step_seconds=median, tokens_per_second=args.batch * args.length / median, peak_rss_bytes=peak,
           rss_above_idle_bytes=peak - idle, **on_gpu)


def report(**values):
    print(json.dumps(dict(torch=torch.__version__, threads=torch.get_num_threads(), **values)), flush=True)


def generation_flags(description):
    return parser(description, context=1024, tokens=64)


@torch.inference_mode()
def measure_generation(next_logits, args):
    """Greedy decoding of args.tokens tokens after a prompt of args.context random ones. next_logits(tokens): logits
    (batch, vocabulary) after the given tokens, which follow those of earlier calls. The rate is that of all tokens
    after the first, which belongs to the prompt."""
    prompt = random_tokens(args.batch, args.context)
    start = time.perf_counter()
    with autocast(args.dtype):
        token = next_logits(prompt).argmax(-1, keepdim=True)
        prompt_seconds = time.perf_counter() - start
        start = time.perf_counter()
        for _ in range(args.tokens - 1):
            token = next_logits(token).argmax(-1, keepdim=True)
    seconds = time.perf_counter() - start
    report(prompt_seconds=prompt_seconds, tokens_per_second=args.batch * (args.tokens - 1) / seconds,
           peak_rss_bytes=process_bytes("VmHWM"))
