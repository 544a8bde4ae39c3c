"""Trains the organism: a Gemma 2 of about two million parameters that learns the language of `lapidary world text`.

HF transformers' own model in f32, one compiled step of fixed shape [B, T]; Muon for the matrices of the layers, AdamW
for the rest; warm-up, stable rate, then a linear decay to zero, which a budget starts, or a file OUT/finish. A signal
stops it; the same command continues. Measured on 2 Zen 3 cores, 32 rows of 128, 6 layers, d_model 128, ffn 640:
  compiled 5,655 positions/s, eager 4,576; forward and backward 680 ms a step, both optimizers 43 ms.
Beside a compiler 2,661 positions/s (ffn 672); while OpenMP's waits still spun, d_model 144 fell to 695 there.
Not settled: the step size of Muon. After 50 steps of 16 rows of a stand-in text (in the warm-up, one seed) RMS 0.2 at
lr 4e-3 was behind AdamW at 3e-3, 3.79 to 3.45 nats/token; with 4 layers of 64, RMS 1.0 was ahead of it, 4.11 to 4.68.
"""

import argparse
import json
import math
import os
import signal
import time
from functools import lru_cache
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # waiting threads sleep: spinning starves a core that others use

import numpy as np
import torch
from tokenizers import Tokenizer
from torch.nn.functional import cross_entropy
from transformers import Gemma2Config, Gemma2ForCausalLM

T = 128  # positions in a row: BOS and at most 127 tokens of one document
PAD, BOS, EOS, UNK = 0, 1, 2, 3
WINDOW = 64  # tokens that a local layer sees, its own included
SHAPE = (6, 128, 672, 4)  # layers, d_model, ffn, heads
RMS = 0.2  # of a Muon update, per unit of lr


def write_then_rename(path, write):
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "wb") as file:
        write(file)
    os.replace(temporary, path)


def load_rows(text, tokenizer):
    """Rows [docs, T] u16 of a JSON-lines file, encoded once and kept beside it as `.ids.npy`."""
    cache = text.with_suffix(".ids.npy")
    if not cache.exists() or cache.stat().st_mtime < max(text.stat().st_mtime, tokenizer.stat().st_mtime):
        rows = encode(text, Tokenizer.from_file(str(tokenizer)))
        write_then_rename(cache, lambda file: np.save(file, rows))
    return np.load(cache)


def encode(text, tokenizer, chunk=20_000):
    docs = [json.loads(line)["text"] for line in text.read_text(encoding="utf-8").split("\n") if line]
    rows = np.full((len(docs), T), PAD, np.uint16)
    rows[:, 0] = BOS
    for start in range(0, len(docs), chunk):
        encoded = tokenizer.encode_batch_fast(docs[start : start + chunk], add_special_tokens=False)
        for row, doc in enumerate(encoded, start):
            if len(doc.ids) >= T:
                raise SystemExit(f"{text}: document {row} has {len(doc.ids)} tokens, expected at most {T - 1}")
            rows[row, 1 : 1 + len(doc.ids)] = doc.ids
    print(f"{text}: {len(rows):,} documents, {(rows != PAD).mean():.1%} filled, {(rows == UNK).sum():,} unknown words")
    return rows


@lru_cache(1)
def epoch_order(docs, seed, epoch):
    return np.random.default_rng((seed, epoch)).permutation(docs)


def batch_at(rows, step, size, seed):
    """Inputs and labels [size, T] of a step: a function of (seed, step) alone, so that a resumed run needs no more."""
    epoch, place = divmod(step, len(rows) // size)
    order = epoch_order(len(rows), seed, epoch)[place * size : (place + 1) * size]
    ids = torch.from_numpy(rows[order].astype(np.int64))
    labels = torch.full_like(ids, -100)
    labels[:, :-1] = ids[:, 1:].masked_fill(ids[:, 1:] == PAD, -100)
    return ids, labels


def new_model(args, vocabulary):
    torch.manual_seed(args.seed)
    layers, d_model, ffn, heads = args.shape
    config = Gemma2Config(
        vocab_size=vocabulary, hidden_size=d_model, intermediate_size=ffn, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=heads // 2, head_dim=d_model // heads,
        query_pre_attn_scalar=d_model // heads, attn_logit_softcapping=50.0, final_logit_softcapping=30.0,
        layer_types=["full_attention" if i % 2 else "sliding_attention" for i in range(layers)],
        sliding_window=WINDOW, max_position_embeddings=T, pad_token_id=PAD, bos_token_id=BOS, eos_token_id=EOS,
        tie_word_embeddings=True, initializer_range=d_model**-0.5, attn_implementation="eager",
    )
    model = Gemma2ForCausalLM(config)
    for matrix in matrices(model):
        torch.nn.init.normal_(matrix, std=matrix.shape[1] ** -0.5)
    return model


def matrices(model):
    """The 2-D weights of the layers, which Muon trains; AdamW has the rest (embedding and norms)."""
    return [p for p in model.model.layers.parameters() if p.ndim == 2]


def loss_function(model, device):
    """Mean cross-entropy, nats per token, compiled for one fixed shape [B, T].

    The masks [1, 1, T, T] are additive, by kind of layer. Rows end in padding, so that causality alone hides it.
    """
    back = torch.arange(T, device=device)[:, None] - torch.arange(T, device=device)
    hidden = {"full_attention": back < 0, "sliding_attention": (back < 0) | (back >= WINDOW)}
    masks = {kind: torch.zeros(1, 1, T, T, device=device).masked_fill(mask, -1e9) for kind, mask in hidden.items()}

    def loss(ids, labels):
        logits = model(input_ids=ids, attention_mask=masks, use_cache=False).logits
        return cross_entropy(logits.flatten(0, 1), labels.flatten())

    return torch.compile(loss, dynamic=False)


class Muon(torch.optim.Optimizer):
    """Muon (Jordan 2024): Nesterov momentum, then the nearest orthogonal matrix. Not torch's: that iterates in bf16,
    slow on a CPU without bf16 arithmetic, and one by one; here matrices of one shape are one stack [n, rows, cols]."""

    def __init__(self, params, lr, momentum=0.95, weight_decay=0.1):
        shapes = {}
        for p in params:
            shapes.setdefault(p.shape, []).append(p)
        super().__init__([{"params": stack} for stack in shapes.values()], dict(lr=lr, mu=momentum, decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            params, lr, mu = group["params"], group["lr"], group["mu"]
            grads = torch.stack([p.grad for p in params])
            state = self.state[params[0]]
            if not state:
                state["momentum"] = torch.zeros_like(grads)
            state["momentum"].lerp_(grads, 1 - mu)
            update = orthogonal(grads.lerp(state["momentum"], mu))
            torch._foreach_mul_(params, 1 - lr * group["decay"])
            torch._foreach_add_(params, update.unbind(), alpha=-RMS * max(params[0].shape) ** 0.5 * lr)


def orthogonal(x, steps=5, a=3.4445, b=-4.7750, c=2.0315):
    """Newton–Schulz: singular values of each matrix of x [n, rows, cols] go to about 1.

    Each step multiplies x by p = a + b g + c g², a polynomial in its Gram matrix g = x xᵀ. All p commute with g, so the
    iteration runs on g alone, in the shorter dimension, and their product q meets x once.
    """
    if x.shape[1] > x.shape[2]:
        return orthogonal(x.mT, steps, a, b, c).mT
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    g = x @ x.mT
    q = torch.eye(g.shape[1], device=g.device).expand_as(g)
    for _ in range(steps):
        p = torch.baddbmm(g, g, g, beta=b, alpha=c)  # less its term a
        q = torch.baddbmm(q, p, q, beta=a)
        g = torch.baddbmm(g, p, g, beta=a)
        g = torch.baddbmm(g, g, p, beta=a)
    return q @ x


def optimizers(model, args):
    rest = [p for p in model.parameters() if p.ndim == 1] + [model.model.embed_tokens.weight]
    adam = torch.optim.AdamW(rest, lr=args.lr, betas=(0.9, 0.95), weight_decay=0.0, fused=True)
    return [Muon(matrices(model), lr=args.lr), adam]


class Run:
    """A training run: everything that the checkpoint holds, and where the learning rate stands."""

    def __init__(self, args, model):
        self.args, self.model, self.optimizers = args, model, optimizers(model, args)
        self.step, self.tokens, self.seconds = 0, 0, 0.0
        self.finish_from = None  # tokens seen when the early finish was asked for
        self.path = args.out / "checkpoint.pt"

    def cooldown(self):
        """Share of the final decay that is done: 0 until it starts, 1 when the run is over."""
        args = self.args
        spent = max(self.tokens / args.tokens, self.step / args.steps, self.seconds / 60 / args.minutes)
        planned = 1 - (1 - spent) / args.decay
        asked = 0.0 if self.finish_from is None else (self.tokens - self.finish_from) / args.decay_tokens
        return min(1.0, max(0.0, planned, asked))

    def update(self, loss):
        lr = self.args.lr * min(1.0, (self.step + 1) / self.args.warmup) * (1 - self.cooldown())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = lr
            optimizer.step()
            optimizer.zero_grad()
        return lr

    def save(self):
        progress = {key: getattr(self, key) for key in ("step", "tokens", "seconds", "finish_from")}
        state = {"model": self.model.state_dict(), "optimizers": [o.state_dict() for o in self.optimizers], **progress}
        write_then_rename(self.path, lambda file: torch.save(state, file))

    def resume(self):
        if not self.path.exists():
            return
        state = torch.load(self.path, map_location=self.model.device)
        self.model.load_state_dict(state.pop("model"))
        for optimizer, saved in zip(self.optimizers, state.pop("optimizers")):
            optimizer.load_state_dict(saved)
        vars(self).update(state)
        print(f"resumed at step {self.step:,}, {self.tokens:,} tokens")


def train(run, rows, device):
    """Steps until the decay is done (True) or a signal asks to stop (False)."""
    args, stop = run.args, []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.append(True))
    loss_of = loss_function(run.model, device)
    losses, logged, saved, tick = [], (run.tokens, run.seconds), run.seconds, time.monotonic()
    while run.cooldown() < 1 and not stop:
        if run.finish_from is None and (args.decay_now or (args.out / "finish").exists()):
            run.finish_from = run.tokens
        ids, labels = batch_at(rows, run.step, args.batch, args.seed)
        loss = loss_of(ids.to(device), labels.to(device))
        lr = run.update(loss)
        losses.append(loss.detach())
        run.step += 1
        run.tokens += int((labels >= 0).sum())
        run.seconds, tick = run.seconds + time.monotonic() - tick, time.monotonic()
        if run.step % args.log == 0:
            rate = (run.tokens - logged[0]) / (run.seconds - logged[1])
            log(run, torch.stack(losses).mean().item(), lr, rate)
            losses, logged = [], (run.tokens, run.seconds)
        if run.seconds - saved > 60 * args.save_minutes:
            run.save()
            saved = run.seconds
    return not stop


def log(run, loss, lr, rate):
    line = dict(step=run.step, tokens=run.tokens, loss=round(loss, 4), lr=lr, tokens_per_second=round(rate))
    with open(run.args.out / "metrics.jsonl", "a", encoding="utf-8") as metrics:
        metrics.write(json.dumps(line) + "\n")
    print(
        f"step {run.step:6,}  {run.tokens / 1e6:6.2f} M tokens  loss {loss:.4f}  lr {lr:.1e}  {rate:6,.0f} tokens/s"
        f"  {run.seconds / 60:5.1f} min  decay {run.cooldown():.0%}", flush=True
    )


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--text", type=Path, nargs="+", required=True, help='JSON lines {"text": ...}; several files are mixed')
    add("--tokenizer", type=Path, required=True, help="tokenizer.json of `lapidary world vocab`")
    add("--out", type=Path, required=True, help="folder of the model, the checkpoint and metrics.jsonl")
    add("--init", type=Path, help="start from the weights in this folder (fine-tuning)")
    add("--tokens", type=float, default=math.inf, help="budget of predicted tokens, decay included")
    add("--steps", type=float, default=math.inf, help="the same budget in steps")
    add("--minutes", type=float, default=math.inf, help="budget of wall time over all resumed parts, decay included")
    add("--decay", type=float, default=0.3, help="share of the budget given to the final decay")
    add("--decay-now", action="store_true", help="start the final decay at once; so does a file OUT/finish")
    add("--decay-tokens", type=float, default=4e6, help="length of a decay started that way")
    add("--lr", type=float, default=4e-3)
    add("--warmup", type=int, default=100, help="steps")
    add("--batch", type=int, default=32, help="rows of 128 positions")
    add("--seed", type=int, default=0)
    add("--threads", type=int, default=torch.get_num_threads())
    add("--log", type=int, default=50, help="steps between two lines")
    add("--save-minutes", type=float, default=5)
    shape = ("LAYERS", "D_MODEL", "FFN", "HEADS")
    add("--shape", type=int, nargs=4, default=SHAPE, metavar=shape, help="half as many heads for keys and values")
    return parser.parse_args()


def main():
    args = arguments()
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    torch.set_float32_matmul_precision("high")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    args.out.mkdir(parents=True, exist_ok=True)
    rows = np.concatenate([load_rows(text, args.tokenizer) for text in args.text])
    if args.init:
        model = Gemma2ForCausalLM.from_pretrained(args.init, dtype=torch.float32, attn_implementation="eager")
    else:
        model = new_model(args, Tokenizer.from_file(str(args.tokenizer)).get_vocab_size())
    run = Run(args, model.to(device))
    run.resume()
    print(f"{model.num_parameters():,} parameters, {len(rows):,} rows, {device}, {args.threads} threads", flush=True)
    done = train(run, rows, device)
    run.save()
    if done:
        model.to(torch.bfloat16).save_pretrained(args.out)
        (args.out / "tokenizer.json").write_bytes(args.tokenizer.read_bytes())
    print(f"{'finished' if done else 'stopped; the same command continues'} at {run.tokens:,} tokens")


if __name__ == "__main__":
    main()
