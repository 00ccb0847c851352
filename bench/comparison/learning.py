"""Held-out bits per byte of Tenet and of classical models, as a line of JSON.

    learning.py --build DIR --out DIR baselines [--text FILE]
    learning.py --build DIR --out DIR train --minutes N --length N --batch N --dtype f32|bf16 [--text FILE]

`baselines` also writes the two parts of the text into --out, for programs that do not cut it themselves.
"""
import argparse
import ctypes
import json
import lzma
import pathlib
import re
import shutil
import signal
import subprocess


def end_with_parent():
    """Whoever kills this program does not leave one behind that computes on."""
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def output_of(program, *words):
    return subprocess.run([program, *map(str, words)], stdout=subprocess.PIPE, text=True, check=True,
                          preexec_fn=end_with_parent).stdout


def text_flags(args):
    return ["--text", args.text] if args.text else []


def xz_size(data):
    return len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))


def baselines(args):
    output = output_of(args.build / "byte_baselines", *text_flags(args), "--dump", args.out)
    train, valid = ((args.out / name).read_bytes() for name in ("train.bin", "valid.bin"))
    orders = {f"order_{n}": float(bits) for n, bits in re.findall(r"order (\d)\s+([\d.]+)", output)}
    more = xz_size(train + valid) - xz_size(train)
    return {"train_bytes": len(train), "valid_bytes": len(valid), **orders, "xz": 8 * more / len(valid)}


def train(args):
    program, folder = args.build / "reformer", args.out / f"tenet-{args.length}"
    shutil.rmtree(folder, ignore_errors=True)
    output_of(args.build / "byte_baselines", *text_flags(args), "--dump", args.out)  # of this text, as it is now
    trained = output_of(program, "train", *text_flags(args), "--out", folder, "--minutes", args.minutes, "--length",
                        args.length, "--batch", args.batch, "--dtype", args.dtype, "--evaluate-every", 10**9)
    evaluated = output_of(program, "eval", "--model", folder, "--text", args.out / "valid.bin", "--part", "all")
    bits = float(re.search(r"([\d.]+) bits/byte", evaluated)[1])
    steps = int(re.search(r"done: ([\d,]+) steps", trained)[1].replace(",", ""))
    return {"steps": steps, "bits_per_byte": bits}


def main():
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--build", type=pathlib.Path, required=True)
    flags.add_argument("--out", type=pathlib.Path, required=True)
    flags.add_argument("what", choices=["baselines", "train"])
    flags.add_argument("--text")
    flags.add_argument("--minutes", type=float)
    flags.add_argument("--length", type=int)
    flags.add_argument("--batch", type=int)
    flags.add_argument("--dtype")
    args = flags.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    print(json.dumps(baselines(args) if args.what == "baselines" else train(args)))


if __name__ == "__main__":
    main()
