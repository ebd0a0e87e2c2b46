"""Headsets that exist, as subsets of the canonical montage: what a model must get along with."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cortexcast_models.manifest import Absent
from cortexcast_models.montage import Montage
from cortexcast_training.leadfield import CAP
from cortexcast_training.manifest_fields import montage
from cortexcast_training.recipe import Headset

_TEN_TWENTY = (
    "Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T7", "C3", "Cz", "C4", "T8", "P7", "P3", "Pz", "P4", "P8", "O1", "O2",
)  # fmt: skip

MONTAGES: dict[int, tuple[str, ...]] = {
    70: CAP,
    # The 10-10 cap of 64 electrodes.
    64: tuple(name for name in CAP if name not in {"FT9", "FT10", "T9", "T10", "TP9", "TP10"}),
    # The usual cap of 32 electrodes: the 10-20 system and a ring between.
    32: (*_TEN_TWENTY, "Fpz", "FC5", "FC1", "FC2", "FC6", "CP5", "CP1", "CP2", "CP6", "PO3", "PO4", "Oz", "POz"),
    # The clinical 10-20 system.
    19: _TEN_TWENTY,
    # A consumer headset with wet sensors.
    14: ("AF3", "AF4", "F7", "F3", "F4", "F8", "FC5", "FC6", "T7", "T8", "P7", "P8", "O1", "O2"),
    # A hobbyist's board.
    8: ("Fp1", "Fp2", "C3", "C4", "P7", "P8", "O1", "O2"),
}
"""Electrode names by their number."""


def wearing(n_electrodes: int, absent: Absent) -> NDArray[np.float64]:
    """What the canonical montage shows when only that montage is worn: ``(70, 70)``, from the canonical potentials.

    It is what the server does with such a headset, average reference included.
    """
    places = [tuple(electrode["position"]) for electrode in montage()]
    worn = np.isin(CAP, MONTAGES[n_electrodes])
    return Montage(CAP, places, CAP, places, absent).mapping(worn).matrix


class Montages:
    """Headsets, and in which share of the windows each is worn; that of the most electrodes is the first.

    Args:
        shares: by number of electrodes, as in ``FitSettings``.
        absent: what the net sees of electrodes that are not worn.

    Attributes:
        shares: ``(n_headsets,)``, which add up to one.
        matrices: ``(n_headsets, n_electrodes, n_electrodes)``, as ``wearing`` gives each.
    """

    def __init__(self, shares: Mapping[Headset, float], absent: Absent) -> None:
        numbers = sorted(shares, key=int, reverse=True)
        self.shares = np.array([shares[n] for n in numbers]) / sum(shares.values())
        self.matrices = torch.from_numpy(np.stack([wearing(int(n), absent) for n in numbers])).float()

    def draw(self, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """The number of the headset for each of ``n`` windows."""
        return rng.choice(len(self.shares), size=n, p=self.shares)

    def wear(self, eeg: Tensor, worn: NDArray[np.int64]) -> Tensor:
        """What the canonical montage shows, each window ``(n_electrodes, n_samples)`` under its headset."""
        return self.matrices[torch.from_numpy(worn)].to(eeg.device) @ eeg
