"""Trains dictionary_learning's JumpReLU autoencoder on the rows of a Lapidary store, by the peer's own training loop.

Everything that learns is the package's: `JumpReluTrainer` and `trainSAE` from PyPI, unit-mean-square normalisation
included. This script hands it rows, then writes what it trained as a Gemma Scope `params.npz` in raw units, so that
`lapidary evaluate` scores both sides with one yardstick. Differences from our recipe, for the reader of the table: it
aims at a target L0 by a squared penalty where we charge λ per active feature; its L0 term sees only the upper half of
the window; no bias is subtracted before the encoder; the gradient norm is clipped to 1.

Needs requirements.txt. One process per target:
    python train_dictionary_learning.py --store STORE --site 3.res --target-l0 20 --out OUT/l0-20
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("WANDB_MODE", "disabled")

import numpy as np
import torch
from dictionary_learning import JumpReluAutoEncoder
from dictionary_learning.trainers.jumprelu import JumpReluTrainer
from dictionary_learning.training import trainSAE

from rows import Shuffled, read_rows


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", required=True, help="folder written by `lapidary harvest --split train`")
    parser.add_argument("--site", default="3.res")
    parser.add_argument("--out", required=True, type=Path, help="folder for params.npz and run.json")
    parser.add_argument("--target-l0", required=True, type=float, help="active features per row that the trainer aims at")
    parser.add_argument("--width", type=int, default=2048, help="features F")
    parser.add_argument("--rows", type=float, default=6.1e6, help="training rows in all, several epochs if need be")
    parser.add_argument("--batch", type=int, default=2048, help="rows per step")
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--bandwidth", type=float, default=0.001, help="the package's default")
    parser.add_argument("--sparsity-penalty", type=float, default=1.0, help="the package's default")
    parser.add_argument("--warmup", type=int, default=1000, help="steps of learning-rate warm-up (the package's default)")
    parser.add_argument("--sparsity-warmup", type=int, default=2000, help="steps (the package's default)")
    parser.add_argument("--decay-from", type=float, help="share of the steps after which lr falls linearly to 0; off by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def train(args, rows, steps):
    """Runs the peer; its weights are in OUT/trainer_0/ae.pt, in raw units."""
    config = {
        "trainer": JumpReluTrainer,
        "dict_class": JumpReluAutoEncoder,
        "steps": steps,
        "activation_dim": rows.shape[1],
        "dict_size": args.width,
        "layer": 0,  # only recorded
        "lm_name": args.site,  # only recorded
        "seed": args.seed,
        "lr": args.lr,
        "bandwidth": args.bandwidth,
        "sparsity_penalty": args.sparsity_penalty,
        "warmup_steps": args.warmup,
        "sparsity_warmup_steps": args.sparsity_warmup,
        "decay_start": int(args.decay_from * steps) if args.decay_from else None,
        "target_l0": args.target_l0,
        "device": "cpu",
    }
    torch.manual_seed(args.seed)
    trainSAE(
        Shuffled(rows, args.batch, args.seed),
        [config],
        steps,
        save_dir=str(args.out),
        normalize_activations=True,
        device="cpu",
    )
    return JumpReluAutoEncoder.from_pretrained(str(args.out / "trainer_0" / "ae.pt"))


def export(autoencoder, path):
    """Gemma Scope layout, raw units. A threshold that fell below 0 acts as 0, because the peer's inference applies a ReLU."""
    arrays = {name: value.detach().numpy().astype(np.float32) for name, value in autoencoder.state_dict().items()}
    arrays["threshold"] = np.maximum(arrays["threshold"], 0)
    np.savez(path, **{name: np.ascontiguousarray(value) for name, value in arrays.items()})


def score(autoencoder, path, rows):
    """L0 and FVU of the exported file on `rows`, after checking that it reconstructs as the trained model does."""
    p = {name: torch.from_numpy(value) for name, value in np.load(path).items()}
    z = rows @ p["W_enc"] + p["b_enc"]
    features = z * (z > p["threshold"])
    recon = features @ p["W_dec"] + p["b_dec"]
    with torch.no_grad():
        assert torch.allclose(recon, autoencoder(rows), rtol=1e-3, atol=1e-3 * rows.std()), "the export differs"
    fvu = (rows - recon).double().square().sum() / (rows - rows.double().mean(0)).double().square().sum()
    return {"train_l0": (features != 0).sum(1).double().mean().item(), "train_fvu": fvu.item()}


def main():
    args = arguments()
    torch.set_num_threads(args.threads)
    rows = read_rows(args.store, args.site)
    steps = int(args.rows) // args.batch
    wall, cpu = time.monotonic(), time.process_time()
    autoencoder = train(args, rows, steps)
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    export(autoencoder, args.out / "params.npz")
    run = {name: str(value) if isinstance(value, Path) else value for name, value in vars(args).items()}
    run |= {"package": "dictionary-learning 0.1.0", "store_rows": len(rows), "steps": steps}
    run |= {"seconds": wall, "cpu_seconds": cpu}
    run |= score(autoencoder, args.out / "params.npz", rows[:16384])
    (args.out / "run.json").write_text(json.dumps(run, indent=2) + "\n")
    print(json.dumps(run))


if __name__ == "__main__":
    main()
