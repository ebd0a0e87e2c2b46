"""One of the processes that ``torchrun`` starts: trains with the others and writes down what it got."""

from __future__ import annotations

import sys
from dataclasses import astuple
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from training.test_fit import run

from cortexcast_training.checkpoint import save_state
from cortexcast_training.processes import processes

if __name__ == "__main__":
    out = Path(sys.argv[1])
    with processes() as here:
        net, fitted = run(out / "run")
        save_state(out / f"rank-{here.rank}.pt", {"net": net.state_dict(), "fitted": list(astuple(fitted))[:2]})
