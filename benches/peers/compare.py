"""Puts a peer beside us at equal sparsity: our curve of scores over L0, read at the peer's L0s.

Both sides come from `lapidary evaluate … --json`, so data, splice and metric are the same. Our curve is interpolated
linearly in log L0 between the two nearest of our dictionaries (at least three λs), which errs against us where the curve
is convex. Beyond the ends nothing is claimed: such a row says so. Lower is better for both metrics.

    python compare.py --ours ours.json --peer peer-*.json
"""

import argparse
import json
import math
from pathlib import Path

METRICS = {"fvu": "FVU", "delta_loss": "Δloss (nats/token)"}


def found_scores(value):
    """Every dictionary's scores in a JSON value, however it is wrapped."""
    if isinstance(value, dict) and all(isinstance(value.get(key), dict) for key in ("l0", *METRICS)):
        return [value]
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [scores for child in children for scores in found_scores(child)]


def read(paths, site):
    """The scores at `site`, sparsest first."""
    scores = [s for path in paths for s in found_scores(json.loads(path.read_text())) if s["site"] == site]
    assert scores, f"no scores for site {site} in {', '.join(map(str, paths))}"
    return sorted(scores, key=lambda s: s["l0"]["value"])


def interpolate(curve, l0, metric):
    """Our `metric` at `l0`, or None outside of the curve."""
    for a, b in zip(curve, curve[1:]):
        low, high = a["l0"]["value"], b["l0"]["value"]
        if low <= l0 <= high:
            share = math.log(l0 / low) / math.log(high / low) if high > low else 0.0
            return (1 - share) * a[metric]["value"] + share * b[metric]["value"]
    return None


def row(curve, peer, metric):
    l0, value, interval = peer["l0"]["value"], peer[metric]["value"], peer[metric]["interval"]
    spread = f"{interval['low']:.4f}–{interval['high']:.4f}" if "low" in interval else "–"
    ours = interpolate(curve, l0, metric)
    if ours is None:
        return f"| {l0:.1f} | {METRICS[metric]} | outside our curve | {value:.4f} | {spread} | – |"
    verdict = "ours" if ours < value else "peer"
    return f"| {l0:.1f} | {METRICS[metric]} | {ours:.4f} | {value:.4f} | {spread} | {verdict} ({ours / value:.2f}×) |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", nargs="+", type=Path, required=True, help="JSON of `lapidary evaluate`, three λs or more")
    parser.add_argument("--peer", nargs="+", type=Path, required=True, help="JSON of `lapidary evaluate` on the peer's weights")
    parser.add_argument("--site", default="3.res")
    args = parser.parse_args()
    curve, peers = read(args.ours, args.site), read(args.peer, args.site)
    assert len(curve) >= 3, f"a curve needs three dictionaries or more, found {len(curve)}"
    rows = {s["rows"] for s in curve + peers}
    assert len(rows) == 1, f"both sides must be scored on the same rows, found {sorted(rows)}"

    print("Ours: " + ", ".join(f"L0 {s['l0']['value']:.1f} FVU {s['fvu']['value']:.4f}" for s in curve) + "\n")
    print("| L0 (peer's) | metric | ours, interpolated | peer | peer, 95 % | better |")
    print("|---|---|---|---|---|---|")
    for peer in peers:
        for metric in METRICS:
            print(row(curve, peer, metric))


if __name__ == "__main__":
    main()
