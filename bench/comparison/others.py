"""The parts beside training steps: generation, the roofline, single ops, learning."""
import dataclasses
import math
import statistics

from comparison.measure import case
from comparison.tables import cell, decimals, number, ratio, table
from comparison.training import NAMES, RATE, TYPES, step


def generation_contexts(options):
    return (128,) if options.quick else (1024, 4096, 16384)


def generation(program, context, batch, dtype, options):
    own = {"attention": "lsh"} if program == "tenet-generation" else {}
    return case(program, group=f"generation, {batch} x {context}", context=context, batch=batch,
                tokens=16 if options.quick else 64, dtype=dtype, **own)


GENERATORS = ("tenet-generation", "hugging-face-generation", "pytorch-generation")


def generation_plan(options):
    """Peers at a batch of 16 up to a context of 4,096 only: prompts of more take minutes."""
    for context in generation_contexts(options):
        for batch in (1, 16):
            for dtype in TYPES:
                some = GENERATORS if batch == 1 or context <= 4096 else GENERATORS[:1]
                yield context, batch, dtype, [generation(name, context, batch, dtype, options) for name in some]


def generation_cases(options):
    return [x for *_, cases in generation_plan(options) for x in cases]


def generation_report(options, results):
    rows = []
    for context, batch, dtype, cases in generation_plan(options):
        own, *peers = cases
        empty = ["-"] * (2 - len(peers))
        rows.append([f"{context:,}", batch, dtype, *(cell(results, x, RATE) for x in cases), *empty,
                     *(ratio(results, own, x, RATE) for x in peers), *empty])
    return "Tokens/s after the prompt, all rows of the batch together; six LSH layers of 4 hashes.\n\n" + table(
        ["context", "batch", "type", "Tenet", "Hugging Face, cached", "PyTorch, full attention, cached",
         "to Hugging Face (goal 10x)", "to PyTorch"], rows)


def roofline_cases(options):
    """Single runs, whose output is shown as it is: products beside oneDNN's, and where a step's time goes."""
    length = 1024 if options.quick else 4096
    profiles = [dataclasses.replace(step("tenet-profile", length, dtype, profile=True), group="roofline",
                                    most_repeats=1) for dtype in TYPES]
    return [case("tenet-products", group="roofline", most_repeats=1), *profiles]


def roofline_report(options, results):
    def text(x):
        return "\n".join(results.values(x, "text")) or results.error(x)
    return "\n".join(f"`{x.id}`\n\n```\n{text(x)}\n```\n" for x in roofline_cases(options))


def ops_cases(options):
    return [case(program, group="ops") for program in ("tenet-ops", "pytorch-ops")]


def median_rows(results, x):
    """name -> nanoseconds, the median of the repetitions."""
    runs = results.values(x, "rows")
    return {name: statistics.median(run[name] for run in runs if name in run) for run in runs for name in run}


def geometric_mean(values):
    return math.exp(statistics.fmean(map(math.log, values))) if values else None


def ops_report(options, results):
    """Rows are named op/size/forward or op/size/backward."""
    own, peer = (median_rows(results, x) for x in ops_cases(options))
    if not own or not peer:
        return "\n".join(f"{x.program}: {len(rows)} rows; {results.error(x)}\n"
                         for x, rows in zip(ops_cases(options), (own, peer)) if not rows)
    common = {name: peer[name] / own[name] for name in own if name in peer}
    rows = [[name, number(own[name] * 1e-3), number(peer[name] * 1e-3), number(quotient) + "x"]
            for name, quotient in common.items()]
    means = [[kind, len(some), number(geometric_mean(some)), number(min(some, default=None))]
             for kind in ("forward", "backward")
             for some in [[quotient for name, quotient in common.items() if name.endswith("/" + kind)]]]
    lonely = sorted(own.keys() ^ peer.keys())
    text = "PyTorch's time over Tenet's; goals: geometric means 1.0, none under 0.6.\n\n"
    text += table(["", "rows", "geometric mean", "least"], means)
    text += "\nMicroseconds.\n\n" + table(["op", "Tenet", "PyTorch, eager", "ratio"], rows)
    return text + (f"\nMeasured on one side only: {', '.join(lonely)}.\n" if lonely else "")


LEARNERS = ("tenet-learning", "pytorch-learning")


def learning(program, length, options):
    """4,096 bytes a step, bf16. Tenet cuts the text itself, as `reformer train` does; its peer reads the two parts."""
    text = {"text": options.text.resolve()} if options.text and program != "pytorch-learning" else {}
    if program == "baselines":
        return case(program, group="learning", most_repeats=1, **text)
    return case(program, group="learning", most_repeats=1, minutes=options.minutes, length=length,
                batch=max(1, 4096 // length), dtype="bf16", **text)


def learning_cases(options):
    return [learning("baselines", 0, options)] + [learning(program, length, options) for length in (1024, 4096)
                                                  for program in LEARNERS]


def learning_report(options, results):
    baseline = learning("baselines", 0, options)
    rows = []
    for length in (1024, 4096):
        cases = [learning(program, length, options) for program in LEARNERS]
        learned = [text for x in cases for text in (decimals(results, x, "bits_per_byte"), cell(results, x, "steps"))]
        rows.append([f"{length:,}", *learned, *(decimals(results, baseline, key) for key in ("order_3", "xz"))])
    sizes = [cell(results, baseline, key) for key in ("train_bytes", "valid_bytes")]
    return (f"Held-out bits per byte after {options.minutes:g} minutes, bf16, {sizes[0]} bytes to train on and "
            f"{sizes[1]} held out.\n\n" + table(
                ["L", "Tenet", "steps", NAMES["pytorch"], "steps", "Witten-Bell, order 3", "xz -9e"], rows))
