"""The autoencoder as a bundle of the stimulus: from EEG alone to a point in the semantic space, and its labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from cortexcast_models.bundle import Bundle
from cortexcast_training.eegfmri.band_power import RATE_HZ
from cortexcast_training.eegfmri.labels import LabelProbabilities, Labels
from cortexcast_training.eegfmri.moments import STIMULUS_LAG_S, Units
from cortexcast_training.eegfmri.vae import STIMULUS, Vae
from cortexcast_training.eegfmri.vae_hop import VaeHop, export_hop
from cortexcast_training.manifest_fields import About, tensor


class StimulusHop(VaeHop):
    """What the server runs once a hop: what was seen, as a point in the space and as probabilities of its labels.

    Args:
        vae: that knows a stimulus.
        units: of its training data.
        labels: of the space; None where nothing in it has a name.
    """

    embedding_unit: Tensor
    embedding_mean: Tensor

    def __init__(self, vae: Vae, units: Units, labels: Labels | None = None) -> None:
        super().__init__(vae, torch.from_numpy(units.power))
        self.register_buffer("embedding_unit", torch.from_numpy(units.embedding))
        self.register_buffer("embedding_mean", torch.from_numpy(units.embedding_mean))
        self.names = labels.names if labels else ()
        self.labels = LabelProbabilities(labels) if labels else None

    def forward(
        self, eeg: Tensor, level: Tensor, n_hops: Tensor, history: Tensor, n_since_gap: Tensor
    ) -> tuple[Tensor, ...]:
        """The point and the probabilities ``(n_dimensions + n_labels, 1)``, their standard deviation, and the states.

        That of a probability is of a thing that is either so or not: ``p (1 - p)`` is its variance.
        """
        level, n_hops, history, n_since_gap = self.step(eeg, level, n_hops, history, n_since_gap)
        mean, std = self.estimate(STIMULUS, history)
        point, spread = self.embedding_mean + mean * self.embedding_unit, std * self.embedding_unit
        if self.labels is not None:
            probabilities = self.labels(point.unsqueeze(0))[0]
            point = torch.cat([point, probabilities])
            spread = torch.cat([spread, torch.sqrt(probabilities * (1 - probabilities))])
        return point.unsqueeze(1), spread, level, n_hops, history, n_since_gap


def export_stimulus(
    directory: Path, hop: StimulusHop, about: About, files: Mapping[str, bytes]
) -> tuple[Bundle, float]:
    """Write the bundle, with more files in it; returns and errors are those of ``export_hop``."""
    dimensions = [f"dimension {number + 1}" for number in range(len(hop.embedding_unit))]
    channels = [{"name": name, "type": "embedding", "unit": "1", "location": []} for name in dimensions]
    channels += [{"name": name, "type": "label", "unit": "1", "location": []} for name in hop.names]
    return export_hop(
        directory,
        hop,
        {
            "stimulus": tensor("stimulus", "estimate", {"channel": len(channels), "time": 1}),
            "stimulus_std": tensor("stimulus_std", "std", {"channel": len(channels)}),
        },
        {"product": "stimulus", "channels": channels, "lookahead": round(STIMULUS_LAG_S * RATE_HZ)},
        about,
        files,
    )
