"""Every architecture of ours beside SAELens' on the same planted rows: matched F1, MCC, L0 and FVU, in one Markdown table.

Both sides train on rows 0 .. ROWS of one planted dictionary, once each, at the same batch and width, and are scored by the
same code (`lapidary world planted --score`) on the rows after them. Ours is one process, `--architecture … --target-l0 K`
with the preset `short`. SAELens' trainings are `train_sae_lens.py` with its rows streamed. Where SAELens has k, k is the L0;
for L1, gated and JumpReLU the coefficient is searched on short runs, by secant in logarithms, and once more corrected if
the whole run still misses the L0.

What is finished is skipped: every SAELens training is a folder with `run.json`, ours ends with `ours/scores.json` and goes
on from its checkpoint. The raw scores stay in OUT (`ours/scores.json`, `sae-lens.json`), with the table (`table.md`).

    python planted.py --lapidary target/release/lapidary --out runs/planted
"""

import argparse
import json
import math
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from stream import WIDTHS

HERE = Path(__file__).parent
BATCH = 2048
# Ours, and the recipe of train_sae_lens.py; with the coefficient from which a search begins, where there is no k.
RECIPES = {
    "jumprelu": ("tanh", 0.3),
    "topk": ("topk", None),
    "batchtopk": ("batchtopk", None),
    "matryoshka": ("matryoshka", None),
    "gated": ("gated", 2.0),
    "l1": ("standard", 5.0),
}
# Trainings of a search, at most, and how near to the L0 one must come.
TRIES, SEARCHED, HIT = 8, 1.05, 1.1
COLUMNS = {
    "L0": lambda s: f"{s['l0']:.1f}",
    "FVU": lambda s: f"{s['fvu']:.4f}",
    "matched F1": lambda s: f"{s['matched_f1']['value']:.4f}",
    "F1 by cosine": lambda s: f"{s['f1_by_cosine']:.3f}",
    "MCC": lambda s: f"{s['mean_correlation']:.3f}",
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lapidary", default="lapidary", help="the binary")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--rows", type=float, default=20e6, help="training rows, rounded up to whole batches")
    parser.add_argument("--search-rows", type=float, default=1e6, help="rows of each short run of a search")
    parser.add_argument("--truth-rows", type=int, default=50_000, help="fresh rows to score on")
    parser.add_argument("--size", choices=list(WIDTHS), default="everyday")
    parser.add_argument("--seed", type=int, default=42, help="of the planted dictionary and both sides' initialisation")
    parser.add_argument("--width", type=int, default=512, help="features F")
    parser.add_argument("--l0", type=int, default=12, help="active features per row; the rows' own are 11.5 (everyday)")
    parser.add_argument("--architectures", nargs="+", choices=list(RECIPES), default=list(RECIPES))
    parser.add_argument("--jumprelu", choices=["tanh", "step"], default="tanh", help="SAELens' recipe of it")
    parser.add_argument("--lr", nargs="+", type=float, default=[1e-3], help="SAELens' rates, a row of the table for each")
    parser.add_argument("--warmup", type=float, default=0.03, help="of SAELens' rate, share of the steps")
    parser.add_argument("--decay", type=float, default=0.2, help="of SAELens' rate, last share of the steps")
    parser.add_argument("--dead", type=float, default=0.05, help="share of the steps without firing until SAELens' AuxK, as ours")
    parser.add_argument("--full-runs", type=int, default=2, help="whole runs with a searched coefficient, at most")
    parser.add_argument("--workers", type=int, default=2, help="SAELens trainings side by side, a thread each; ours has as many threads")
    return parser.parse_args()


def run(command, messages="its message above", **options):
    """Runs `command`; where it fails, `messages` say why."""
    done = subprocess.run([str(word) for word in command], **options)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(str(word) for word in command)}: failed with {done.returncode}; see {messages}")
    return done


def tell(line):
    """In one piece: workers speak at the same time."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def steps(rows):
    return math.ceil(rows / BATCH)


def train(args, recipe, lr, sparsity, rows, folder):
    """One SAELens dictionary, unless it is there; what its run.json says."""
    finished = folder / "run.json"
    if not finished.exists():
        command = [sys.executable, HERE / "train_sae_lens.py", "--planted", args.lapidary, "--size", args.size]
        command += ["--planted-seed", args.seed, "--seed", args.seed, "--recipe", recipe, "--sparsity", sparsity]
        command += ["--width", args.width, "--batch", BATCH, "--rows", steps(rows) * BATCH, "--threads", 1]
        command += ["--lr", lr, "--warmup", args.warmup, "--decay", args.decay]
        command += ["--dead-window", max(1, round(args.dead * steps(rows))), "--out", folder]
        log = folder.with_name(f"{folder.name}.log")
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w") as messages:
            run(command, log, stdout=messages, stderr=messages)
    found = json.loads(finished.read_text())
    tell(f"{folder.name}: {found['steps']} steps, {found['cpu_seconds']:.0f} s of a core, L0 {found['train_l0']:.2f}")
    return found


def nearer(points):
    """The next log coefficient, from (log coefficient, log L0/target): within the bracket if there is one, else outwards."""
    dense = max((p for p in points if p[1] > 0), default=None)
    sparse = min((p for p in points if p[1] <= 0), default=None)
    if not dense or not sparse or dense[0] >= sparse[0]:
        x, y = points[-1]
        return x + math.copysign(min(1.5, max(0.3, abs(y))), y)
    share = dense[1] / (dense[1] - sparse[1])
    return dense[0] + min(0.9, max(0.1, share)) * (sparse[0] - dense[0])


def slope(points):
    """d log L0 / d log coefficient around the target, between the two points nearest to it."""
    (x, y), (other_x, other_y) = sorted(points, key=lambda p: abs(p[1]))[:2] if len(points) > 1 else [(0, 0), (1, -1)]
    measured = (y - other_y) / (x - other_x) if x != other_x else -1.0
    return min(measured, -0.2)


def off(l0, target):
    return math.log(max(l0, 1e-3) / target)


def searched(args, recipe, lr, first, folder):
    """A SAELens dictionary whose coefficient gives about the L0: short runs, then whole ones; the folder of the best."""
    points, x = [], math.log(first)
    for _ in range(TRIES):
        coefficient = float(f"{math.exp(x):.3g}")
        short = train(args, recipe, lr, coefficient, args.search_rows, folder.with_name(f"{folder.name}-search-{coefficient:g}"))
        points.append((math.log(coefficient), off(short["train_l0"], args.l0)))
        if abs(points[-1][1]) < math.log(SEARCHED):
            break
        x = nearer(points)
    x, bend = min(points, key=lambda p: abs(p[1]))[0], slope(points)
    whole = []
    for _ in range(args.full_runs):
        coefficient = float(f"{math.exp(x):.3g}")
        out = folder.with_name(f"{folder.name}-coefficient-{coefficient:g}")
        y = off(train(args, recipe, lr, coefficient, args.rows, out)["train_l0"], args.l0)
        whole.append((abs(y), out))
        if abs(y) < math.log(HIT):
            break
        x -= y / bend
    return min(whole)[1]


def peer(args, architecture, lr):
    """The folder of SAELens' dictionary."""
    recipe, first = RECIPES[architecture]
    folder = args.out / "sae-lens" / f"{architecture}-lr{lr:g}"
    if first is not None:
        return searched(args, args.jumprelu if architecture == "jumprelu" else recipe, lr, first, folder)
    train(args, recipe, lr, args.l0, args.rows, folder)
    return folder


def planted(args, *more):
    """`lapidary world planted …` as JSON."""
    command = [args.lapidary, "world", "planted", "--size", args.size, "--seed", args.seed, "--json", "--threads", args.workers]
    command += ["--samples", steps(args.rows) * BATCH, "--truth-rows", args.truth_rows, *more]
    return json.loads(run(command, stdout=subprocess.PIPE).stdout)


def ours(args):
    """Our dictionaries, all in one pass; scores by architecture."""
    folder = args.out / "ours"
    finished = folder / "scores.json"
    if not finished.exists():
        more = ["--out", folder, *(["--resume"] if (folder / "planted.json").exists() else [])]
        began = time.monotonic()
        wanted = ["--architecture", ",".join(args.architectures), "--target-l0", args.l0, "--width", args.width]
        planted(args, *wanted, "--no-baselines", *more)
        tell(f"ours: {time.monotonic() - began:.0f} s")
    scores = json.loads(finished.read_text())["dictionaries"]
    return {s["architecture"].lower(): s for s in scores if s["architecture"]}


def table(own, peers):
    """One row per architecture and rate; `peers` are (architecture, rate, scores)."""
    names = " | ".join(COLUMNS)
    lines = [f"| architecture | ours: {names} | SAELens: lr | {names} |", "|---" + "|---:" * (2 * len(COLUMNS) + 1) + "|"]
    for architecture, lr, scores in peers:
        cells = [architecture, *(cell(own[architecture]) for cell in COLUMNS.values()), f"{lr:g}"]
        lines.append("| " + " | ".join([*cells, *(cell(scores) for cell in COLUMNS.values())]) + " |")
    return "\n".join(lines) + "\n"


def main():
    args = arguments()
    own = ours(args)
    wanted = [(architecture, lr) for architecture in args.architectures for lr in args.lr]
    with ThreadPoolExecutor(args.workers) as pool:
        folders = list(pool.map(lambda pair: peer(args, *pair), wanted))
    peers = [(*pair, folder) for pair, folder in zip(wanted, folders)]
    report = planted(args, "--score", *(folder for _, _, folder in peers))
    (args.out / "sae-lens.json").write_text(json.dumps(report, indent=2) + "\n")
    scores = {s["name"]: s for s in report["dictionaries"]}
    text = table(own, [(architecture, lr, scores[str(folder)]) for architecture, lr, folder in peers])
    (args.out / "table.md").write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
