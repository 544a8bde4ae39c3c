"""The scores of many dictionaries of one Llama: `lapidary evaluate` beside SAELens' `run_evals` and SAEBench's core evaluation.

The peers run in this process, as their packages publish them: a `HookedTransformer` with the checkpoint's weights, an
`ActivationsStore` over windows of the same text, every metric they offer (reconstruction, KL, sparsity, variance, densities) on
every window. Their clock starts when model, dictionary and tokens are in memory; ours counts the whole command, the opening of
model and text and its pages included, and its numbers come with intervals. The peers get as many windows as make the tokens that
ours scored. They know no input of the output product ("att") when heads are grouped; the dictionaries of `--peer-sites` are
evaluated by both, and ours alone evaluates the others.

Needs requirements.txt, and sae-bench==0.6.0 for `--peers sae_bench`.
    python evaluate.py MODEL TEXT RUN --lapidary target/release/lapidary --max-windows 60
"""

import argparse
import importlib
import json
import logging
import statistics
import subprocess
import time
from pathlib import Path

import torch
from datasets import Dataset
from sae_lens import SAE
from sae_lens.training.activations_store import ActivationsStore
from transformer_lens import HookedTransformer, HookedTransformerConfig
from transformer_lens.pretrained.weight_conversions.llama import convert_llama_weights
from transformers import AutoModelForCausalLM, AutoTokenizer

PROMPTS = 16  # windows in a batch of the peers: the default of both is 16 or less


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a Hugging Face folder of a Llama")
    parser.add_argument("text", type=Path)
    parser.add_argument("run", type=Path, help="folder of a run: each dictionary in a folder of its own")
    parser.add_argument("--lapidary", required=True)
    parser.add_argument("--release", type=Path, required=True, help="the same run's release, which SAELens loads")
    parser.add_argument("--peers", nargs="*", default=["sae_lens", "sae_bench"], choices=["sae_lens", "sae_bench"])
    parser.add_argument("--peer-sites", nargs="*", default=["res", "mlp"], help="kinds of sites that the peers evaluate")
    parser.add_argument("--most", type=int, default=3, help="dictionaries that each peer evaluates in a round")
    parser.add_argument("--max-windows", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def hooked(folder):
    """The checkpoint in the class that both peers evaluate with."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    c = model.config
    groups = c.num_key_value_heads if c.num_key_value_heads != c.num_attention_heads else None
    head = c.hidden_size // c.num_attention_heads
    config = HookedTransformerConfig(
        d_model=c.hidden_size, d_head=head, n_heads=c.num_attention_heads, d_mlp=c.intermediate_size, n_layers=c.num_hidden_layers,
        n_ctx=c.max_position_embeddings, eps=c.rms_norm_eps, d_vocab=c.vocab_size, act_fn="silu", n_key_value_heads=groups,
        normalization_type="RMS", positional_embedding_type="rotary", rotary_adjacent_pairs=False, rotary_dim=head,
        rotary_base=int(c.rope_parameters["rope_theta"]), final_rms=True, gated_mlp=True, dtype=torch.float32, device="cpu",
    )
    new = HookedTransformer(config, AutoTokenizer.from_pretrained(folder))
    new.load_state_dict(convert_llama_weights(model, config), strict=False)
    return new.eval()


def ours(args, dictionaries):
    """(seconds of the whole command, its evaluation)"""
    command = [args.lapidary, "evaluate", *map(str, dictionaries), "--model", args.model, "--text", args.text, "--quiet", "--json",
               "--metrics", "core", "--max-windows", str(args.max_windows)]
    began = time.perf_counter()
    out = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout
    return time.perf_counter() - began, json.loads(out)


def theirs(peer, sae, model, windows, context):
    """Seconds of everything that the peer offers on all windows, and the L0 that it found."""
    store = ActivationsStore.from_sae(
        model, sae, Dataset.from_dict({"tokens": windows}), context_size=context, streaming=False, store_batch_size_prompts=PROMPTS,
        n_batches_in_buffer=2, device="cpu",
    )
    batches = len(windows) // PROMPTS
    began = time.perf_counter()
    if peer == "sae_lens":
        code = importlib.import_module("sae_lens.evals")
        from sae_lens.training.activation_scaler import ActivationScaler
        config = code.get_eval_everything_config(PROMPTS, batches, batches)
        metrics, _ = code.run_evals(sae, store, model, ActivationScaler(), config)
    else:
        code = importlib.import_module("sae_bench.evals.core.main")
        flags = [name for name in code.CoreEvalConfig.__dataclass_fields__ if name.startswith("compute_")]
        config = code.CoreEvalConfig(
            batch_size_prompts=PROMPTS, n_eval_reconstruction_batches=batches, n_eval_sparsity_variance_batches=batches,
            context_size=context, **dict.fromkeys(flags, True),
        )
        # Its code looks for these where SAELens 6 no longer has them.
        sae.cfg.hook_name, sae.cfg.hook_head_index = sae.cfg.metadata.hook_name, None
        sae.cfg.hook_layer = int(sae.cfg.metadata.hook_name.split(".")[1])
        sae.cfg.architecture_str = sae.cfg.architecture()
        metrics, _ = code.run_evals(sae, store, model, config)
    return time.perf_counter() - began, metrics["sparsity"]["l0"]


def main():
    args = arguments()
    logging.disable(logging.WARNING)
    torch.set_num_threads(2)
    torch.set_grad_enabled(False)
    found = sorted(p.parent for p in args.release.glob("*/cfg.json"))
    shared = [p for p in found if p.name.split("-")[0].split(".")[1] in args.peer_sites][: args.most]
    seconds, evaluation = ours(args, found)
    rows = evaluation["scores"][0]["rows"]
    context = evaluation["text"]["context"]
    print(f"lapidary evaluate: {len(found)} dictionaries on {rows:,} rows in {seconds:.1f} s")
    model = hooked(args.model)
    ids = model.tokenizer(args.text.read_text(), return_tensors="pt").input_ids[0]
    count = max(1, round(rows / context / PROMPTS)) * PROMPTS
    windows = ids[: count * context].reshape(count, context).tolist()
    ratios = {peer: [] for peer in args.peers}
    for _ in range(args.rounds):
        here, _ = ours(args, shared)
        line = f"{len(shared)} dictionaries: ours {here:.1f} s ({rows:,} rows)"
        for peer in args.peers:
            took = [theirs(peer, SAE.load_from_disk(str(path)), model, windows, context) for path in shared]
            spent = sum(t for t, _ in took) * rows / (count * context)
            ratios[peer].append(spent / here)
            line += f"; {peer} {spent:.1f} s, L0 {', '.join(f'{l0:.1f}' for _, l0 in took)}: {spent / here:.1f} x"
        print(line, flush=True)
    for peer, r in ratios.items():
        print(f"{peer}: {statistics.median(r):.1f} times ours' time ({min(r):.1f}-{max(r):.1f})")


if __name__ == "__main__":
    main()
