"""How far a model in bf16 is from transformers in f32, ours and transformers' own, on real text: RMS of the difference over the RMS, for
the stream after every layer (`L.res`) and the logits. Tokens are windows of one text, as the model's tokenizer cuts it.

Usage: precision.py MODEL TEXT --lapidary BINARY [--windows 8] [--tokens 512]
"""

import argparse
import pathlib
import subprocess
import tempfile

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer


def theirs(model, ids):
    streams = {}
    hooks = [
        layer.register_forward_hook(lambda m, a, out, l=l: streams.__setitem__(f"{l}.res", (out[0] if isinstance(out, tuple) else out)))
        for l, layer in enumerate(model.model.layers)
    ]
    with torch.no_grad():
        streams["logits"] = model(torch.tensor([ids]), use_cache=False).logits
    for hook in hooks:
        hook.remove()
    return {name: x.float().flatten(0, -2) for name, x in streams.items()}


def ours(args, ids, precision):
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for verb, more in [("tap", ["--sites", "*.res"]), ("logits", [])]:
            out = pathlib.Path(folder) / f"{verb}.safetensors"
            flags = ["--model", args.model, "--tokens", ",".join(map(str, ids)), "--precision", precision, "--out", str(out), "-q"]
            subprocess.run([args.lapidary, "lm", verb, *flags, *more], check=True, stdout=subprocess.DEVNULL)
            found |= load_file(out)
    return {name: x for name, x in found.items() if name != "tokens"}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("text", type=pathlib.Path)
    parser.add_argument("--lapidary", required=True)
    parser.add_argument("--windows", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=512)
    args = parser.parse_args()
    load = lambda dtype: AutoModelForCausalLM.from_pretrained(args.model, dtype=dtype, attn_implementation="eager").eval()
    f32, bf16 = load(torch.float32), load(torch.bfloat16)
    ids = AutoTokenizer.from_pretrained(args.model)(args.text.read_text()[: args.windows * args.tokens * 8])["input_ids"]
    squares = {}
    for w in range(args.windows):
        window = ids[w * args.tokens : (w + 1) * args.tokens]
        expected = theirs(f32, window)
        sides = {"transformers bf16": theirs(bf16, window), "ours bf16": ours(args, window, "bf16"), "ours f32": ours(args, window, "f32")}
        for name, x in expected.items():
            of = squares.setdefault(name, {"size": 0.0})
            of["size"] += x.double().pow(2).sum().item()
            for side, found in sides.items():
                of[side] = of.get(side, 0.0) + (found[name] - x).double().pow(2).sum().item()
    print("site  transformers bf16  ours bf16  ratio  ours f32")
    for name, of in squares.items():
        rms = {side: (of[side] / of["size"]) ** 0.5 for side in of}
        ratio = rms["ours bf16"] / rms["transformers bf16"]
        print(f"{name:7} {rms['transformers bf16']:.3e} {rms['ours bf16']:.3e} {ratio:.2f} {rms['ours f32']:.1e}")


if __name__ == "__main__":
    main()
