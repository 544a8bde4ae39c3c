"""Reads one site's rows [N, D] from a Lapidary store for the peers: the same training rows, in an order of their own.

A store is a folder with `manifest.json` and the shards that it lists; a shard holds one tensor per site, named by the
site. The whole site is kept in memory: the peers are compared on what they learn, not on how they read.
"""

import json
from pathlib import Path

import torch
from safetensors import safe_open


def read_rows(store, site):
    """All rows of `site`, f32 [N, D]; refuses a store of anything but training documents."""
    store = Path(store)
    manifest = json.loads((store / "manifest.json").read_text())
    assert manifest["format_version"] == 1, "this script reads stores of format version 1"
    split = manifest["text"]["split"]
    assert split == "train", f"{store}: rows of split `{split}`; run `lapidary harvest --split train`"
    parts = []
    for shard in manifest["shards"]:
        with safe_open(store / shard["file"], "pt") as file:
            parts.append(file.get_tensor(site).float())
    return torch.cat(parts)


class Shuffled:
    """Batches [B, D] of the rows, freshly permuted each epoch, without end; every iteration starts over."""

    def __init__(self, rows, batch, seed):
        self.rows, self.batch, self.seed = rows, batch, seed

    def __iter__(self):
        rng = torch.Generator().manual_seed(self.seed)
        left = torch.empty(0, dtype=torch.long)
        while True:
            while len(left) < self.batch:
                left = torch.cat([left, torch.randperm(len(self.rows), generator=rng)])
            yield self.rows[left[: self.batch]]
            left = left[self.batch :]
