"""Speed of a dense encoder in torch, f32, on the rows, weights and thresholds of `lapidary bench encode --out FILE`.

z = x @ W + b in one call, then everything at or below its threshold becomes 0, in place: the cheapest way to write what
the peers' `encode` does, without their further temporaries. The weights lie as the peers keep them, W [D, F].

    python encode.py --from FILE --steps 5
"""

import argparse
import os

import torch

from measure import measure, peak_bytes, read, report


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="source", required=True, help="file written by `lapidary bench encode --out`")
    parser.add_argument("--steps", type=int, default=5, help="measured repetitions, after one that is not")
    parser.add_argument("--batch", type=int, help="use the first rows only")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def main():
    args = arguments()
    torch.set_num_threads(args.threads)
    tensors = read(args.source, args.batch)
    x, w, theta, b = tensors["x"], tensors["w"].T.contiguous(), tensors["theta"], tensors["b_enc"]
    tensors["w"] = tensors["w"][:, :0].clone()
    seen = {}

    def step():
        z = torch.addmm(b, x, w)
        z.mul_(z > theta)
        seen["features"] = z

    with torch.inference_mode():
        first, seconds = measure(step, args.steps)
        peak = peak_bytes()
        l0 = (seen["features"] != 0).sum(1).double().mean().item()
    report("torch", tensors, l0, first, seconds, peak, args.json)


if __name__ == "__main__":
    main()
