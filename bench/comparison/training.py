"""The parts that time training steps: which cases each measures, and the tables made of them."""
import math

from comparison import chart
from comparison.measure import case
from comparison.tables import best, cell, number, ratio, table

TYPES = ("f32", "bf16")
REFORMERS = ("reformer-pytorch", "hugging-face")
NAMES = {"tenet": "Tenet", "reformer-pytorch": "reformer-pytorch", "hugging-face": "Hugging Face",
         "pytorch": "PyTorch, full attention"}
TRAINING_GOALS = {("f32", 1024): 3, ("f32", 4096): 4, ("f32", 16384): 5,
                  ("bf16", 1024): 5, ("bf16", 4096): 8, ("bf16", 16384): 10}
RATE, TIME, MEMORY = "tokens_per_second", "step_seconds", "rss_above_idle_bytes"


def step(program, length, dtype="f32", batch=1, layers=6, d_model=256, heads=4, d_ff=1024, hashes=4, chunk=64,
         steps=None, most_repeats=1000, **more):
    """A training step. The model is that of all parts but "long"."""
    steps = max(1, min(4, 8192 // (length * batch))) if steps is None else steps
    return case(program, group=f"{batch} x {length}, {layers} layers", most_repeats=most_repeats, length=length,
                batch=batch, layers=layers, d_model=d_model, heads=heads, d_ff=d_ff, hashes=hashes, chunk=chunk,
                dtype=dtype, steps=steps, **more)


def training_lengths(options):
    return (256, 1024) if options.quick else (1024, 4096, 16384)


def training_cases(options):
    return [step(program, length, dtype) for length in training_lengths(options) for dtype in TYPES
            for program in ("tenet", *REFORMERS)]


def training_report(options, results):
    rows = []
    for length in training_lengths(options):
        for dtype in TYPES:
            own = step("tenet", length, dtype)
            peers = [step(program, length, dtype) for program in REFORMERS]
            f32 = best(results, [step(program, length) for program in REFORMERS], RATE)
            goal = TRAINING_GOALS.get((dtype, length))
            rows.append([f"{length:,}", dtype, cell(results, own, RATE), *(cell(results, peer, RATE) for peer in peers),
                         ratio(results, own, f32, RATE), ratio(results, own, best(results, peers, RATE), RATE),
                         f"{goal}x" if goal else "-"])
    return "Tokens/s.\n\n" + table(["L", "type", "Tenet", *(NAMES[name] for name in REFORMERS),
                                    "to the faster peer in f32", "to the faster peer in this type",
                                    "goal (peer in f32)"], rows)


def full_pairs(options):
    if options.quick:
        return [(length, dtype) for length in (256, 1024) for dtype in TYPES]
    return [(length, "f32") for length in (1024, 2048, 4096, 16384)] + [(4096, "bf16"), (16384, "bf16")]


def full_cases(options):
    return [step(program, *pair) for pair in full_pairs(options) for program in ("tenet", "pytorch")]


def full_report(options, results):
    rows = []
    for length, dtype in full_pairs(options):
        own, full = step("tenet", length, dtype), step("pytorch", length, dtype)
        rows.append([f"{length:,}", dtype, cell(results, own, RATE), cell(results, full, RATE),
                     ratio(results, own, full, RATE)])
    return "Tokens/s.\n\n" + table(["L", "type", "Tenet, LSH", NAMES["pytorch"], "ratio"], rows)


def memory_lengths(options):
    return (256, 1024) if options.quick else (4096, 16384)


def memory_cases(options):
    cases = []
    for length in memory_lengths(options):
        cases += [step(program, length) for program in ("tenet", *REFORMERS, "pytorch")]
        cases += [step("tenet", length, dtype, **way) for dtype in TYPES
                  for way in ({}, {"residual": "float"}, {"reversible": "off"})]
    return cases


def memory_report(options, results):
    mega, sizes, ways = 1e-6, [], []
    for length in memory_lengths(options):
        own, full = step("tenet", length), step("pytorch", length)
        peers = [step(program, length) for program in REFORMERS]
        sizes.append([f"{length:,}", *(cell(results, x, MEMORY, mega) for x in (own, *peers, full)),
                      *(ratio(results, x, own, MEMORY) for x in peers)])
        for dtype in TYPES:
            own, loose = step("tenet", length, dtype), step("tenet", length, dtype, residual="float")
            kept = step("tenet", length, dtype, reversible="off")
            ways.append([f"{length:,}", dtype, *(cell(results, x, TIME) for x in (own, loose, kept)),
                         ratio(results, own, loose, TIME), ratio(results, own, kept, TIME)])
    text = "MB above the idle process (f32).\n\n"
    text += table(["L", "Tenet", *(NAMES[name] for name in REFORMERS), NAMES["pytorch"],
                   *(f"{NAMES[name]} / Tenet (goal 8x)" for name in REFORMERS)], sizes)
    return text + "\nSeconds per step of Tenet.\n\n" + table(
        ["L", "type", "exact, reversible", "float residual", "exact, activations kept", "exact / float (goal 1.03x)",
         "reversible / kept (goal 1.4x)"], ways)


def figure5_plan(options):
    """Lengths, tokens per step, hashes."""
    if options.quick:
        return (256, 512, 1024, 2048), 2048, (1, 4)
    return (1024, 2048, 4096, 8192, 16384, 32768), 32768, (1, 2, 4, 8)


def figure5_curves(options):
    """name -> the case of each length."""
    lengths, tokens, hashes = figure5_plan(options)
    at = lambda program, length, **more: step(program, length, batch=tokens // length, **more)
    curves = {f"LSH, {n} hash{'es' if n > 1 else ''}": [at("tenet", length, hashes=n) for length in lengths]
              for n in hashes}
    curves["Tenet, full attention"] = [at("tenet", length, attention="full") for length in lengths]
    curves[NAMES["pytorch"]] = [at("pytorch", length) for length in lengths]
    return curves


def figure5_cases(options):
    return [x for curve in figure5_curves(options).values() for x in curve]


def crossover(lengths, curve, full):
    """The length from which on `curve` takes less time than `full`, between two measured ones on straight lines in
    the logarithms; a text."""
    gaps = [math.log(a / b) if a and b else None for a, b in zip(curve, full)]
    if None in gaps:
        return "-"
    if all(gap < 0 for gap in gaps):
        return f"below {lengths[0]:,}"
    if gaps[-1] >= 0:
        return f"above {lengths[-1]:,}"
    i = max(i for i, gap in enumerate(gaps) if gap >= 0)
    part = gaps[i] / (gaps[i] - gaps[i + 1])
    return f"{lengths[i] * (lengths[i + 1] / lengths[i]) ** part:,.0f}"


def figure5_report(options, results):
    lengths, tokens, _ = figure5_plan(options)
    curves = figure5_curves(options)
    medians = {name: [results.median(x, TIME) for x in curve] for name, curve in curves.items()}
    full = medians[NAMES["pytorch"]]
    rows = [[name, *(cell(results, x, TIME) for x in curve),
             "" if name == NAMES["pytorch"] else crossover(lengths, medians[name], full)]
            for name, curve in curves.items()]
    series = {name: [(x, y) for x, y in zip(lengths, times) if y] for name, times in medians.items()}
    picture = options.out / "figure5.svg"
    picture.write_text(chart.log_log(series, f"seconds per step of {tokens:,} tokens, by length"))
    return (f"Seconds per step of {tokens:,} tokens, f32; the last column: from which length on it is faster than "
            f"PyTorch's full attention. Picture: `{picture.name}`.\n\n" +
            table(["", *(f"{length:,}" for length in lengths), "ahead from"], rows))


def exponent_lengths(options):
    return (256, 512, 1024, 2048) if options.quick else (1024, 2048, 4096, 8192, 16384, 32768, 65536)


def exponent_cases(options):
    return [step("tenet", length, dtype) for length in exponent_lengths(options) for dtype in TYPES]


def slope(points):
    """Of the least-squares line through the logarithms."""
    logs = [(math.log(x), math.log(y)) for x, y in points]
    mean_x, mean_y = (sum(column) / len(logs) for column in zip(*logs))
    return sum((x - mean_x) * (y - mean_y) for x, y in logs) / sum((x - mean_x) ** 2 for x, _ in logs)


def exponent_report(options, results):
    lengths, rows = exponent_lengths(options), []
    for dtype in TYPES:
        cases = [step("tenet", length, dtype) for length in lengths]
        points = [(length, results.median(x, TIME)) for length, x in zip(lengths, cases) if results.values(x, TIME)]
        rows.append([dtype, *(cell(results, x, TIME) for x in cases),
                     number(slope(points)) if len(points) > 1 else "-"])
    return "Seconds per step, batch 1; goal: at most 1.1.\n\n" + table(
        ["type", *(f"{length:,}" for length in lengths), "exponent"], rows)


def long_models(options):
    """Title and settings of each model."""
    if options.quick:
        return {"a model of 2 layers": dict(length=4096, layers=2, d_ff=512, heads=2, hashes=1)}
    paper = dict(length=65536, d_model=1024, d_ff=4096, heads=8, hashes=2, chunk=128)
    return {"65,536, 3 layers, d 1,024": dict(layers=3, **paper),
            "65,536, 12 layers, d 1,024": dict(layers=12, **paper),
            "1,048,576, 6 layers, d 256": dict(length=1048576, layers=6, d_model=256, d_ff=512, heads=2, hashes=1)}


def long_plan(options):
    """Each is measured once, and the first step counts; of a peer in the type in which it is faster."""
    for title, model in long_models(options).items():
        for dtype in TYPES:
            yield title, step("tenet", dtype=dtype, steps=0, most_repeats=1, **model)
        for program in (*REFORMERS, "pytorch"):
            yield title, step(program, dtype="bf16", steps=0, most_repeats=1, **model)


def long_cases(options):
    return [x for _, x in long_plan(options)]


def long_report(options, results):
    giga = 1e-9
    rows = [[title, NAMES[x.program], dict(x.flags)["--dtype"], cell(results, x, TIME),
             cell(results, x, RATE), cell(results, x, "peak_rss_bytes", giga), cell(results, x, MEMORY, giga)]
            for title, x in long_plan(options)]
    return f"One step; limits: {options.limit:,.0f} s and {options.memory_limit * giga:,.1f} GB for each.\n\n" + table(
        ["length, model", "", "type", "seconds", "tokens/s", "peak of the process, GB", "above idle, GB"], rows)
