"""Small simulated scans of BOLD, and the truth behind them."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from cortexcast_training.eegfmri.anatomy import Anatomy, draw_anatomy
from cortexcast_training.eegfmri.bold_file import BoldScan, bold_scan
from cortexcast_training.eegfmri.film import FilmSettings, draw_film
from cortexcast_training.eegfmri.networks import NetworkSettings, draw_activity, draw_networks
from cortexcast_training.eegfmri.parcel_bold import WARM_UP_S, BoldSettings, ParcelBold, draw_parcel_bold
from cortexcast_training.eegfmri.scan import Scan, ScanSettings, draw_scan

TR_S = 2.0
COARSE = ScanSettings(shape=(34, 42, 30), voxel_mm=(5.0, 5.0, 5.0))
"""An eighth of the work of what is usual."""


@functools.cache
def anatomy() -> Anatomy:
    return draw_anatomy(np.array([0.95, 0.92, 0.97]), 0)


def parcel_bold(n_volumes: int, seed: int = 0) -> ParcelBold:
    film = draw_film(FilmSettings(), n_volumes * TR_S, seed)
    networks = draw_networks(NetworkSettings())
    activity = draw_activity(networks, film, -WARM_UP_S, n_volumes * TR_S + 4, seed)
    return draw_parcel_bold(networks, activity, BoldSettings(tr_s=TR_S), n_volumes, seed)


def simulated(n_volumes: int, seed: int = 0, **settings: Any) -> tuple[ParcelBold, Scan]:
    """What parcels did, and the scan of it."""
    parcels = parcel_bold(n_volumes, seed)
    heartbeats = np.arange(-1.0, n_volumes * TR_S + 10, 0.93)
    return parcels, draw_scan(COARSE.model_copy(update=settings), anatomy(), parcels, TR_S, heartbeats, seed)


def read(scan: Scan) -> BoldScan:
    """As from its files."""
    return bold_scan(scan.volumes, {"RepetitionTime": TR_S, "SliceTiming": scan.slice_times.tolist()})


def correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Of each row."""
    one, other = (each - each.mean(axis=1, keepdims=True) for each in (one, other))
    return np.asarray((one * other).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1))
