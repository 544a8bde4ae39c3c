"""Speed of the peers' JumpReLU training step, on the rows, weights and thresholds of `lapidary bench train --out FILE`.

Every step is the package's own: `SAETrainer.step` of SAELens (forward pass, loss, backward pass, gradient clipping, Adam,
its firing statistics) and `JumpReluTrainer.update` of dictionary_learning. The learning rate is so small that L0 stays; it
is measured and printed. SAELens runs in f32, or under bf16 autocast, which is not exact.

    python step.py saelens --from FILE --steps 2
"""

import argparse
import itertools
import os

os.environ.setdefault("WANDB_MODE", "disabled")

import torch

from measure import measure, peak_bytes, read, report

LR = 1e-9
BANDWIDTH = 0.001
L0_COEFFICIENT = 1e-3


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=["saelens", "saelens-bf16", "dictionary_learning"])
    parser.add_argument("--from", dest="source", required=True, help="file written by `lapidary bench train --out`")
    parser.add_argument("--steps", type=int, default=2, help="measured steps, after one that is not")
    parser.add_argument("--batch", type=int, help="use the first rows only (where all do not fit into memory)")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def saelens(tensors, steps, autocast):
    """Returns (one training step, the L0 of the last one)."""
    from sae_lens import JumpReLUTrainingSAE, JumpReLUTrainingSAEConfig
    from sae_lens.config import SAETrainerConfig
    from sae_lens.training.sae_trainer import SAETrainer

    x, width = tensors["x"], len(tensors["w"])
    config = JumpReLUTrainingSAEConfig(
        d_in=x.shape[1], d_sae=width, device="cpu", jumprelu_bandwidth=BANDWIDTH, l0_coefficient=L0_COEFFICIENT
    )
    sae = JumpReLUTrainingSAE(config)
    with torch.no_grad():
        sae.W_enc.copy_(tensors["w"].T)
        sae.W_dec.copy_(tensors["w"])
        sae.threshold.copy_(tensors["theta"])
    trainer_config = SAETrainerConfig(
        total_training_samples=len(x) * (steps + 1), train_batch_size_samples=len(x), lr=LR, lr_end=LR, autocast=autocast
    )
    trainer = SAETrainer(trainer_config, sae, itertools.repeat(x))
    seen = {}

    def step():
        output = trainer.step(next(trainer.data_provider))
        trainer.n_training_steps += 1
        seen["active"] = output.feature_acts.detach()

    return step, lambda: count_active(seen["active"])


def dictionary_learning(tensors, steps):
    """Returns (one training step, the L0 after the last one)."""
    from dictionary_learning.trainers.jumprelu import JumpReluTrainer

    x, width = tensors["x"], len(tensors["w"])
    trainer = JumpReluTrainer(
        steps=steps + 1,
        activation_dim=x.shape[1],
        dict_size=width,
        layer=0,  # only recorded
        lm_name="bench",  # only recorded
        lr=LR,
        bandwidth=BANDWIDTH,
        warmup_steps=0,
        sparsity_warmup_steps=None,
    )
    with torch.no_grad():
        trainer.ae.W_enc.copy_(tensors["w"].T)
        trainer.ae.W_dec.copy_(tensors["w"])
        trainer.ae.threshold.copy_(tensors["theta"])
    number = itertools.count()

    def l0():
        with torch.no_grad():
            return count_active(trainer.ae.encode(x))

    return lambda: trainer.update(next(number), x), l0


def count_active(features):
    """Mean number of features of a row that are not 0."""
    return (features != 0).sum(1).double().mean().item()


def main():
    args = arguments()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    tensors = read(args.source, args.batch)
    if args.peer == "dictionary_learning":
        step, l0 = dictionary_learning(tensors, args.steps)
    else:
        step, l0 = saelens(tensors, args.steps, autocast=args.peer == "saelens-bf16")
    tensors["w"] = tensors["w"][:, :0]  # the peer has its own copy: ours must not count as its memory
    first, seconds = measure(step, args.steps)
    peak = peak_bytes()
    report(args.peer, tensors, l0(), first, seconds, peak, args.json)


if __name__ == "__main__":
    main()
