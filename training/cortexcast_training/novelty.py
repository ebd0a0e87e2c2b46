"""How far a window of EEG is from the training data: a Mahalanobis distance of what characterises it.

That is the power of its white components in excess of what is usual, and what the transformer makes of the token that
is streamed (Lee et al., *NeurIPS* 2018). A lack of power does not count: a headset with few electrodes has many
components without any. One is the 99th percentile of subjects that were not trained on.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cortexcast_training.net import NetShape

_QUANTILE = 0.99
_RIDGE = 1e-3


class Novelty(nn.Module):
    """Score windows.

    Args:
        shape: of the net.
    """

    components: Tensor
    mean: Tensor
    whitener: Tensor
    unit: Tensor

    def __init__(self, shape: NetShape) -> None:
        super().__init__()
        n_white = shape.n_electrodes - 1  # the average reference takes a dimension away
        size = n_white + shape.width
        self.register_buffer("components", torch.zeros(n_white, shape.n_electrodes))
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("whitener", torch.eye(size))
        self.register_buffer("unit", torch.ones(()))

    def features(self, scaled: Tensor, hidden: Tensor) -> Tensor:
        """What characterises windows, ``(batch, n_features)``.

        Args:
            scaled: ``(batch, n_electrodes, n_samples)`` of EEG, divided by the window's RMS.
            hidden: ``(batch, 1, width)``, what the transformer makes of the token that is streamed.
        """
        white = self.components @ scaled
        power = (white * white).mean(dim=2)
        return torch.cat([torch.log(power.clamp_min(1.0)), hidden.squeeze(1)], dim=1)

    def forward(self, scaled: Tensor, hidden: Tensor) -> Tensor:
        """The score, ``(batch,)``."""
        return ((self.features(scaled, hidden) - self.mean) @ self.whitener).square().mean(dim=1) / self.unit

    @torch.no_grad()
    def calibrate(self, components: NDArray[np.float64], train: Iterable[Tensor], held_out: Iterable[Tensor]) -> None:
        """Learn what is usual from features of training subjects, and the unit from those of others.

        Args:
            components: ``(n_electrodes - 1, n_electrodes)``, gives white EEG. The features are taken after it is set.
            train: batches of ``features``.
            held_out: likewise.
        """
        self.components.copy_(torch.from_numpy(components))
        features = torch.cat(list(train)).double()
        self.mean.copy_(features.mean(dim=0))
        covariance = torch.cov(features.T)
        covariance += _RIDGE * covariance.diagonal().mean() * torch.eye(len(covariance), dtype=torch.float64)
        values, vectors = torch.linalg.eigh(covariance)
        self.whitener.copy_(vectors / values.sqrt())
        others = torch.cat(list(held_out)).float()
        self.unit.copy_(((others - self.mean) @ self.whitener).square().mean(dim=1).quantile(_QUANTILE))
