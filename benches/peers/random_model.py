"""Makes a model of Gemma-2-2B's shape with random weights, in bf16: what speed and memory are measured on where the real
weights cannot be had. 26 layers, D 2,304, V 256,000, 5.2 GB on disk.

    python random_model.py OUT [--layers 26]
"""

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file

D, HEADS, KV_HEADS, D_HEAD, D_MLP, VOCAB = 2304, 8, 4, 256, 9216, 256_000


def config(layers):
    return {
        "architectures": ["Gemma2ForCausalLM"], "model_type": "gemma2", "torch_dtype": "bfloat16",
        "hidden_size": D, "num_hidden_layers": layers, "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS,
        "head_dim": D_HEAD, "intermediate_size": D_MLP, "vocab_size": VOCAB, "max_position_embeddings": 8192,
        "hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh", "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0, "attention_bias": False, "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0,
        "query_pre_attn_scalar": 256, "sliding_window": 4096, "tie_word_embeddings": True,
        "bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0,
    }  # fmt: skip


def shapes(layer):
    name = f"model.layers.{layer}."
    norms = ["input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm"]
    return {
        **{f"{name}{norm}.weight": (D,) for norm in norms},
        f"{name}self_attn.q_proj.weight": (HEADS * D_HEAD, D),
        f"{name}self_attn.k_proj.weight": (KV_HEADS * D_HEAD, D),
        f"{name}self_attn.v_proj.weight": (KV_HEADS * D_HEAD, D),
        f"{name}self_attn.o_proj.weight": (D, HEADS * D_HEAD),
        f"{name}mlp.gate_proj.weight": (D_MLP, D),
        f"{name}mlp.up_proj.weight": (D_MLP, D),
        f"{name}mlp.down_proj.weight": (D, D_MLP),
    }


def drawn(shape, generator):
    """Norms of gain 1 (stored as 0), matrices that keep the size of what they multiply."""
    if len(shape) == 1:
        return torch.zeros(shape, dtype=torch.bfloat16)
    return (torch.randn(shape, generator=generator) / shape[1] ** 0.5).to(torch.bfloat16)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--layers", type=int, default=26)
    args = parser.parse_args()
    args.out.mkdir(parents=True)
    generator = torch.Generator().manual_seed(0)
    parts = [{"model.embed_tokens.weight": (VOCAB, D), "model.norm.weight": (D,)}]
    parts += [shapes(layer) for layer in range(args.layers)]
    index, size = {}, 0
    for i, part in enumerate(parts):
        file = f"model-{i + 1:05}-of-{len(parts):05}.safetensors"
        tensors = {name: drawn(shape, generator) for name, shape in part.items()}
        save_file(tensors, args.out / file, metadata={"format": "pt"})
        index.update({name: file for name in part})
        size += sum(t.numel() * 2 for t in tensors.values())
    (args.out / "config.json").write_text(json.dumps(config(args.layers), indent=1))
    (args.out / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": size}, "weight_map": index}))  # fmt: skip


if __name__ == "__main__":
    main()
