"""Prefill and decoding of a language model, beside transformers in f32 and bf16: rounds of every side one after the other, medians and
ratios of the same round. Both sides prefill without logits; attention by SDPA, transformers' default. With --gguf, llama.cpp (the package
llama-cpp-python) on that file too, and ours on the same file; its blocks are then 4 bits a weight there, and widened to f32 here.

Usage: lm.py MODEL --lapidary BINARY [--prefill 4x512] [--decode 32] [--rounds 5] [--gguf FILE] [--only-bf16]
"""

import argparse
import json
import os
import statistics
import subprocess
import time

import torch
from transformers import AutoModelForCausalLM

PROMPT = 16


def ours(args, precision, model=None, **more):
    flags = ["--precision", precision, "--prefill", args.prefill, "--decode", str(args.decode), "--rounds", "1"]
    environment = {**os.environ, **more}
    out = subprocess.run(
        [args.lapidary, "bench", "lm", "--model", model or args.model, *flags, "--json"], check=True, capture_output=True, env=environment
    ).stdout
    report = json.loads(out)
    return report["prefill_tokens_per_s"], report["decode_tokens_per_s"]


def theirs(args, model):
    b, t = map(int, args.prefill.split("x"))
    ids = (torch.arange(b * t) * 7919 % model.config.vocab_size).view(b, t)
    with torch.no_grad():
        model.model(ids, use_cache=False)
        began = time.perf_counter()
        model.model(ids, use_cache=False)
        prefill = time.perf_counter() - began
        out = model(ids[:1, :PROMPT], use_cache=True)
        began = time.perf_counter()
        for _ in range(args.decode):
            token = out.logits[:, -1:].argmax(-1)
            out = model(token, past_key_values=out.past_key_values, use_cache=True)
        return b * t / prefill, args.decode / (time.perf_counter() - began)


def llama(args):
    """llama.cpp reads the file anew for each round, as ours does."""
    from llama_cpp import Llama

    b, t = map(int, args.prefill.split("x"))
    threads = os.cpu_count()
    model = Llama(args.gguf, n_ctx=t + PROMPT + args.decode, n_batch=t, n_threads=threads, n_threads_batch=threads, verbose=False)
    ids = [[(s * t + i) * 7919 % model.n_vocab() for i in range(t)] for s in range(b)]

    def prefill():
        for sequence in ids:
            model.reset()
            model.eval(sequence)

    prefill()
    began = time.perf_counter()
    prefill()
    taken = time.perf_counter() - began
    model.reset()
    model.eval(ids[0][:PROMPT])
    began = time.perf_counter()
    for _ in range(args.decode):
        model.eval([model.sample(temp=0.0)])
    return b * t / taken, args.decode / (time.perf_counter() - began)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--lapidary", required=True)
    parser.add_argument("--prefill", default="4x512")
    parser.add_argument("--decode", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--gguf")
    parser.add_argument("--only-bf16", action="store_true", help="of both sides, where f32 is too large or too slow")
    args = parser.parse_args()
    torch.set_num_threads(os.cpu_count())
    load = lambda dtype: AutoModelForCausalLM.from_pretrained(args.model, dtype=dtype).eval()
    kinds = {"bf16": torch.bfloat16} if args.only_bf16 else {"f32": torch.float32, "bf16": torch.bfloat16}
    models = {f"transformers {kind}": load(dtype) for kind, dtype in kinds.items()}
    sides = {"ours bf16": lambda: ours(args, "bf16")}
    if not args.only_bf16:
        sides |= {"ours f32": lambda: ours(args, "f32"), "ours f32, AVX2": lambda: ours(args, "f32", LAPIDARY_ISA="avx2")}
    sides |= {name: lambda model=model: theirs(args, model) for name, model in models.items()}
    if args.gguf:
        sides |= {"ours f32, GGUF": lambda: ours(args, "f32", args.gguf), "llama.cpp": lambda: llama(args)}
    peers = [*models] + ["llama.cpp"] * bool(args.gguf)
    rates = {name: [] for name in sides}
    for _ in range(args.rounds):
        for name, side in sides.items():
            rates[name].append(side())
    for i, what in enumerate(["prefill", "decode"]):
        for name, all_rounds in rates.items():
            rounds = [r[i] for r in all_rounds]
            ratios = {
                peer: statistics.median(mine[i] / other[i] for mine, other in zip(all_rounds, rates[peer])) for peer in peers
            }
            shown = ", ".join(f"{ratio:.2f}x {peer}" for peer, ratio in ratios.items() if peer != name)
            print(f"{what:8} {name:18} {statistics.median(rounds):8.1f} tokens/s ({min(rounds):.0f}-{max(rounds):.0f})  {shown}")


if __name__ == "__main__":
    main()
