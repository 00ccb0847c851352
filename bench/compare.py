"""Measures Tenet beside its peers, each measurement in a process of its own, in turn, and prints tables.

scripts/bench.sh sets everything up and calls this. Writes results.jsonl (every measurement), results.md (tables) and
figure5.svg into --out.
"""
import argparse
import datetime
import os
import pathlib
import platform
import re
import subprocess
import sys

from comparison.measure import Results, Runner
from comparison.parts import PARTS

ROOT = pathlib.Path(__file__).resolve().parent.parent


def total_memory():
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def parse():
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="cuda: the parts of a GPU (gpu-...)")
    flags.add_argument("--only", help="parts, with commas between: " + ", ".join(PARTS))
    flags.add_argument("--match", metavar="REGEX", help="of these parts only the measurements whose --list line has it")
    flags.add_argument("--repeats", type=int, default=5, help="measurements of each case (default 5)")
    flags.add_argument("--quick", action="store_true", help="short lengths, one repetition: does everything run?")
    flags.add_argument("--continue", dest="keep", action="store_true",
                       help="keep what results.jsonl has and measure what is missing")
    flags.add_argument("--list", action="store_true", help="print the measurements instead of running them")
    flags.add_argument("--build", type=pathlib.Path, default=ROOT / "build/bench", help="folder of Tenet's programs")
    flags.add_argument("--python", default=sys.executable, help="interpreter that has the peers")
    flags.add_argument("--out", type=pathlib.Path, default=ROOT / "build/bench")
    flags.add_argument("--threads", type=int, default=os.cpu_count(), help="of every program (default: all cores)")
    flags.add_argument("--limit", type=float, default=1800, help="seconds for one measurement (default 1800)")
    flags.add_argument("--memory-limit", type=float, default=0.9e-9 * total_memory(),
                       help="GB for one measurement (default: 0.9 of what there is)")
    flags.add_argument("--minutes", type=float, default=30, help="of training in the part learning (default 30)")
    flags.add_argument("--text", type=pathlib.Path, help="file for the part learning (default: the source tree)")
    options = flags.parse_args()
    for name in ("repeats", "threads", "limit", "memory_limit", "minutes"):
        if not 0 < getattr(options, name) < float("inf"):
            flags.error(f"--{name.replace('_', '-')} {getattr(options, name)}; it must be above 0 and finite")
    options.build, options.out = options.build.resolve(), options.out.resolve()
    mine = [name for name in PARTS if name.startswith("gpu-") == (options.device == "cuda")]
    options.parts = options.only.split(",") if options.only else mine
    for name in options.parts:
        if name not in PARTS:
            flags.error(f"unknown part '{name}'; parts are {', '.join(PARTS)}")
        if name not in mine:
            flags.error(f"part '{name}' is not one of --device {options.device}; those are {', '.join(mine)}")
    try:
        re.compile(options.match or "")
    except re.error as error:
        flags.error(f"--match '{options.match}': {error}")
    if options.quick:
        options.repeats, options.minutes = 1, min(options.minutes, 0.2)
    options.memory_limit = int(options.memory_limit * 1e9)
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        flags.error(f"--out: {error}")
    return options


def output_of(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def processor():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def gpu_name():
    return output_of("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader") or "no GPU"


def versions(python):
    names = ("torch", "transformers", "reformer-pytorch", "numpy")
    program = ("import sys\nfrom importlib.metadata import PackageNotFoundError, version\nfor name in sys.argv[1:]:\n"
               "    try: print(name, version(name))\n    except PackageNotFoundError: pass")
    return ", ".join(output_of(python, "-c", program, *names).splitlines()) or "no peers"


def header(options, results):
    others = sorted(record["others"] for record in results.all())
    busy = f"{100 * others[len(others) // 2]:.0f} % in the median, at most {100 * others[-1]:.0f} %" if others else "-"
    commit = output_of("git", "-C", str(ROOT), "describe", "--always", "--dirty")
    return "\n".join([
        f"{datetime.date.today()}, Tenet {commit}; {versions(options.python)}.",
        *([f"{gpu_name()}."] if options.device == "cuda" else []),
        f"{processor()}, {options.threads} threads, {total_memory() / 1e9:.0f} GB. Other processes' share of the "
        f"machine during a measurement: {busy}.",
        f"Each figure: median (smallest-largest) of up to {options.repeats} measurements.", ""])


def report(options, results):
    parts = [f"## {PARTS[name].title}\n\n{PARTS[name].report(options, results)}" for name in options.parts]
    failures = [f"- `{case}`: {error}" for case, error in results.failures().items()]
    return "\n".join([header(options, results), *parts, *(["## Failures\n", *failures, ""] if failures else [])])


def main():
    options = parse()
    cases = [case for name in options.parts for case in PARTS[name].cases(options)
             if re.search(options.match or "", case.id)]
    if options.list:
        print("\n".join(dict.fromkeys(case.id for case in cases)))
        return
    results = Results(options.out / "results.jsonl", options.keep, options.threads)
    try:
        Runner(options, results).run(cases)
    except KeyboardInterrupt:
        print("\ninterrupted; --continue goes on from here")
    text = report(options, results)
    (options.out / "results.md").write_text(text)
    print("\n" + text)
    print(f"results  {options.out / 'results.md'}, {options.out / 'results.jsonl'}")


if __name__ == "__main__":
    main()
