"""One hop of the model in ONNX Runtime, and how long it takes alone, at the pace of the signal."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cortexcast_models.bundle import Bundle, Infer


def golden_hop(bundle: Bundle, infer: Infer) -> Callable[[], object]:
    """A function that runs the bundle's graph once, on the golden tensors."""
    golden = bundle.golden()
    inputs = {tensor.name: golden[tensor.name] for tensor in bundle.manifest.inputs}
    return lambda: infer(inputs)


def alone(hop: Callable[[], object], period_s: float, n: int) -> NDArray[np.float64]:
    """Seconds that each of ``n`` hops takes, at their pace: a core that has slept in between is slower."""
    taken = np.empty(n)
    origin = time.monotonic()
    for number in range(n):
        time.sleep(max(0.0, origin + number * period_s - time.monotonic()))
        begin = time.perf_counter()
        hop()
        taken[number] = time.perf_counter() - begin
    return taken
