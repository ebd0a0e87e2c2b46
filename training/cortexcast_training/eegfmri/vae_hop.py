"""What the server runs once a hop, whatever the product: from a second of EEG in volts to what is known of the last 20.

The graph carries what it needs from hop to hop: the wearer's mean log power, which survives gaps, and the last 20 s of
it, which do not. What is not known yet counts as the mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cortexcast_models.bundle import Bundle, pack_golden, write_bundle
from cortexcast_training.eegfmri.band_power import FLOOR_V2, HOP, WINDOW, matrices
from cortexcast_training.eegfmri.bands import BANDS
from cortexcast_training.eegfmri.centring import LEVEL_HOPS, SETTLE_HOPS
from cortexcast_training.eegfmri.runs import PREPROCESSING
from cortexcast_training.eegfmri.simulator import ELECTRODES
from cortexcast_training.eegfmri.vae import EEG, N_HOPS, Vae
from cortexcast_training.manifest_fields import GOLDEN, MODEL, About, about_fields, montage, state, tensor
from cortexcast_training.onnx_export import export_graph

_STATES = ("level", "n_hops", "history", "n_since_gap")
_SURVIVE = ("level", "n_hops")

_GOLDEN_V = 10e-6
_GOLDEN_LEVEL = -25.0


class VaeHop(nn.Module):
    """The part of the graph that all products share; each has a ``forward`` of its own.

    Args:
        vae: the net.
        power_unit: ``(n_features,)``, of the logarithm of band power.
    """

    fourier: Tensor
    bands: Tensor
    power_unit: Tensor

    def __init__(self, vae: Vae, power_unit: Tensor) -> None:
        super().__init__()
        self.vae = vae
        given = matrices()
        self.register_buffer("fourier", torch.from_numpy(given.fourier))
        self.register_buffer("bands", torch.from_numpy(given.bands))
        self.register_buffer("power_unit", power_unit)

    def step(
        self, eeg: Tensor, level: Tensor, n_hops: Tensor, history: Tensor, n_since_gap: Tensor
    ) -> tuple[Tensor, ...]:
        """The states with this hop in them.

        Args:
            eeg: ``(n_electrodes, WINDOW)``.
            level: ``(n_features,)``, mean log power so far; zero at first.
            n_hops: ``(1,)``, of how many hops.
            history: ``(N_HOPS, n_features)``, log power above the mean, oldest first; zero where it is not known.
            n_since_gap: ``(1,)``, hops since the EEG began or was interrupted.
        """
        cosine, sine = (eeg @ self.fourier).chunk(2, dim=1)
        power = torch.log((cosine**2 + sine**2) @ self.bands + FLOOR_V2).flatten()
        # Until the window holds nothing but EEG, its power says nothing.
        full = (n_since_gap >= SETTLE_HOPS).float()
        n_hops = n_hops + full
        level = level + full * (power - level) / n_hops.clamp(1, LEVEL_HOPS)
        history = torch.cat([history[1:], (full * (power - level) / self.power_unit).unsqueeze(0)])
        return level, n_hops, history, n_since_gap + 1

    def estimate(self, name: str, history: Tensor) -> tuple[Tensor, Tensor]:
        """A modality's mean and standard deviation, ``(n_outputs,)``, given the last 20 s."""
        mean, log_variance = self.vae.estimate({EEG: history.unsqueeze(0)}, name)
        return mean[0], (0.5 * log_variance[0]).exp()


def export_hop(
    directory: Path,
    hop: VaeHop,
    outputs: Mapping[str, dict[str, Any]],
    fields: Mapping[str, Any],
    about: About,
    files: Mapping[str, bytes] | None = None,
) -> tuple[Bundle, float]:
    """Write the bundle of a hop.

    Args:
        directory: the new bundle's folder.
        hop: whose ``forward`` takes what ``step`` takes, and gives these outputs, then the states.
        outputs: manifest entries of the product's own outputs by name.
        fields: what else of the manifest is the product's own.
        about: what the manifest says.
        files: beside the graph.

    Returns:
        The bundle, and the greatest deviation of ONNX Runtime from torch, as a share of an output's RMS.

    Raises:
        ExportError: that deviation is more than allowed.
        BundleError: ``directory`` holds something that is not a bundle.
    """
    sizes = _sizes(hop.vae.shape.n_features)
    rng = torch.Generator().manual_seed(0)
    given = {
        "eeg": _GOLDEN_V * torch.randn((len(ELECTRODES), WINDOW), generator=rng),
        "level": torch.full(tuple(sizes["level"].values()), _GOLDEN_LEVEL),
        "n_hops": torch.tensor([100.0]),
        "history": torch.randn(tuple(sizes["history"].values()), generator=rng),
        "n_since_gap": torch.tensor([100.0]),
    }
    graph = export_graph(hop, given, [*outputs, *(f"{name}_next" for name in _STATES)])
    manifest = {
        **about_fields(about),
        "window": WINDOW,
        "hop": HOP,
        "memory": (N_HOPS - 1) * HOP,
        "montage": montage(ELECTRODES),
        "preprocessing": PREPROCESSING.model_dump(mode="json"),
        "inputs": [
            tensor("eeg", "eeg", {"channel": len(ELECTRODES), "time": WINDOW}),
            *_state_entries(sizes, _STATES),
        ],
        "outputs": [*outputs.values(), *_state_entries(sizes, [f"{name}_next" for name in _STATES])],
        **fields,
    }
    held = {MODEL: graph.onnx, GOLDEN: pack_golden(graph.golden), **(files or {})}
    return write_bundle(directory, manifest, held), graph.deviation


def _sizes(n_features: int) -> dict[str, dict[str, int]]:
    """Of states, by axis."""
    assert n_features == len(ELECTRODES) * len(BANDS)
    features = {"feature": n_features}
    return {
        "level": features,
        "n_hops": {"count": 1},
        "history": {"hop": N_HOPS, **features},
        "n_since_gap": {"count": 1},
    }


def _state_entries(sizes: Mapping[str, dict[str, int]], tensors: Sequence[str]) -> list[dict[str, Any]]:
    return [state(name, of, sizes[of], survives_gaps=of in _SURVIVE) for name, of in zip(tensors, _STATES, strict=True)]
