"""An atlas beside SAEDashboard's feature data: the same model, the same JumpReLU dictionary, the same tokens; interleaved.

The model is stories260k, a Llama of 260,000 parameters; the dictionary is one that `lapidary train` and `lapidary release` made of its
3.res, read by both sides from the same SAELens folder. Prompts are pieces of 127 tokens of the model's own stories that the tokenizer
gives back as they are, each a document of its own. Ours is `lapidary atlas build`, all of it: loading, pass, effects, neighbours,
correlations, files. Theirs is `SaeVisRunner.run` with its default layout, 256 features at a time, with whole batches of prompts and
nothing written. Both run in processes of their own, whose wall time and peak memory are measured; theirs is also timed without loading.
Frequencies of all features must agree.

    python dashboards.py --lapidary PROGRAM --model stories260k --text stories260k/samples.txt --out DIR --rounds 3
    … --alone --widths 1024 4096 16384 65536 --prompts 512 1024 2048 4096      # ours: the table
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

CONTEXT, BOS, LAYER = 128, 1, 3
SUITE = """model = "{model}"
text = ["{text}"]
context = 128
sites = "3.res"
widths = [{width}]
target_l0 = [20]
tokens = {rows}
preset = "short"
"""


def prompts(args):
    """[[ids]] of CONTEXT - 1 tokens each, and their texts."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(args.model / "tokenizer.json"))
    encode = lambda text: tokenizer.encode(text, add_special_tokens=False).ids
    seen = {}
    for document in args.text.read_text().split("<|endoftext|>"):
        ids = encode(document.strip())
        for at in range(0, len(ids) - CONTEXT + 2, CONTEXT - 1):
            piece = ids[at:at + CONTEXT - 1]
            text = tokenizer.decode(piece).strip()
            if encode(text) == piece:
                seen.setdefault(text, piece)
    return seen


def text_of(args, known, count):
    """The file with the first `count` prompts."""
    assert count <= len(known), f"{len(known)} prompts"
    path = args.out / f"text-{count}.txt"
    path.write_text("\n<|endoftext|>\n".join(list(known)[:count]))
    return path


def dictionary(args, width):
    """The SAELens folder of a dictionary of this width, made once."""
    run, release = args.out / f"run-{width}", args.out / f"release-{width}"
    if not release.exists():
        suite = args.out / f"suite-{width}.toml"
        suite.write_text(SUITE.format(model=args.model.resolve(), text=args.text.resolve(), width=width, rows=args.rows))
        for verb in (["train", suite, "--out", run, "--overwrite"], ["evaluate", run, "--max-windows", "20"],
                     ["release", run, "--out", release]):
            subprocess.run([args.lapidary, *map(str, verb), "--quiet"], check=True, stdout=subprocess.DEVNULL)
    return next(path.parent for path in release.glob("*/cfg.json"))


def peer(args, width, count):
    import torch
    from sae_dashboard.sae_vis_data import SaeVisConfig
    from sae_dashboard.sae_vis_runner import SaeVisRunner
    from sae_lens import SAE, HookedSAETransformer
    from transformer_lens import HookedTransformerConfig
    from transformer_lens.pretrained.weight_conversions.llama import convert_llama_weights
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

    torch.set_num_threads(args.threads)
    hf = LlamaForCausalLM.from_pretrained(args.model).eval()
    c = hf.config
    d_head = c.hidden_size // c.num_attention_heads
    cfg = HookedTransformerConfig(n_layers=c.num_hidden_layers, d_model=c.hidden_size, n_ctx=CONTEXT, d_head=d_head,
                                  n_heads=c.num_attention_heads, n_key_value_heads=c.num_key_value_heads,
                                  d_mlp=c.intermediate_size, d_vocab=c.vocab_size, act_fn="silu", normalization_type="RMS",
                                  positional_embedding_type="rotary", rotary_adjacent_pairs=False, rotary_dim=d_head,
                                  rotary_base=10000, final_rms=True, gated_mlp=True, eps=c.rms_norm_eps,
                                  original_architecture="LlamaForCausalLM", device="cpu")
    tokenizer = PreTrainedTokenizerFast.from_pretrained(str(args.model), bos_token="<s>", eos_token="</s>", pad_token="</s>")
    model = HookedSAETransformer(cfg, tokenizer=tokenizer)
    model.load_state_dict(convert_llama_weights(hf, cfg), strict=False)
    sae = SAE.load_from_disk(str(dictionary(args, width)), device="cpu")
    ids = list(prompts(args).values())[:count]
    tokens = torch.tensor([[BOS, *piece] for piece in ids])
    with torch.no_grad():
        ours, theirs = model(tokens[:4]), hf(tokens[:4]).logits
        assert (torch.log_softmax(ours, -1) - torch.log_softmax(theirs, -1)).abs().max() < 1e-3, "another model"
    config = SaeVisConfig(hook_point=f"blocks.{LAYER}.hook_resid_post", features=list(range(width)),
                          minibatch_size_features=256, minibatch_size_tokens=64, ignore_positions=[0])
    began = time.perf_counter()
    data = SaeVisRunner(config).run(encoder=sae, model=model, tokens=tokens)
    seconds = time.perf_counter() - began

    def density(feature):
        title = data.feature_data_dict[feature].acts_histogram_data.title
        if title is None:
            return 0.0  # it never fires
        return float(title.split("=")[1].strip().strip("%")) / 100
    print(json.dumps({"seconds": seconds, "densities": [density(f) for f in range(width)]}))


def measured(command):
    """Standard output, seconds of wall time and of processor, and peak GiB of a process."""
    began = time.perf_counter()
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE)
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, command
    return text, time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20


def build(args, width, count, known, atlas):
    """Seconds of wall time and of processor, and peak GiB of `lapidary atlas build`."""
    command = [args.lapidary, "atlas", "build", dictionary(args, width), "--model", args.model, "--text",
               text_of(args, known, count), "--split", "all", "--context", CONTEXT, "--out", atlas, "--overwrite", "--quiet",
               "--threads", args.threads]
    return measured(command)[1:]


def beside(args, known):
    for width in args.widths:
        for count in args.prompts:
            dictionary(args, width)
            for number in range(args.rounds):
                one_round(args, known, width, count, number)


def one_round(args, known, width, count, number):
    atlas = args.out / "atlas"
    ours, ours_cpu, ours_gib = build(args, width, count, known, atlas)
    command = [sys.executable, __file__, *sys.argv[1:], "--only", str(width), str(count)]
    text, whole, theirs_cpu, theirs_gib = measured(command)
    theirs = json.loads(text.splitlines()[-1])
    source = json.loads((atlas / "atlas.json").read_text())["suite"]["dictionaries"][0]["source"]
    page = subprocess.run([args.lapidary, "atlas", "query", str(atlas), source, "--limit", "1000", "--json"],
                          capture_output=True, check=True).stdout
    # Theirs counts BOS among the tokens, with the value 0, and rounds to 1e-5.
    share = (CONTEXT - 1) / CONTEXT
    apart = max(abs(row["density"] * share - theirs["densities"][row["index"]]) for row in json.loads(page)["features"])
    print(f"F {width:,}, {count * CONTEXT:,} tokens, round {number + 1}: ours {ours:.2f} s ({ours_cpu:.2f} s of processor), "
          f"{ours_gib:.3f} GiB; SAEDashboard {theirs['seconds']:.1f} s, {whole:.1f} s with loading ({theirs_cpu:.1f} s of processor), "
          f"{theirs_gib:.2f} GiB; {theirs['seconds'] / ours:.1f}x; densities apart by at most {apart:.1e}", flush=True)


def alone(args, known):
    """The table of ours: seconds and GiB over F and tokens."""
    print("F | " + " | ".join(f"{count * CONTEXT:,} tokens" for count in args.prompts))
    for width in args.widths:
        cells = []
        for count in args.prompts:
            runs = [build(args, width, count, known, args.out / "atlas") for _ in range(args.rounds)]
            best = min(runs)
            cells.append(f"{best[0]:.2f} s ({best[1]:.2f}), {best[2]:.3f} GiB")
        print(f"{width:,} | " + " | ".join(cells), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lapidary", required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--widths", type=int, nargs="+", default=[1024])
    parser.add_argument("--prompts", type=int, nargs="+", default=[512])
    parser.add_argument("--rows", type=int, default=100_000, help="that a dictionary is trained on")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--only", type=int, nargs=2, help="theirs in this process: width, prompts")
    args = parser.parse_args()
    if args.only:
        return peer(args, *args.only)
    args.out.mkdir(parents=True, exist_ok=True)
    known = prompts(args)
    (alone if args.alone else beside)(args, known)


if __name__ == "__main__":
    main()
