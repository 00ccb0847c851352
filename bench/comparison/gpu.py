"""The parts of a GPU: training steps, the kernels that they are made of, single ops. PyTorch on the same GPU beside."""
from comparison import others
from comparison.measure import Case, case
from comparison.tables import cell, number, ratio, table
from comparison.training import RATE, step

PEAK = "peak_bytes"  # of tensors: parameters, gradients, optimizer and the rest
PROGRAMS = {"tenet": "Tenet", "pytorch": "PyTorch, SDPA", "pytorch-compiled": "the same, compiled",
            "hugging-face": "Hugging Face", "reformer-pytorch": "reformer-pytorch"}


def training_plan(options):
    """Lengths, tokens of a step, the model."""
    if options.quick:
        return (1024, 4096), 4096, dict(d_model=256, layers=2, heads=4, d_ff=1024, hashes=2, chunk=64)
    return (4096, 16384, 65536), 65536, dict(d_model=1024, layers=12, heads=8, d_ff=4096, hashes=2, chunk=128)


def training_step(program, length, options):
    _, tokens, model = training_plan(options)
    return step(program, length, "bf16", batch=tokens // length, steps=3, device="cuda", **model)


def training_cases(options):
    return [training_step(program, length, options) for length in training_plan(options)[0] for program in PROGRAMS]


def training_report(options, results):
    lengths, tokens, model = training_plan(options)
    rates, peaks = [], []
    for length in lengths:
        own, *peers = cases = [training_step(program, length, options) for program in PROGRAMS]
        rates.append([f"{length:,}", *(cell(results, x, RATE) for x in cases),
                      *(ratio(results, own, x, RATE) for x in peers)])
        peaks.append([f"{length:,}", *(cell(results, x, PEAK, 1e-9) for x in cases),
                      *(ratio(results, x, own, PEAK) for x in peers)])
    names = list(PROGRAMS.values())
    sizes = ", ".join(f"{name} {value:,}" for name, value in model.items())
    return (f"Tokens/s of a step of {tokens:,} tokens, bf16; {sizes}.\n\n" +
            table(["L", *names, *(f"Tenet / {name}" for name in names[1:])], rates) +
            "\nMost GB that tensors took.\n\n" +
            table(["L", *names, *(f"{name} / Tenet" for name in names[1:])], peaks))


def kernels_cases(options):
    quick = {"quick": True} if options.quick else {}
    return [case(program, group="gpu-kernels", **quick) for program in ("tenet-kernels", "pytorch-kernels")]


def kernels_report(options, results):
    own, peer = (others.median_rows(results, x) for x in kernels_cases(options))
    if not own:
        return f"Not measured: {results.error(kernels_cases(options)[0])}.\n"
    rows = [[name, number(own[name]), number(peer.get(name)),
             number(own[name] / peer[name]) + "x" if peer.get(name) else "-"] for name in own]
    return ("TFLOP/s; of copies GB/s, read and written. Of LSH attention visible pairs count, of the rest all products "
            "of the causal half; PyTorch's attention is scaled_dot_product_attention.\n\n" +
            table(["row", "Tenet", "PyTorch", "ratio"], rows))


def ops_cases(options):
    if not options.quick:
        return [case("tenet-ops", group="gpu-ops", device="cuda"), case("pytorch-ops", group="gpu-ops", device="cuda")]
    rows = "softmax/small|tiny"
    return [Case("tenet-ops", ((f"--benchmark_filter={rows}", True), ("--device", "cuda")), "gpu-ops"),
            case("pytorch-ops", "gpu-ops", filter=rows, repetitions=1, device="cuda")]


def ops_report(options, results):
    own, peer = (others.median_rows(results, x) for x in ops_cases(options))
    names = [name for name in own if name in peer]
    if not names:
        return "Not measured; `bench/ops` and `bench/peers/ops_pytorch.py` are both needed.\n"
    rows = [[name, number(own[name] * 1e-3), number(peer[name] * 1e-3), number(peer[name] / own[name]) + "x"]
            for name in names]
    return ("PyTorch's time over Tenet's.\n\n" +
            table(["", "rows", "geometric mean", "least"],
                  others.ops_means({name: peer[name] / own[name] for name in names})) +
            "\nMicroseconds.\n\n" + table(["row", "Tenet", "PyTorch", "PyTorch / Tenet"], rows))
