"""Puts peers beside us at equal sparsity: our curve of scores over L0, read at the peer's L0s, seed by seed.

Reads the folders that quality.py filled, `OUT/SITE/NAME-SPARSITY-seedN/scores.json`, all written by `lapidary evaluate`, so
data, splice and metric are the same for all sides. Our curve of one seed is interpolated linearly in log L0 between the two
nearest of our dictionaries, which errs against us where the curve is convex, and put beside the peer's dictionary of the
same seed; beyond the ends of the curve nothing is claimed. Printed are means over the seeds, with their range. Lower is
better for FVU and Δloss.

    python compare.py --runs runs/quality --peers dl-decay sl-batchtopk
    python compare.py --runs runs/quality --variants          # every setting that was tried with seed 0
"""

import argparse
import json
import math
import re
from pathlib import Path

METRICS = {"fvu": "FVU", "delta_loss": "Δloss"}


def found_scores(value):
    """Every dictionary's scores in a JSON value, however it is wrapped."""
    if isinstance(value, dict) and all(isinstance(value.get(key), dict) for key in ("l0", *METRICS)):
        return [value]
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [scores for child in children for scores in found_scores(child)]


def read(folder):
    """The scores in a run's folder, sparsest first."""
    scores = found_scores(json.loads((folder / "scores.json").read_text()))
    return sorted(scores, key=lambda s: s["l0"]["value"])


def interpolate(curve, l0, metric):
    """Our `metric` at `l0`, or None outside of the curve."""
    for a, b in zip(curve, curve[1:]):
        low, high = a["l0"]["value"], b["l0"]["value"]
        if low <= l0 <= high:
            share = math.log(l0 / low) / math.log(high / low) if high > low else 0.0
            return (1 - share) * a[metric]["value"] + share * b[metric]["value"]
    return None


def spread(values, digits=4):
    """Mean and range of some numbers."""
    if not values or None in values:
        return "–"
    mean = sum(values) / len(values)
    if len(values) == 1:
        return f"{mean:.{digits}f}"
    return f"{mean:.{digits}f} [{min(values):.{digits}f}–{max(values):.{digits}f}]"


def curves(site):
    """Our scores by seed."""
    return {int(f.parent.name.removeprefix("ours-seed")): read(f.parent) for f in site.glob("ours-seed*/scores.json")}


def peers(site):
    """{(variant, sparsity): {seed: scores}}"""
    found = {}
    for file in sorted(site.glob("*-seed*/scores.json")):
        name = re.fullmatch(r"(.+)-([\d.e-]+)-seed(\d+)", file.parent.name)
        if name:
            (scores,) = read(file.parent)
            found.setdefault((name[1], float(name[2])), {})[int(name[3])] = scores
    return found



def dead(scores):
    firing = scores["firing"]
    return 100 * firing["never_fired"] / (firing["never_fired"] + firing["alive"])


def ours_table(own):
    print("| λ | seeds | L0 | FVU | Δloss | never fired, % |")
    print("|---|---|---|---|---|---|")
    for rank in reversed(range(min(len(curve) for curve in own.values()))):
        row = [curve[rank] for curve in own.values()]
        cells = [spread([s[key]["value"] for s in row], n) for key, n in (("l0", 1), ("fvu", 4), ("delta_loss", 4))]
        label = re.search(r"lambda([\d.e-]+)", row[0]["name"])
        print(f"| {label[1]} | {len(row)} | {' | '.join(cells)} | {spread([dead(s) for s in row], 1)} |")


def peer_row(own, variant, sparsity, by_seed):
    """Only seeds that both sides have."""
    seeds = sorted(set(own) & set(by_seed))
    cells = [f"{variant}, {sparsity:g}", str(len(seeds)), spread([by_seed[s]["l0"]["value"] for s in seeds], 1)]
    for metric in METRICS:
        theirs = [by_seed[s][metric]["value"] for s in seeds]
        ours = [interpolate(own[s], by_seed[s]["l0"]["value"], metric) for s in seeds]
        ratio = [a / b for a, b in zip(ours, theirs)] if None not in ours else [None]
        cells += [spread(theirs), spread(ours), spread(ratio, 2)]
    return f"| {' | '.join([*cells, spread([dead(by_seed[s]) for s in seeds], 1)])} |"


def peers_table(own, rows):
    print("| peer, asked for | seeds | L0 | FVU, peer | FVU, ours there | ours/peer | Δloss, peer | Δloss, ours there | ours/peer | peer's never fired, % |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for (variant, sparsity), by_seed in rows:
        print(peer_row(own, variant, sparsity, by_seed))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True, help="OUT of quality.py")
    parser.add_argument("--peers", nargs="*", default=[], help="settings to put beside us")
    parser.add_argument("--variants", action="store_true", help="all settings, seed 0")
    args = parser.parse_args()
    for site in sorted(folder for folder in args.runs.iterdir() if any(folder.glob("ours-seed*/scores.json"))):
        own, found = curves(site), peers(site)
        both = [s for curve in own.values() for s in curve] + [s for by_seed in found.values() for s in by_seed.values()]
        rows = {s["rows"] for s in both}
        assert len(rows) == 1, f"all sides must be scored on the same rows, found {sorted(rows)}"
        print(f"\n{site.name}, scored on {rows.pop():,} rows\n")
        if args.variants:
            peers_table(own, [(key, {0: by_seed[0]}) for key, by_seed in found.items() if 0 in by_seed])
            continue
        ours_table(own)
        print()
        peers_table(own, [(key, by_seed) for key, by_seed in found.items() if key[0] in args.peers])


if __name__ == "__main__":
    main()
