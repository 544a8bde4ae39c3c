"""An atlas beside SAEDashboard's feature data: the same model, the same JumpReLU dictionary, the same tokens.

The model is a GPT-2 of random weights (SAEDashboard needs TransformerLens, which knows that architecture offline), the text random
words by Zipf's law, each document exactly one prompt. Ours is `lapidary atlas build`, all of it: pass, effects, neighbours, correlations,
files. Theirs is `SaeVisRunner.run` with its default layout, features 256 at a time, without writing anything. Both run in processes of
their own, whose time and peak memory are measured; ours includes loading. Frequencies of all features must agree.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

CONTEXT, BOS, LAYER = 128, 1, 3


def make(out, args):
    import torch
    from safetensors.torch import save_file
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    out.mkdir(parents=True, exist_ok=True)
    words = ["<pad>", "<s>", "</s>"] + [f"w{i}" for i in range(args.vocab - 3)]
    config = GPT2Config(vocab_size=args.vocab, n_positions=CONTEXT, n_embd=args.d_model, n_layer=args.layers,
                        n_head=args.d_model // 64, bos_token_id=BOS, eos_token_id=2, pad_token_id=0)
    model = GPT2LMHeadModel(config).eval()
    model.save_pretrained(out / "model")
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(out / "model" / "tokenizer.json"))
    odds = 1 / torch.arange(1, args.vocab - 2, dtype=torch.float)
    ids = 3 + torch.multinomial(odds, args.prompts * (CONTEXT - 1), replacement=True)
    ids = ids.view(args.prompts, CONTEXT - 1)
    text = "<|endoftext|>".join(" ".join(words[i] for i in row) for row in ids.tolist())
    (out / "text.txt").write_text(text)
    tokens = torch.cat([torch.full((args.prompts, 1), BOS), ids], 1)
    torch.save(tokens, out / "tokens.pt")

    with torch.no_grad():
        sample = model(tokens[:64], output_hidden_states=True).hidden_states[LAYER + 1][:, 1:].reshape(-1, args.d_model)
        w_dec = torch.nn.functional.normalize(torch.randn(args.width, args.d_model), dim=1)
        mean = sample.mean(0)
        z = (sample - mean) @ w_dec.T
        theta = torch.quantile(z[:4096], 1 - args.l0 / args.width, dim=0).clamp(min=1e-3)
    sae = out / "sae"
    sae.mkdir(exist_ok=True)
    weights = {"W_enc": w_dec.T.contiguous(), "W_dec": w_dec, "b_enc": -(mean @ w_dec.T), "b_dec": mean, "threshold": theta}
    save_file(weights, sae / "sae_weights.safetensors")
    hook = f"blocks.{LAYER}.hook_resid_post"
    cfg = {"architecture": "jumprelu", "d_in": args.d_model, "d_sae": args.width, "dtype": "float32", "device": "cpu",
           "apply_b_dec_to_input": False, "normalize_activations": "none", "reshape_activations": "none",
           "metadata": {"hook_name": hook, "hook_head_index": None, "model_name": "gpt2", "context_size": CONTEXT,
                        "prepend_bos": True, "sae_lens_version": "6.54.12", "sae_lens_training_version": None}}
    (sae / "cfg.json").write_text(json.dumps(cfg))


def peer(out, args):
    import torch
    from sae_dashboard.sae_vis_data import SaeVisConfig
    from sae_dashboard.sae_vis_runner import SaeVisRunner
    from sae_lens import SAE, HookedSAETransformer
    from transformer_lens import HookedTransformerConfig
    from transformer_lens.pretrained.weight_conversions.gpt2 import convert_gpt2_weights
    from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

    torch.set_num_threads(args.threads)
    hf = GPT2LMHeadModel.from_pretrained(out / "model").eval()
    cfg = HookedTransformerConfig(n_layers=args.layers, d_model=args.d_model, n_ctx=CONTEXT, d_head=64,
                                  n_heads=args.d_model // 64, d_mlp=4 * args.d_model, d_vocab=args.vocab,
                                  act_fn="gelu_new", normalization_type="LN", eps=1e-5, device="cpu")
    tokenizer = PreTrainedTokenizerFast.from_pretrained(str(out / "model"), bos_token="<s>",
                                        eos_token="</s>", pad_token="<pad>")
    model = HookedSAETransformer(cfg, tokenizer=tokenizer)
    model.load_state_dict(convert_gpt2_weights(hf, cfg), strict=False)
    sae = SAE.load_from_disk(str(out / "sae"))
    tokens = torch.load(out / "tokens.pt")
    config = SaeVisConfig(hook_point=f"blocks.{LAYER}.hook_resid_post", features=list(range(args.width)),
                          minibatch_size_features=256, minibatch_size_tokens=64, ignore_positions=[0])
    began = time.perf_counter()
    data = SaeVisRunner(config).run(encoder=sae, model=model, tokens=tokens)
    seconds = time.perf_counter() - began
    def density(feature):
        title = data.feature_data_dict[feature].acts_histogram_data.title
        return float(title.split("=")[1].strip().strip("%")) / 100
    print(json.dumps({"seconds": seconds, "densities": [density(f) for f in range(args.width)]}))


def measured(command):
    """Standard output, seconds, and peak GiB of a process."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, command
    return text, time.perf_counter() - began, usage.ru_maxrss / 2**20


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lapidary", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--width", type=int, default=4096)
    parser.add_argument("--prompts", type=int, default=1024)
    parser.add_argument("--d-model", type=int, default=768)
    parser.add_argument("--layers", type=int, default=5)
    parser.add_argument("--vocab", type=int, default=8192)
    parser.add_argument("--l0", type=float, default=40)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", choices=["peer"])
    args = parser.parse_args()
    if args.only == "peer":
        return peer(args.out, args)
    make(args.out, args)
    for number in range(args.rounds):
        atlas = args.out / f"atlas-{number}"
        ours = [args.lapidary, "atlas", "build", str(args.out / "sae"), "--model", str(args.out / "model"), "--text",
                str(args.out / "text.txt"), "--split", "all", "--context", str(CONTEXT), "--out", str(atlas), "--quiet",
                "--threads", str(args.threads)]
        _, our_seconds, our_memory = measured(ours)
        text, whole, their_memory = measured([sys.executable, __file__, *sys.argv[1:], "--only", "peer"])
        theirs = json.loads(text.splitlines()[-1])
        source = json.loads((atlas / "atlas.json").read_text())["suite"]["dictionaries"][0]["source"]
        page = subprocess.run([args.lapidary, "atlas", "query", str(atlas), source, "--limit", "1000", "--json"],
                              capture_output=True, check=True).stdout
        rows = json.loads(page)["features"]
        # Theirs counts BOS among the tokens, with the value 0, and rounds to 1e-5.
        share = (CONTEXT - 1) / CONTEXT
        apart = max(abs(row["density"] * share - theirs["densities"][row["index"]]) for row in rows)
        print(f"F {args.width}, {args.prompts * CONTEXT:,} tokens: ours {our_seconds:.1f} s, {our_memory:.2f} GiB; "
              f"SAEDashboard {theirs['seconds']:.1f} s ({whole:.1f} s with loading), {their_memory:.2f} GiB; "
              f"{theirs['seconds'] / our_seconds:.1f}x; densities apart by at most {apart:.1e}")


if __name__ == "__main__":
    main()
