"""What the speed scripts share: the rows that `lapidary bench --out` saved, a stopwatch, and the peak of memory.

As on our side, one step is done before the clock counts, and memory counts from there on: what is held, and the steps.
"""

import json
import time
from pathlib import Path
from statistics import median

from safetensors.torch import load_file


def read(path, batch):
    """The tensors x [N, D], w [F, D], theta, b_enc [F], b_dec [D]; of x only the first `batch` rows, if that is given."""
    tensors = load_file(path)
    tensors["x"] = tensors["x"][:batch].clone() if batch else tensors["x"]
    return tensors


def measure(step, steps):
    """Calls `step()` once, then `steps` times with the clock. Returns (seconds of the first, seconds of the others)."""
    forget_peak()
    seconds = []
    for _ in range(steps + 1):
        began = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - began)
    return seconds[0], seconds[1:]


def forget_peak():
    """From here on counts what `peak_bytes` says; where the system refuses, it counts from the start."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass


def peak_bytes():
    """The most memory that this process has held, where Linux tells."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    kib = next((line.split()[1] for line in lines if line.startswith("VmHWM:")), None)
    return None if kib is None else int(kib) * 1024


def report(peer, tensors, l0, first, seconds, peak, as_json):
    """Prints the numbers under the names that `lapidary bench --json` gives them."""
    (batch, d_model), width = tensors["x"].shape, len(tensors["w"])
    step_s = median(seconds)
    numbers = {
        "peer": peer,
        "d_model": d_model,
        "width": width,
        "batch": batch,
        "l0": l0,
        "tokens_per_s": batch / step_s,
        "step_s": step_s,
        "steps_s": seconds,
        "first_step_s": first,
        "peak_bytes": peak,
    }
    if as_json:
        print(json.dumps(numbers))
        return
    memory = "memory not known" if peak is None else f"peak {peak / 2**30:.2f} GiB"
    print(f"{peer}: {batch / step_s:,.0f} tokens/s, step {step_s:.3f} s (before them {first:.3f} s), L0 {l0:.1f}, {memory}")
