"""Runs `lapidary bench` and the peers one after the other, several rounds, and prints a Markdown table of the ratios.

All compute on the same rows, weights and thresholds, which `lapidary bench --out` saves first. Machines are noisy, so
sides are interleaved, and a ratio is that of medians over the rounds, with the smallest and largest ratio of one round.

    python side_by_side.py step --lapidary target/release/lapidary
    python side_by_side.py encode --lapidary target/release/lapidary --d-model 768
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
STEP_PEERS = ["saelens", "saelens-bf16", "dictionary_learning"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["step", "encode"])
    parser.add_argument("--lapidary", default="lapidary", help="the binary")
    parser.add_argument("--d-model", type=int, default=2304)
    parser.add_argument("--width", type=int, default=16384)
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--peer-batch", type=int, help="rows of a peer's step, where all do not fit into memory")
    parser.add_argument("--l0", type=float, default=70)
    parser.add_argument("--zipf", action="store_true")
    parser.add_argument("--steps", type=int, default=5, help="measured steps of ours in a round")
    parser.add_argument("--peer-steps", type=int, default=2, help="measured steps of a peer in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--peers", nargs="+", default=STEP_PEERS, choices=STEP_PEERS, help="for `step`")
    parser.add_argument("--scratch", help="folder for the rows [default: a temporary one]")
    return parser.parse_args()


def commands(args, rows):
    """Each side's name and command; ours comes first."""
    shape = ["--d-model", args.d_model, "--width", args.width, "--batch", args.batch, "--l0", args.l0]
    shape += ["--zipf"] if args.zipf else []
    verb = {"step": "train", "encode": "encode"}[args.what]
    ours = [args.lapidary, "bench", verb, *shape, "--steps", args.steps, "--threads", args.threads, "--json"]
    tail = ["--from", rows, "--steps", args.peer_steps, "--threads", args.threads, "--json"]
    tail += ["--batch", args.peer_batch] if args.peer_batch else []
    if args.what == "encode":
        peers = {"torch f32": [sys.executable, HERE / "encode.py", *tail]}
    else:
        peers = {peer: [sys.executable, HERE / "step.py", peer, *tail] for peer in args.peers}
    sides = {"lapidary": ours} | peers
    return {side: [str(word) for word in command] for side, command in sides.items()}


def run(command):
    """The JSON that `command` prints; its standard error is shown where it fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{shlex.join(command)}\n{done.stderr[-4000:]}")
    return json.loads(done.stdout)


def rounds(sides, n):
    """`n` runs of each side, interleaved."""
    results = {side: [] for side in sides}
    for i in range(n):
        for side, command in sides.items():
            results[side].append(run(command))
            print(f"round {i + 1}: {side} {results[side][-1]['tokens_per_s']:,.0f} tokens/s", file=sys.stderr)
    return results


def table(results):
    """One line per side; ratios are ours over the peer's."""
    lines = ["| | tokens/s | step, s | L0 | peak memory | ours is faster by | of single rounds |"]
    lines.append("|---|---:|---:|---:|---:|---:|---:|")
    speed = {side: [r["tokens_per_s"] for r in runs] for side, runs in results.items()}
    for side, runs in results.items():
        step = median(r["step_s"] for r in runs)
        cells = [side, f"{median(speed[side]):,.0f}", f"{step:.3f}", f"{runs[-1]['l0']:.1f}", memory(runs)]
        if side == "lapidary":
            cells += ["", ""]
        else:
            single = [ours / theirs for ours, theirs in zip(speed["lapidary"], speed[side])]
            ratio = median(speed["lapidary"]) / median(speed[side])
            cells += [f"**{ratio:.2f}×**", f"{min(single):.2f}–{max(single):.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def memory(runs):
    peaks = [r["peak_bytes"] for r in runs if r["peak_bytes"]]
    return f"{max(peaks) / 2**30:.2f} GiB" if peaks else "not known"


def machine(ours):
    """What `lapidary bench` said of the machine and of itself, in one line."""
    facts, last = ours[-1]["machine"], ours[-1]
    gemm = median(r["machine"]["gemm_gflops"] for r in ours)
    bandwidth = median(r["machine"]["bandwidth_gb_s"] for r in ours)
    parts = [f"{facts['isa']}, {facts['threads']} threads", f"f32 product {gemm:.0f} GFLOP/s", f"memory {bandwidth:.1f} GB/s"]
    parts += [f"touched features {last['touched_rows']:,}"]
    for name in ["window_share", "recheck_share"]:
        if last[name] is not None:
            parts.append(f"{name.replace('_', ' ')} {100 * last[name]:.3g} %")
    parts += [f"{phase['name']} {100 * phase['share']:.0f} %" for phase in last["phases"]]
    return "; ".join(parts)


def main():
    args = arguments()
    with tempfile.TemporaryDirectory(dir=args.scratch) as scratch:
        rows = Path(scratch) / "rows.safetensors"
        sides = commands(args, rows)
        run([*sides["lapidary"], "--out", str(rows)])  # also warms up
        results = rounds(sides, args.rounds)
    firing = "Zipf's frequencies" if args.zipf else "equal frequencies"
    print(f"{args.what}: D {args.d_model:,}, F {args.width:,}, N {args.batch:,}, L0 {args.l0:g} asked, {firing}", end="")
    print(f" (peers: N {args.peer_batch:,})" if args.peer_batch else "", end="\n\n")
    print(table(results))
    print(f"\n{machine(results['lapidary'])}\n")
    for command in sides.values():
        print(f"    {shlex.join([Path(command[0]).name, *shorter(command[1:])])}")


def shorter(words):
    """Without the places of this machine."""
    return [Path(word).name if os.path.isabs(word) or word.endswith(".py") else word for word in words]


if __name__ == "__main__":
    main()
