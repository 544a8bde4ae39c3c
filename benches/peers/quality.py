"""Quality at equal work: trains and scores all sides of the comparison, run after run, and skips what is finished.

Every run is a folder `OUT/SITE/NAME` that holds what was trained and, last, `scores.json`, which `lapidary evaluate` wrote;
so the script can be stopped at any time and called again. The order is such that an early stop leaves something whole:
`tune` tries a few settings of each peer with seed 0 at the middle L0; `ours` trains our λs, and `run` the
settings named in `CHOSEN` at three L0s, seed 0 first, then seeds 1 and 2. Tables: compare.py.

    python quality.py tune --lapidary target/release/lapidary --data DATA --out runs/quality
    python quality.py run  --lapidary target/release/lapidary --data DATA --out runs/quality
"""

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
WIDTH, ROWS, BATCH, SEEDS = 1024, 2_000_000, 2048, (0, 1, 2)

STORIES = {"model": "stories260k", "text": "stories260k/samples.txt", "context": 256, "windows": None}

# By the name of a folder in OUT. `windows`: of the held-out documents, the first so many are scored (None: all).
SITES = {
    "stories260k": {
        **STORIES,
        "site": "3.res",
        "lambdas": [0.00003, 0.00004, 0.0001, 0.00055, 0.0015, 0.002],
        "l0": [10, 20, 40],
    },
    "stories260k-1.mlp": {**STORIES, "site": "1.mlp", "lambdas": [0.0003, 0.0008, 0.0009, 0.0019, 0.0024], "l0": [10, 20, 30]},
    "stories260k-4.att": {**STORIES, "site": "4.att", "lambdas": [0.0007, 0.0035, 0.004, 0.012, 0.014], "l0": [10, 20, 30]},
    "organism": {
        "model": "organism",
        "text": "world:seed=2,tokens=2400000",
        "context": 128,
        "windows": 1000,
        "site": "2.res",
        "lambdas": [0.00014, 0.00017, 0.00036, 0.00038, 0.001, 0.0012],
        "l0": [6, 12, 20],
    },
}

# A peer's settings by name; "{l0}" is the L0 that is asked for. The first of each group are the package's defaults or
# what its documentation recommends, with warm-ups in the same share of the run (a tenth, a fifth) where the default is
# longer than the run. `tanh` has no target: its coefficient stands there, one of the three in COEFFICIENTS. CHOSEN are the
# best of `tune` at stories260k.
DL = ["--target-l0", "{l0}", "--warmup", "100", "--sparsity-warmup", "200"]
SL = ["--sparsity", "{l0}", "--recipe"]
VARIANTS = {
    "dl": [*DL],
    "dl-decay": [*DL, "--decay-from", "0.8"],
    "dl-lr1e-3-decay": [*DL, "--decay-from", "0.8", "--lr", "1e-3"],
    "dl-lr3e-3-decay": [*DL, "--decay-from", "0.8", "--lr", "3e-3"],
    "dl-lr1e-2-decay": [*DL, "--decay-from", "0.8", "--lr", "1e-2"],
    "dl-lr3e-3-decay-eps0.01": [*DL, "--decay-from", "0.8", "--lr", "3e-3", "--bandwidth", "0.01"],
    "dl-lr3e-3-decay-eps0.1": [*DL, "--decay-from", "0.8", "--lr", "3e-3", "--bandwidth", "0.1"],
    "sl-batchtopk": [*SL, "batchtopk"],
    "sl-batchtopk-lr1e-3-decay": [*SL, "batchtopk", "--lr", "1e-3", "--decay", "0.2"],
    "sl-batchtopk-lr3e-3-decay": [*SL, "batchtopk", "--lr", "3e-3", "--decay", "0.2", "--warmup", "0.03"],
    "sl-batchtopk-lr3e-3-decay-auxk": [*SL, "batchtopk", "--lr", "3e-3", "--decay", "0.2", "--warmup", "0.03", "--dead-window", "50"],
    "sl-batchtopk-lr6e-3-decay-auxk": [*SL, "batchtopk", "--lr", "6e-3", "--decay", "0.2", "--warmup", "0.03", "--dead-window", "50"],
    "sl-batchtopk-lr1e-2-decay-auxk": [*SL, "batchtopk", "--lr", "1e-2", "--decay", "0.2", "--warmup", "0.03", "--dead-window", "50"],
    "sl-batchtopk-lr1e-2-decay": [*SL, "batchtopk", "--lr", "1e-2", "--decay", "0.2", "--warmup", "0.03"],
    "sl-batchtopk-lr3e-3-decay-whiten": [*SL, "batchtopk", "--lr", "3e-3", "--decay", "0.2", "--warmup", "0.03", "--whiten"],
    "sl-tanh": [*SL, "tanh", "--decay", "0.2"],
    "sl-tanh-lr3e-3": [*SL, "tanh", "--decay", "0.2", "--lr", "3e-3"],
    "sl-quadratic": [*SL, "quadratic", "--decay", "0.2"],
}
COEFFICIENTS = [0.2, 0.08, 0.03]
CHOSEN = ["sl-batchtopk-lr1e-2-decay-auxk", "dl-lr3e-3-decay-eps0.01"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["tune", "run", "ours"])
    parser.add_argument("--lapidary", default="lapidary", help="the binary")
    parser.add_argument("--data", required=True, help="folder with stories260k")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--sites", nargs="+", choices=list(SITES), default=list(SITES))
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), help="[default: all to tune, CHOSEN to run]")
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--workers", type=int, default=1, help="runs side by side, a thread each")
    return parser.parse_args()


def run(command):
    """Runs `command` on one thread; returns what it printed."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([str(word) for word in command], capture_output=True, env=environment)
    if done.returncode != 0:
        raise RuntimeError(f"{command}\n{done.stderr.decode(errors='replace')[-3000:]}")
    return done.stdout


def harvest(args, name):
    """The rows that all sides train on."""
    site, store = SITES[name], args.out / name / "store"
    if not (store / "manifest.json").exists():
        command = [args.lapidary, "harvest", "--model", model(args, site), "--text", text(args, site), "--data", args.data]
        run([*command, "--context", site["context"], "--sites", site["site"], "--out", store, "--threads", 1, "--overwrite", "-q"])
    return store


def model(args, site):
    folder = Path(args.data) / site["model"]
    return folder if folder.exists() else site["model"]


def text(args, site):
    return site["text"] if site["text"].startswith("world:") else Path(args.data) / site["text"]


def evaluate(args, site, what, folder, own):
    """Scores on the held-out documents; a run of ours knows its model and text."""
    command = [args.lapidary, "evaluate", what, "--data", args.data, "--json", "--threads", 1, "-q"]
    command += ["--max-windows", site["windows"]] if site["windows"] else []
    if not own:
        command += ["--model", model(args, site), "--text", text(args, site)]
        command += ["--site", site["site"], "--context", site["context"]]
    part = folder / "scores.json.part"
    part.write_bytes(run(command))
    part.rename(folder / "scores.json")


def ours(args, name, seed):
    site, folder = SITES[name], args.out / name / f"ours-seed{seed}"
    if (folder / "scores.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    suite = {
        "model": site["model"],
        "text": [site["text"]],
        "context": site["context"],
        "sites": site["site"],
        "widths": [WIDTH],
        "lambdas": site["lambdas"],
        "tokens": ROWS,
        "preset": "short",
        "seed": seed,
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in suite.items()]
    lines += ["[recipe]", f"batch = {BATCH}", "[rows]", f"store = {json.dumps(str((args.out / name / 'store').resolve()))}"]
    (folder / "suite.toml").write_text("\n".join(lines) + "\n")
    trained = folder / "run"
    run([args.lapidary, "train", folder / "suite.toml", "--data", args.data, "--out", trained, "--overwrite", "--threads", 1, "-q"])
    evaluate(args, site, trained, folder, own=True)


def peer(args, name, variant, l0, seed):
    """One dictionary of a peer; `l0` is its target, or the coefficient of a recipe without one."""
    site, folder = SITES[name], args.out / name / f"{variant}-{l0:g}-seed{seed}"
    if (folder / "scores.json").exists():
        return
    script = {"dl": "train_dictionary_learning.py", "sl": "train_sae_lens.py"}[variant[:2]]
    command = [sys.executable, HERE / script, "--store", args.out / name / "store", "--site", site["site"], "--out", folder]
    command += ["--width", WIDTH, "--rows", ROWS, "--batch", BATCH, "--seed", seed, "--threads", 1]
    command += [word.format(l0=l0) for word in VARIANTS[variant]]
    began = time.monotonic()
    run(command)
    evaluate(args, site, folder / "params.npz" if variant.startswith("dl") else folder, folder, own=False)
    print(f"{name} {variant} {l0:g} seed {seed}: {time.monotonic() - began:.0f} s", line(folder), flush=True)


def line(folder):
    def find(value):
        if isinstance(value, dict) and "fvu" in value and "l0" in value:
            return value
        children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
        return next((found for child in children if (found := find(child))), None)

    scores = find(json.loads((folder / "scores.json").read_text()))
    return f"L0 {scores['l0']['value']:.1f} FVU {scores['fvu']['value']:.4f} Δloss {scores['delta_loss']['value']:.4f}"


def targets(name, variant):
    return COEFFICIENTS if "tanh" in variant else SITES[name]["l0"]


def jobs(args):
    """What is to be done, most wanted first."""
    if args.what == "ours":
        return [(ours, name, seed) for seed in args.seeds for name in args.sites]
    if args.what == "tune":
        variants = args.variants or list(VARIANTS)
        return [(peer, name, variant, targets(name, variant)[1], 0) for name in args.sites for variant in variants]
    return [
        (peer, name, variant, targets(name, variant)[rank], seed)
        for seed in args.seeds
        for rank in (1, 0, 2)
        for name in args.sites
        for variant in args.variants or CHOSEN
    ]


def main():
    args = arguments()
    for name in args.sites:
        harvest(args, name)
    with ThreadPoolExecutor(args.workers) as pool:
        for future in [pool.submit(job[0], args, *job[1:]) for job in jobs(args)]:
            try:
                future.result()
            except RuntimeError as error:
                print(error, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
