"""The autoencoder as a bundle of fMRI: from EEG alone to the BOLD of parcels."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from cortexcast_models.bundle import Bundle
from cortexcast_training.eegfmri.moments import Units
from cortexcast_training.eegfmri.parcels import parcel_image, parcels
from cortexcast_training.eegfmri.vae import BOLD, Vae
from cortexcast_training.eegfmri.vae_hop import VaeHop, export_hop
from cortexcast_training.manifest_fields import About, tensor

PARCELS = "parcels.nii.gz"


class FmriHop(VaeHop):
    """What the server runs once a hop: the BOLD of parcels in percent."""

    bold_unit: Tensor

    def __init__(self, vae: Vae, units: Units) -> None:
        super().__init__(vae, torch.from_numpy(units.power))
        self.register_buffer("bold_unit", torch.from_numpy(units.bold))

    def forward(
        self, eeg: Tensor, level: Tensor, n_hops: Tensor, history: Tensor, n_since_gap: Tensor
    ) -> tuple[Tensor, ...]:
        """The BOLD ``(n_parcels, 1)``, its standard deviation ``(n_parcels,)``, and the states."""
        level, n_hops, history, n_since_gap = self.step(eeg, level, n_hops, history, n_since_gap)
        mean, std = self.estimate(BOLD, history)
        return (mean * self.bold_unit).unsqueeze(1), std * self.bold_unit, level, n_hops, history, n_since_gap


def export_fmri(directory: Path, hop: FmriHop, about: About, files: Mapping[str, bytes]) -> tuple[Bundle, float]:
    """Write the bundle, with more files in it; returns and errors are those of ``export_hop``."""
    known = parcels()
    return export_hop(
        directory,
        hop,
        {
            "bold": tensor("bold", "estimate", {"channel": len(known.names), "time": 1}),
            "bold_std": tensor("bold_std", "std", {"channel": len(known.names)}),
        },
        {
            "product": "fmri",
            "channels": [
                {"name": name, "type": "bold", "unit": "%", "location": (centre / 1000).round(5).tolist()}
                for name, centre in zip(known.names, known.centres, strict=True)
            ],
            "parcels_file": PARCELS,
        },
        about,
        {PARCELS: _parcels_file(), **files},
    )


def _parcels_file() -> bytes:
    # Without the time that gzip notes, so that the same parcels are the same bytes.
    return gzip.compress(parcel_image().to_bytes(), mtime=0)
