"""Trains SAELens' sparse autoencoders on rows of ours, by the package's own training loop.

Everything that learns is the package's: `SAETrainer` and its training classes from PyPI, its normalisation (E‖x‖ = √D)
or whitening included. This script hands it rows, from a Lapidary store or of a planted dictionary (`stream.py`), then
saves what it trained with the package's `save_inference_model`; `lapidary` reads that folder. Recipes: `tanh` is the
JumpReLU that the package's documentation recommends (Anthropic's settings), `step` the one of Gemma Scope, `quadratic`
one that aims at an L0, `standard` has an L1; `topk`, `batchtopk` and `matryoshka` hit an L0 by construction, and the last
two are saved as a JumpReLU.

Needs requirements.txt. One process per dictionary:
    python train_sae_lens.py --store STORE --site 3.res --recipe batchtopk --sparsity 20 --out OUT/l0-20
    python train_sae_lens.py --planted target/release/lapidary --recipe gated --sparsity 1 --out OUT/gated
"""

import argparse
import json
import os
import time
from itertools import chain
from pathlib import Path

os.environ.setdefault("WANDB_MODE", "disabled")

import torch
from sae_lens import (
    SAE,
    BatchTopKTrainingSAEConfig,
    GatedTrainingSAEConfig,
    JumpReLUTrainingSAEConfig,
    MatryoshkaBatchTopKTrainingSAEConfig,
    StandardTrainingSAEConfig,
    TopKTrainingSAEConfig,
    TrainingSAE,
)
from sae_lens.config import SAETrainerConfig
from sae_lens.training.sae_trainer import SAETrainer

from rows import Shuffled, read_rows
from stream import WIDTHS, planted_batches

RECIPES = ["standard", "gated", "tanh", "step", "quadratic", "topk", "batchtopk", "matryoshka"]
# Batches of which the package measures its normalisation; ours and dictionary_learning's is measured on about 10⁵ rows.
NORM_BATCHES = 100
# Rows on which L0 and FVU are measured at the end.
LOOKED_AT = 16384
# Nested widths as parts of F: those that ours has.
MATRYOSHKA = [16, 8, 4, 2, 1]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--store", help="folder written by `lapidary harvest --split train`")
    source.add_argument("--planted", metavar="LAPIDARY", help="the binary, which streams the rows of a planted dictionary")
    parser.add_argument("--site", default="3.res", help="of the store")
    parser.add_argument("--size", choices=list(WIDTHS), default="everyday", help="of the planted dictionary")
    parser.add_argument("--planted-seed", type=int, default=42)
    parser.add_argument("--out", required=True, type=Path, help="folder for cfg.json, sae_weights.safetensors and run.json")
    parser.add_argument("--recipe", choices=RECIPES, default="batchtopk")
    parser.add_argument("--sparsity", required=True, type=float, help="k, or target L0 of quadratic; else the coefficient")
    parser.add_argument("--coefficient", type=float, default=5.0, help="of quadratic: how strongly it is pulled to its target")
    parser.add_argument("--bandwidth", type=float, help="of JumpReLU [tanh: 2, quadratic: 0.01, as documented; step: 0.05]")
    parser.add_argument("--theta", type=float, help="first threshold [tanh: 0.1, quadratic and step: 0.01, as documented]")
    parser.add_argument("--width", type=int, default=2048, help="features F")
    parser.add_argument("--rows", type=float, default=6.1e6, help="training rows in all; several epochs of a store if need be")
    parser.add_argument("--batch", type=int, default=2048, help="rows per step")
    parser.add_argument("--lr", type=float, default=3e-4, help="the package's default")
    parser.add_argument("--warmup", type=float, default=0, help="share of the steps in which lr rises (the package's default)")
    parser.add_argument("--decay", type=float, default=0, help="last share of the steps, in which lr falls linearly to 0")
    parser.add_argument("--dead-window", type=int, default=1000, help="steps without firing until AuxK (the package's default)")
    parser.add_argument("--whiten", action="store_true", help="normalize_activations=covariance_whitening")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def config(args, d, steps):
    """The package's configuration of the autoencoder."""
    shared = {
        "d_in": d,
        "d_sae": args.width,
        "device": "cpu",
        "normalize_activations": "covariance_whitening" if args.whiten else "expected_average_only_in",
    }
    if args.recipe in ("standard", "gated"):
        kind = StandardTrainingSAEConfig if args.recipe == "standard" else GatedTrainingSAEConfig
        return kind(l1_coefficient=args.sparsity, l1_warm_up_steps=steps // 20, **shared)
    if args.recipe == "topk":
        return TopKTrainingSAEConfig(k=int(args.sparsity), **shared)
    if args.recipe == "batchtopk":
        return BatchTopKTrainingSAEConfig(k=args.sparsity, **shared)
    if args.recipe == "matryoshka":
        widths = [args.width // part for part in MATRYOSHKA]
        return MatryoshkaBatchTopKTrainingSAEConfig(k=args.sparsity, matryoshka_widths=widths, **shared)
    return jumprelu(args, steps, shared)


def jumprelu(args, steps, shared):
    if args.recipe == "quadratic":
        own = {"target_l0": args.sparsity, "l0_coefficient": args.coefficient, "bandwidth": 0.01, "theta": 0.01}
    elif args.recipe == "step":
        own = {"l0_coefficient": args.sparsity, "l0_warm_up_steps": steps // 20, "bandwidth": 0.05, "theta": 0.01}
    else:
        own = {"l0_coefficient": args.sparsity, "bandwidth": 2.0, "theta": 0.1}
        own |= {"l0_warm_up_steps": steps, "pre_act_loss_coefficient": 3e-6}
    return JumpReLUTrainingSAEConfig(
        jumprelu_sparsity_loss_mode=args.recipe,
        jumprelu_bandwidth=args.bandwidth or own.pop("bandwidth"),
        jumprelu_init_threshold=args.theta or own.pop("theta"),
        **{name: value for name, value in own.items() if name not in ("bandwidth", "theta")},
        **shared,
    )


def batches(args, steps):
    """What the package trains on, the batches of its norm first; and some rows to look at the result with."""
    if args.planted:
        stream = lambda n: planted_batches(args.planted, args.size, args.planted_seed, args.batch, n)
        return chain(stream(min(NORM_BATCHES, steps)), stream(steps)), torch.cat(list(stream(LOOKED_AT // args.batch or 1)))
    rows = read_rows(args.store, args.site)
    return iter(Shuffled(rows, args.batch, args.seed)), rows[:LOOKED_AT]


def train(args, batches, d, steps):
    """Runs the peer; its weights come back in raw units, decoder rows of length 1."""
    torch.manual_seed(args.seed)
    sae = TrainingSAE.from_dict(config(args, d, steps).to_dict())
    trainer_config = SAETrainerConfig(
        total_training_samples=steps * args.batch,
        train_batch_size_samples=args.batch,
        lr=args.lr,
        lr_end=args.lr / 10,  # not used by a constant schedule; the package wants it above 0
        lr_warm_up_steps=int(args.warmup * steps),
        lr_decay_steps=int(args.decay * steps),
        dead_feature_window=args.dead_window,
        n_batches_for_norm_estimate=min(NORM_BATCHES, steps),
    )
    trained = SAETrainer(trainer_config, sae, batches).fit()
    if not args.whiten or args.recipe not in ("topk", "batchtopk", "matryoshka"):  # there the package has folded them already
        trained.fold_W_dec_norm()
    return trained


def encode(trained, rows):
    """As inference does it: the training classes of BatchTopK choose among a batch."""
    theta = getattr(trained, "threshold", None)
    theta = getattr(trained, "topk_threshold", None) if theta is None else theta
    if theta is None:
        return trained.encode(rows)
    z = (rows - trained.b_dec) @ trained.W_enc + trained.b_enc
    return z.relu() * (z > theta.float())


def score(trained, folder, rows):
    """L0 and FVU of the saved file on `rows`, by its formula, after checking that the package reads it the same way."""
    saved = SAE.load_from_disk(str(folder), device="cpu")
    with torch.no_grad():
        features = encode(trained, rows)
        recon = features @ trained.W_dec + trained.b_dec
        close = torch.isclose(recon, saved(rows), rtol=1e-3, atol=1e-3 * rows.std().item())
        assert close.float().mean() > 0.9999, "the saved file reconstructs differently"
        fvu = (rows - recon).double().square().sum() / (rows - rows.double().mean(0)).double().square().sum()
    return {"train_l0": (features != 0).sum(1).double().mean().item(), "train_fvu": fvu.item()}


def main():
    args = arguments()
    torch.set_num_threads(args.threads)
    steps = int(args.rows) // args.batch
    source, rows = batches(args, steps)
    wall, cpu = time.monotonic(), time.process_time()
    trained = train(args, source, rows.shape[1], steps)
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    trained.save_inference_model(args.out)
    run = {name: str(value) if isinstance(value, Path) else value for name, value in vars(args).items()}
    run |= {"package": "sae-lens 6.54.12", "steps": steps}
    run |= {"seconds": wall, "cpu_seconds": cpu}
    run |= score(trained, args.out, rows)
    (args.out / "run.json").write_text(json.dumps(run, indent=2) + "\n")
    print(json.dumps(run))


if __name__ == "__main__":
    main()
