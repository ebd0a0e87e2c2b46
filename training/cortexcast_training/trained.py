"""A trained model in a file: what export, evaluation and calibration begin with."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cortexcast_training.adaptation import HeadStatistics
from cortexcast_training.checkpoint import load_state, pack_state, save_state
from cortexcast_training.net import Analysis, Net, NetShape
from cortexcast_training.novelty import Novelty
from cortexcast_training.scaling import Units
from cortexcast_training.transformer_bundle import Hop
from cortexcast_training.wiener import Taps

FILE = "trained.pt"


@dataclass(frozen=True)
class Trained:
    """A model.

    Attributes:
        hop: the net with its units and its novelty, ready for export.
        train_subjects, validation_subjects: their names.
        golden_eeg: ``(n_electrodes, n_samples)`` in V, a window of a validation subject.
    """

    hop: Hop
    train_subjects: tuple[str, ...]
    validation_subjects: tuple[str, ...]
    golden_eeg: NDArray[np.float32]

    @property
    def units(self) -> Units:
        """Of the training data."""
        return Units(float(self.hop.eeg_unit), self.hop.meg_unit.double().numpy())


def save_trained(folder: Path, trained: Trained) -> None:
    """Write the model, as a whole or not at all.

    Raises:
        CheckpointError: it cannot be written.
    """
    save_state(folder / FILE, _state(trained))


def pack_trained(trained: Trained) -> bytes:
    """What ``save_trained`` writes, to lie in a bundle."""
    return pack_state(_state(trained))


def load_trained(folder: Path) -> Trained:
    """Read a model.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    saved = load_state(folder / FILE)
    shape, taps = NetShape(**saved["shape"]), Taps(**saved["taps"])
    empty = Analysis(
        basis=np.zeros((shape.n_sensors, shape.n_components), np.float32),
        wiener=np.zeros((shape.n_components, shape.n_electrodes, taps.n), np.float32),
        taps=taps,
        noise=np.ones(shape.n_sensors, np.float32),
        filters=np.zeros((shape.n_filters, shape.n_electrodes), np.float32),
        experts=np.zeros((shape.n_experts, shape.n_components, shape.n_electrodes), np.float32),
        heads=HeadStatistics(
            mean=np.zeros((shape.n_electrodes, shape.n_electrodes), np.float32),
            directions=np.zeros((shape.n_features, shape.n_electrodes, shape.n_electrodes), np.float32),
            strengths=np.zeros((shape.n_modes, shape.n_features), np.float32),
            eeg_modes=np.zeros((shape.n_modes, shape.n_electrodes, shape.n_electrodes), np.float32),
            field_modes=np.zeros((shape.n_modes, shape.n_components, shape.n_components), np.float32),
        ),
    )
    hop = Hop(Net(shape, empty), Novelty(shape), Units(1.0, np.ones(shape.n_sensors)))
    hop.load_state_dict(saved["state"])
    return Trained(
        hop.eval(), tuple(saved["train_subjects"]), tuple(saved["validation_subjects"]), saved["golden_eeg"].numpy()
    )


def _state(trained: Trained) -> dict[str, Any]:
    net = trained.hop.net
    return {
        "shape": asdict(net.shape),
        "taps": asdict(net.taps),
        "state": trained.hop.state_dict(),
        "train_subjects": list(trained.train_subjects),
        "validation_subjects": list(trained.validation_subjects),
        "golden_eeg": torch.from_numpy(trained.golden_eeg),
    }
