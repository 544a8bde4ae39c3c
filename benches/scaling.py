"""Tokens per second of a training step as work grows: with F, with L0, with D, with threads. Runs `lapidary bench train` at
every point, and writes a table (scaling.md), a plot (scaling.svg, see plot.py) and every number (scaling.jsonl).

One axis is swept at a time, the others stay at the base point. Beside each point stands what the machine could do in the
same run: the dense f32 product out of caches, GFLOP/s, and memory, GB/s. Of the rows of W and its moments that a step
touches, four are read and written for each touched feature: 32·D bytes, if nothing of them is in a cache.

    python scaling.py --lapidary target/release/lapidary --out benches
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

from plot import plot

PHASES = {
    "encode": "the encoder's product",
    "decode": "decoding",
    "transpose": "turning entries round",
    "features": "gradients and updates of touched rows",
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lapidary", default="lapidary", help="the binary")
    parser.add_argument("--out", type=Path, default=Path("."), help="folder for the three files")
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--d-model", type=int, default=2304, help="of the base point")
    parser.add_argument("--width", type=int, default=16384, help="of the base point")
    parser.add_argument("--l0", type=float, default=70, help="of the base point")
    parser.add_argument("--widths", type=int, nargs="*", default=[2**n for n in range(12, 18)])
    parser.add_argument("--l0s", type=float, nargs="*", default=[10, 30, 70, 200, 500, 1000])
    parser.add_argument("--d-models", type=int, nargs="*", default=[256, 512, 768, 1152, 2304, 3584])
    parser.add_argument("--threads", type=int, nargs="*", default=thread_counts())
    parser.add_argument("--steps", type=int, default=3, help="measured steps of a point in a round")
    parser.add_argument("--rounds", type=int, default=3, help="rounds through all points; medians count")
    parser.add_argument("--again", action="store_true", help="measure nothing: draw from scaling.jsonl")
    return parser.parse_args()


def thread_counts():
    """1, 2, 4, … and all cores."""
    cores = os.cpu_count()
    return sorted({2**n for n in range(cores.bit_length())} | {cores})


def points(args):
    """Every (axis, shape) of the sweep; shapes are dicts of the command's flags."""
    base = {"d-model": args.d_model, "width": args.width, "l0": args.l0, "threads": max(args.threads)}
    axes = {"width": args.widths, "l0": args.l0s, "d-model": args.d_models, "threads": args.threads}
    return [(axis, base | {axis: value}) for axis, values in axes.items() for value in values]


def bench(args, shape):
    """What `lapidary bench train` prints at one point."""
    flags = [f"--{name}={value}" for name, value in shape.items()]
    command = [args.lapidary, "bench", "train", *flags, f"--batch={args.batch}", f"--steps={args.steps}", "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stderr[-4000:]}")
    return json.loads(done.stdout)


def measure(args):
    """All points, `rounds` times over; a line of scaling.jsonl each."""
    lines = []
    for i in range(args.rounds):
        for axis, shape in points(args):
            lines.append({"axis": axis, "x": shape[axis], "report": bench(args, shape)})
            print(f"round {i + 1}: {shape} {lines[-1]['report']['tokens_per_s']:,.0f} tokens/s", file=sys.stderr)
    return lines


def summary(reports):
    """Medians over the rounds of one point."""
    first = reports[0]

    def mid(of):
        return median(of(r) for r in reports)

    def phase(name):
        return mid(lambda r: next((p["seconds"] for p in r["phases"] if p["name"] == name), 0.0))

    point = {name: first[name] for name in ["d_model", "width", "batch"]}
    point |= {name: mid(lambda r: r[name]) for name in ["l0", "tokens_per_s", "step_s", "touched_rows", "peak_bytes"]}
    point |= {"threads": first["machine"]["threads"], "phases": {name: phase(name) for name in PHASES}}
    point |= {name: mid(lambda r: r["machine"][name]) for name in ["gemm_gflops", "bandwidth_gb_s"]}
    flops = 2e-9 * point["batch"] * point["d_model"] * point["width"]
    # The product alone, at the machine's measured best: no step that computes it in f32 can be faster.
    point["bound"] = point["batch"] * point["gemm_gflops"] / flops
    point["product_gflops"] = flops / point["phases"]["encode"]
    point["rows_gb_s"] = 32e-9 * point["d_model"] * point["touched_rows"] / point["phases"]["features"]
    return point


def limit(point):
    """The longest phase, and how near it is to what the machine can do."""
    longest = max(point["phases"], key=point["phases"].get)
    words = PHASES[longest]
    if longest == "encode":
        words += f", at {100 * point['product_gflops'] / point['gemm_gflops']:.0f} % of the peak"
    if longest == "features":
        words += f", their traffic at {100 * point['rows_gb_s'] / point['bandwidth_gb_s']:.0f} % of the memory's rate"
    return words


def table(swept):
    """One line per point, the axes one after another."""
    columns = ["D", "F", "L0", "threads", "tokens/s", "step, s", *PHASES, "peak memory, GiB"]
    columns += ["product, GFLOP/s (peak)", "rows, GB/s (memory)", "limit"]
    lines = [f"| {' | '.join(columns)} |", "|" + "---:|" * (len(columns) - 1) + "---|"]
    for _, _, p in swept:
        shares = [f"{100 * seconds / p['step_s']:.0f} %" for seconds in p["phases"].values()]
        cells = [f"{p['d_model']:,}", f"{p['width']:,}", f"{p['l0']:.0f}", p["threads"], f"{p['tokens_per_s']:,.0f}"]
        cells += [f"{p['step_s']:.3g}", *shares, f"{p['peak_bytes'] / 2**30:.2f}" if p["peak_bytes"] else ""]
        cells += [f"{p['product_gflops']:.0f} ({p['gemm_gflops']:.0f})"]
        cells += [f"{p['rows_gb_s']:.1f} ({p['bandwidth_gb_s']:.1f})", limit(p)]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def main():
    args = arguments()
    raw = args.out / "scaling.jsonl"
    if args.again:
        lines = [json.loads(line) for line in raw.read_text().splitlines()]
    else:
        lines = measure(args)
        raw.write_text("".join(json.dumps(line) + "\n" for line in lines))
    keys = dict.fromkeys((line["axis"], line["x"]) for line in lines)
    of = {key: [line["report"] for line in lines if (line["axis"], line["x"]) == key] for key in keys}
    swept = [(axis, x, summary(reports)) for (axis, x), reports in of.items()]
    (args.out / "scaling.md").write_text(table(swept))
    (args.out / "scaling.svg").write_text(plot(swept))
    print(table(swept), end="")


if __name__ == "__main__":
    main()
