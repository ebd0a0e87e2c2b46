"""How long masking takes, and how that grows: noise in place of recordings takes as long."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cortexcast_models.manifest import Strict
from cortexcast_training.eegfmri.bands import BANDS
from cortexcast_training.eegfmri.runs import HOP_S, Run, hops_at
from cortexcast_training.eegfmri.simulator import ELECTRODES
from cortexcast_training.eegfmri.stimulus import Stimulus
from cortexcast_training.eegfmri.trained_vae import Product
from cortexcast_training.eegfmri.vae import BOLD, EEG
from cortexcast_training.masking.explain import Explainer, ExplainSettings, Say, Source
from cortexcast_training.masking.net import MaskedNet
from cortexcast_training.simulated_dataset import write_json

TIMESTAMPS, VOXELS = 5_000, 10_000
"""Of one run, at the full size."""

_SHARES = (0.25, 0.5, 1.0)
_TR_S = 2.1
_LEVEL = -25.0


class Timing(Strict):
    """Of one run in all nets, everything included: three operators, random weights, deletion and insertion."""

    timestamps: int
    voxels: int
    side: str
    """That was masked."""
    seconds: float


def timings(nets: Mapping[Product, MaskedNet], how: ExplainSettings, out: Path, say: Say) -> list[Timing]:
    """Each side at a quarter, half and all of its units, the mean of two runs.

    Args:
        nets: by product.
        how: units are masked.
        out: folder that ``timing.json`` is written into.
        say: hears how far it is.
    """
    found = []
    sizes = [(round(share * TIMESTAMPS), 1, EEG) for share in _SHARES]
    sizes += [(TIMESTAMPS, round(share * VOXELS), BOLD) for share in _SHARES]
    for done, (timestamps, voxels, side) in enumerate(sizes):
        say(f"{timestamps} timestamps, {voxels} voxels", done, len(sizes))
        sources = [_noise(nets, f"sub-{number}", timestamps, voxels, number) for number in (1, 2)]
        with tempfile.TemporaryDirectory() as folder:
            begin = time.perf_counter()
            Explainer(sources, nets, how, Path(folder)).mask(sides=[side])
            seconds = (time.perf_counter() - begin) / len(sources)
        found.append(Timing(timestamps=timestamps, voxels=voxels, side=side, seconds=round(seconds, 1)))
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "timing.json", {"timings": [each.model_dump() for each in found]})
    return found


def as_text(found: list[Timing]) -> list[str]:
    """For a terminal."""
    whole = sum(max(each.seconds for each in found if each.side == side) for side in (EEG, BOLD))
    return [
        *(
            f"{each.timestamps if each.side == EEG else each.voxels} {'timestamps' if each.side == EEG else 'voxels'}: "
            f"{each.seconds:.0f} s a run"
            for each in found
        ),
        f"{TIMESTAMPS} timestamps and {VOXELS} voxels: {whole / 60:.1f} min a run",
    ]


def _noise(nets: Mapping[Product, MaskedNet], subject: str, n_hops: int, n_voxels: int, seed: int) -> Source:
    rng = np.random.default_rng(seed)
    net = next(iter(nets.values()))
    hops = hops_at(np.arange(1.0, n_hops * HOP_S / _TR_S - 1) * _TR_S, n_hops)
    dimensions = max((len(net.unit("embedding")) for net in nets.values() if net.knows_stimulus), default=1)
    nameless = np.zeros((0, dimensions), np.float32), np.full(len(hops), -1)
    run = Run(
        subject,
        "noise",
        power=(_LEVEL + rng.standard_normal((n_hops, len(ELECTRODES), len(BANDS)))).astype(np.float32),
        bold=rng.standard_normal((net.n_parcels, len(hops))).astype(np.float32),
        hops=hops,
        stimulus=Stimulus(rng.standard_normal((len(hops), dimensions)).astype(np.float32), (), *nameless),
        simulated=True,
    )
    parcel = np.sort(np.arange(n_voxels) % net.n_parcels)
    share = (1 / np.bincount(parcel)[parcel]).astype(np.float32)
    courses = rng.standard_normal((n_voxels, len(hops))).astype(np.float32)
    return Source(run, np.arange(n_voxels), parcel, share, courses)
