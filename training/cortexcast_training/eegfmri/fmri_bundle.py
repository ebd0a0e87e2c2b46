"""The autoencoder as a bundle of fMRI: the ONNX graph of one hop, from EEG alone to the BOLD of parcels.

The graph carries what it needs from hop to hop: the wearer's mean log power, which survives gaps, and the last 20 s of
it, which do not. What is not known yet counts as the mean.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nibabel.nifti1 import Nifti1Image
from nilearn.datasets import load_mni152_gm_mask
from numpy.typing import NDArray
from torch import Tensor, nn

from cortexcast_models.bundle import Bundle, pack_golden, write_bundle
from cortexcast_training.eegfmri.band_power import FLOOR_V2, HOP, WINDOW, matrices
from cortexcast_training.eegfmri.bands import BANDS
from cortexcast_training.eegfmri.centring import LEVEL_HOPS, SETTLE_HOPS
from cortexcast_training.eegfmri.moments import Units
from cortexcast_training.eegfmri.parcels import parcel_labels, parcels
from cortexcast_training.eegfmri.runs import PREPROCESSING
from cortexcast_training.eegfmri.simulator import ELECTRODES
from cortexcast_training.eegfmri.vae import BOLD, EEG, N_HOPS, Decoder, Vae
from cortexcast_training.manifest_fields import GOLDEN, MODEL, About, about_fields, montage, state, tensor
from cortexcast_training.onnx_export import export_graph

PARCELS = "parcels.nii.gz"

_VOXEL_MM = 4
"""Of the image of parcels."""

_STATES = ("level", "n_hops", "history", "n_since_gap")
_SURVIVE = ("level", "n_hops")
_OUTPUTS = ("bold", "bold_std", *(f"{name}_next" for name in _STATES))


class FmriHop(nn.Module):
    """What the server runs once a hop: a second of EEG in volts in, the BOLD of parcels in percent out."""

    fourier: Tensor
    bands: Tensor
    power_unit: Tensor
    bold_unit: Tensor

    def __init__(self, vae: Vae, units: Units) -> None:
        super().__init__()
        self.vae = vae
        given = matrices()
        self.register_buffer("fourier", torch.from_numpy(given.fourier))
        self.register_buffer("bands", torch.from_numpy(given.bands))
        self.register_buffer("power_unit", torch.from_numpy(units.power))
        self.register_buffer("bold_unit", torch.from_numpy(units.bold))

    def forward(
        self, eeg: Tensor, level: Tensor, n_hops: Tensor, history: Tensor, n_since_gap: Tensor
    ) -> tuple[Tensor, ...]:
        """Estimate the BOLD at the window's end.

        Args:
            eeg: ``(n_electrodes, WINDOW)``.
            level: ``(n_features,)``, mean log power so far; zero at first.
            n_hops: ``(1,)``, of how many hops.
            history: ``(N_HOPS, n_features)``, log power above the mean, oldest first; zero where it is not known.
            n_since_gap: ``(1,)``, hops since the EEG began or was interrupted.

        Returns:
            The BOLD ``(n_parcels, 1)``, its standard deviation ``(n_parcels,)``, and the states with this hop in them.
        """
        cosine, sine = (eeg @ self.fourier).chunk(2, dim=1)
        power = torch.log((cosine**2 + sine**2) @ self.bands + FLOOR_V2).flatten()
        # Until the window holds nothing but EEG, its power says nothing.
        full = (n_since_gap >= SETTLE_HOPS).float()
        n_hops = n_hops + full
        level = level + full * (power - level) / n_hops.clamp(1, LEVEL_HOPS)
        history = torch.cat([history[1:], (full * (power - level) / self.power_unit).unsqueeze(0)])
        posterior = self.vae.posterior({EEG: history.unsqueeze(0)})
        mean, log_variance = self.vae.decode(posterior.mean)[BOLD]
        decoder = self.vae.decoders[BOLD]
        assert isinstance(decoder, Decoder)
        variance = log_variance.exp() + posterior.log_variance.exp() @ (decoder.linear.weight**2).T
        std = variance[0].sqrt() * self.bold_unit
        return (mean[0] * self.bold_unit).unsqueeze(1), std, level, n_hops, history, n_since_gap + 1


def export_fmri(directory: Path, hop: FmriHop, golden_eeg: NDArray[np.float32], about: About) -> tuple[Bundle, float]:
    """Write the bundle.

    Args:
        directory: the new bundle's folder.
        hop: the graph.
        golden_eeg: ``(n_electrodes, WINDOW)`` in volts.
        about: what the manifest says.

    Returns:
        The bundle, and the greatest deviation of ONNX Runtime from torch, as a share of an output's RMS.

    Raises:
        ExportError: that deviation is more than allowed.
        BundleError: ``directory`` holds something that is not a bundle.
    """
    n_features = hop.vae.shape.n_features
    level = torch.full((n_features,), -25.0)
    history = torch.randn((N_HOPS, n_features), generator=torch.Generator().manual_seed(0))
    states = dict(zip(_STATES, (level, torch.tensor([100.0]), history, torch.tensor([100.0])), strict=True))
    graph = export_graph(hop, {"eeg": torch.from_numpy(golden_eeg), **states}, _OUTPUTS)
    files = {MODEL: graph.onnx, GOLDEN: pack_golden(graph.golden), PARCELS: _parcels_file()}
    return write_bundle(directory, _fields(about), files), graph.deviation


def _parcels_file() -> bytes:
    grey: Nifti1Image = load_mni152_gm_mask(resolution=_VOXEL_MM)
    # Without the time that gzip notes, so that the same parcels are the same bytes.
    return gzip.compress(parcel_labels(grey).to_bytes(), mtime=0)


def _fields(about: About) -> dict[str, Any]:
    electrodes, known = montage(ELECTRODES), parcels()
    features = {"feature": len(electrodes) * len(BANDS)}
    sizes = {"level": features, "n_hops": {"count": 1}, "history": {"hop": N_HOPS, **features}}
    sizes["n_since_gap"] = {"count": 1}
    survives = {name: name in _SURVIVE for name in _STATES}
    return {
        **about_fields(about),
        "product": "fmri",
        "window": WINDOW,
        "hop": HOP,
        "montage": electrodes,
        "preprocessing": PREPROCESSING.model_dump(mode="json"),
        "inputs": [
            tensor("eeg", "eeg", {"channel": len(electrodes), "time": WINDOW}),
            *(state(name, name, sizes[name], survives_gaps=survives[name]) for name in _STATES),
        ],
        "outputs": [
            tensor("bold", "estimate", {"channel": len(known.names), "time": 1}),
            tensor("bold_std", "std", {"channel": len(known.names)}),
            *(state(f"{name}_next", name, sizes[name], survives_gaps=survives[name]) for name in _STATES),
        ],
        "channels": [
            {"name": name, "type": "bold", "unit": "%", "location": (centre / 1000).round(5).tolist()}
            for name, centre in zip(known.names, known.centres, strict=True)
        ],
        "parcels_file": PARCELS,
    }
