"""The parts beside training steps: generation, the roofline, single ops, learning."""
import dataclasses
import statistics

from comparison.measure import Case, case
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
    """Single runs, whose output is shown as it is: products and attention beside oneDNN, a step profiled."""
    length = 1024 if options.quick else 4096
    profiles = [dataclasses.replace(step("tenet-profile", length, dtype, profile=True), group="roofline",
                                    most_repeats=1) for dtype in TYPES]
    kernels = [case(name, group="roofline", most_repeats=1) for name in ("tenet-products", "tenet-attention")]
    return [*kernels, *profiles]


def roofline_report(options, results):
    def text(x):
        return "\n".join(results.values(x, "text")) or results.error(x)
    return "\n".join(f"`{x.id}`\n\n```\n{text(x)}\n```\n" for x in roofline_cases(options))


def ops_cases(options):
    """Of Tenet, PyTorch from Python, libtorch from C++; the last has the rows of tiny tensors only."""
    if not options.quick:
        return [case(program, group="ops") for program in ("tenet-ops", "pytorch-ops", "libtorch-ops")]
    rows = "softmax/small|tiny"
    return [Case("tenet-ops", ((f"--benchmark_filter={rows}", True),), "ops"),
            case("pytorch-ops", "ops", filter=rows, repetitions=1), case("libtorch-ops", "ops")]


def median_rows(results, x):
    """name -> nanoseconds, the median of the repetitions."""
    runs = results.values(x, "rows")
    return {name: statistics.median(run[name] for run in runs if name in run) for run in runs for name in run}


def ops_means(ratios):
    """Of the rows op/size/forward, and of those op/size/backward: how many, geometric mean, least."""
    for kind in ("forward", "backward"):
        some = [value for name, value in ratios.items() if name.endswith("/" + kind)]
        if some:
            yield [kind, len(some), number(statistics.geometric_mean(some)), number(min(some))]


def ops_report(options, results):
    own, peer, native = (median_rows(results, x) for x in ops_cases(options))
    if not own or not peer:
        return "Not measured; `bench/ops` and `bench/peers/ops_pytorch.py` are both needed.\n"
    names = [name for name in own if name in peer]
    micro = lambda times, name: number(times[name] * 1e-3) if name in times else "-"
    over = lambda times, name: number(times[name] / own[name]) + "x" if name in times else "-"
    rows = [[name, micro(own, name), micro(peer, name), micro(native, name), over(peer, name), over(native, name)]
            for name in names]
    lonely = sorted(own.keys() ^ peer.keys())
    means = ops_means({name: peer[name] / own[name] for name in names})
    return ("PyTorch's time over Tenet's; goals: geometric means 1.0, none under 0.6; tiny ops and the MLP step 3x "
            "from Python, 1.0 from C++.\n\n" + table(["", "rows", "geometric mean", "least"], means) +
            "\nMicroseconds.\n\n" + table(["row", "Tenet", "PyTorch", "libtorch", "PyTorch / Tenet",
                                           "libtorch / Tenet"], rows) +
            (f"\nMeasured on one side only: {', '.join(lonely)}.\n" if lonely else ""))


LEARNERS = ("tenet-learning", "pytorch-learning")


def learning(program, length, options):
    """4,096 bytes a step, bf16. Tenet cuts the text itself, as `reformer train` does; its peer reads the two parts."""
    text = {"text": options.text.resolve()} if options.text else {}
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
