"""What the rows of each site of a store look like, for the question why features die there: per site, C, the share of E‖x‖²
that is the mean row, the effective rank of what is left (participation ratio (Σλ)²/Σλ² of the covariance's eigenvalues),
the principal components that hold 90 and 99 % of it, and the share of distinct rows (rounded to 1e-4 of their RMS).

    python spectrum.py --store STORE
"""

import argparse
import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file


def components(share, wanted):
    return int(np.searchsorted(np.cumsum(share), wanted) + 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True, help="folder written by `lapidary harvest`")
    store = parser.parse_args().store
    manifest = json.loads((store / "manifest.json").read_text())
    shards = [load_file(store / shard["file"]) for shard in manifest["shards"]]
    print("| site | rows | C | mean row, % of E‖x‖² | effective rank | PCs for 90 % | 99 % | distinct rows, % |")
    print("|---|---|---|---|---|---|---|---|")
    for site in (s["site"] for s in manifest["sites"]):
        x = np.concatenate([shard[site] for shard in shards]).astype(np.float64)
        square, mean = (x**2).sum(1).mean(), x.mean(0)
        values = np.linalg.eigvalsh(np.cov(x.T))[::-1]
        share = values / values.sum()
        grid = np.round(x / (1e-4 * np.sqrt((x**2).mean()))).astype(np.int64)
        distinct = len(np.unique(grid @ np.random.default_rng(0).integers(1, 2**40, grid.shape[1])))
        cells = [site, f"{len(x):,}", f"{square**0.5:.3g}", f"{100 * (mean @ mean) / square:.0f}", f"{1 / (share**2).sum():.1f}"]
        cells += [components(share, 0.9), components(share, 0.99), f"{100 * distinct / len(x):.0f}"]
        print(f"| {' | '.join(map(str, cells))} |")


if __name__ == "__main__":
    main()
