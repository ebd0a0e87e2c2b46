"""The table of standard electrode positions that the montage mapping reads: ``cortexcast_models/standard_1005.tsv``."""

from __future__ import annotations

from pathlib import Path

import mne
import numpy as np
from numpy.typing import NDArray

from cortexcast_training.leadfield import electrode_positions

OLD_NAMES = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
"""Names of the 10-20 system that the 10-10 system changed."""


def write(path: Path) -> int:
    """Write name, x, y, z, tab-separated, in metres of the head frame to 0.1 mm; returns the number of electrodes.

    The positions are those of the lead field's head, so that a name and a model's montage mean the same place.
    """
    positions = electrode_positions()
    positions |= {old: positions[new] for old, new in OLD_NAMES.items()}
    positions = {**_colin27(), **positions}
    rows = ["\t".join((name, *(f"{v:.4f}" for v in at))) for name, at in positions.items()]
    path.write_text("\n".join(("name\tx\ty\tz", *rows)) + "\n", encoding="utf-8")
    return len(rows)


def _colin27() -> dict[str, NDArray[np.float64]]:
    """MNE's 10-05 montage on another head, in its own head frame: it alone has mastoids and ear lobes."""
    montage = mne.channels.make_standard_montage("colin27_1005")
    to_head = mne.channels.compute_native_head_t(montage)
    places = montage.get_positions()["ch_pos"]
    return {name: mne.transforms.apply_trans(to_head, at) for name, at in places.items()}
