"""Which label of a semantic space an estimate is likely to be of: the nearer in direction, the likelier.

A label's probability is the softmax of the cosine between estimate and label, both from the middle of the labels, in
proportion to one temperature that is fitted to subjects of whom it is known what they saw.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.optimize
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Singles = NDArray[np.float32]

_SHARPEST, _BLUNTEST = 0.01, 100.0
_SMALLEST = 1e-6


@dataclass(frozen=True)
class Labels:
    """Labels of a semantic space.

    Attributes:
        names: of each.
        places: ``(n_labels, n_dimensions)``.
        temperature: of the softmax.
    """

    names: tuple[str, ...]
    places: Singles
    temperature: float = 1.0


class LabelProbabilities(nn.Module):
    """Of ``(batch, n_dimensions)`` estimates, ``(batch, n_labels)``."""

    middle: Tensor
    directions: Tensor
    temperature: Tensor

    def __init__(self, labels: Labels) -> None:
        super().__init__()
        places = torch.from_numpy(labels.places)
        middle = places.mean(dim=0)
        self.register_buffer("middle", middle)
        self.register_buffer("directions", _unit(places - middle))
        self.register_buffer("temperature", torch.tensor(labels.temperature))

    def forward(self, estimates: Tensor) -> Tensor:
        """Probabilities; each row adds up to one."""
        return torch.softmax(_unit(estimates - self.middle) @ self.directions.T / self.temperature, dim=-1)


def fit_temperature(labels: Labels, estimates: Singles, shown: NDArray[np.int64]) -> float:
    """The temperature at which what was shown is likeliest.

    Args:
        labels: whose temperature does not matter.
        estimates: ``(n, n_dimensions)``.
        shown: ``(n,)``, number of the label that was seen; -1, none, does not count.
    """
    known = shown >= 0
    if not known.any():
        return 1.0
    given, wanted = torch.from_numpy(estimates[known]), torch.from_numpy(shown[known])

    def surprise(logarithm: float) -> float:
        at = LabelProbabilities(Labels(labels.names, labels.places, float(np.exp(logarithm))))
        return float(nn.functional.nll_loss(at(given).clamp_min(_SMALLEST).log(), wanted))

    found = scipy.optimize.minimize_scalar(surprise, bounds=(np.log(_SHARPEST), np.log(_BLUNTEST)), method="bounded")
    return float(np.exp(found.x))


def _unit(vectors: Tensor) -> Tensor:
    return vectors / torch.sqrt((vectors**2).sum(dim=-1, keepdim=True) + _SMALLEST)
