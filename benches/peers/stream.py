"""Rows of a planted dictionary for the peers, as `lapidary world planted-rows` streams them: nothing is kept on disk.

Rows come by number, each once. They are independent of each other, so the peers' order needs no shuffle; ours trains on
the same rows in another order. A thread reads ahead while the peer takes its steps.
"""

import subprocess
import threading
from queue import Queue

import torch

# D by the size of the planted dictionary.
WIDTHS = {"everyday": 128, "full": 768}
# Batches that are read ahead.
AHEAD = 16


def planted_batches(lapidary, size, seed, batch, steps):
    """The first `steps` batches [B, D]; the process starts with the first and ends with the last."""
    d = WIDTHS[size]
    command = [lapidary, "world", "planted-rows", "--size", size, "--seed", seed, "--count", steps * batch, "--threads", 1]
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE)
    queue = Queue(AHEAD)
    threading.Thread(target=read, args=(process.stdout, 4 * batch * d, steps, queue), daemon=True).start()
    try:
        for step in range(steps):
            rows = queue.get()
            if rows is None:
                raise RuntimeError(f"{' '.join(map(str, command))}: ended after {step} of {steps} batches; see its message above")
            yield torch.frombuffer(rows, dtype=torch.float32).view(batch, d)
    finally:
        process.kill()
        process.wait()


def read(pipe, size, steps, queue):
    """Puts `steps` buffers of `size` bytes into the queue, or None where the pipe ends before."""
    for _ in range(steps):
        buffer = bytearray(size)
        if pipe.readinto(buffer) < size:
            queue.put(None)
            return
        queue.put(buffer)
