"""A run of EEG and fMRI as models see it: log band power of the EEG, four times a second, and the BOLD of parcels.

The EEG goes through the server's own preprocessing, so that models learn from what they will be given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cortexcast_models.manifest import Butterworth, Position, Preprocessing, Resample
from cortexcast_models.montage import Montage, MontageError
from cortexcast_models.preprocessing import Preprocessor
from cortexcast_training.eegfmri.band_power import HOP, RATE_HZ, log_band_power
from cortexcast_training.eegfmri.simulator import ELECTRODES
from cortexcast_training.eegfmri.stimulus import Stimulus
from cortexcast_training.manifest_fields import montage

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

PREPROCESSING = Preprocessing(
    resample=Resample(kind="resample", rate_hz=RATE_HZ, passband_hz=45.0),
    filters=(Butterworth(kind="highpass", hz=1.0, order=2),),
)
"""Of the EEG, in models."""

HOP_S = HOP / RATE_HZ


class RunError(Exception):
    """A run cannot be used. The message says which and why."""


@dataclass(frozen=True)
class Run:
    """One run of one subject.

    Attributes:
        subject, film: whose, and what was shown.
        power: ``(n_hops, n_electrodes, n_bands)``, logarithm of V², electrodes as ``ELECTRODES``.
        bold: ``(n_parcels, n_volumes)``, percent; NaN in parcels that were not scanned.
        hops: ``(n_volumes,)``, the hop that ends when each volume is taken.
        stimulus: what was seen while each volume was taken; None where it is not known.
        visible: ``(n_parcels, n_volumes)``: of a simulation, what of ``bold`` electrodes can see.
        take: which of several of this subject and film, such as ``ses-01_run-02``.
        late_s: how long after a volume's beginning what it shows was.
        simulated: whether nobody recorded it.
        events: the task's markers in the EEG: the hop that each is in, and its name.
        displacement: ``(n_volumes,)`` in mm, by how much the head has moved since the volume before; None where that is
            not known.
    """

    subject: str
    film: str
    power: Singles
    bold: Singles
    hops: NDArray[np.int64]
    stimulus: Stimulus | None = None
    visible: Singles | None = None
    take: str = ""
    late_s: float = 0.0
    simulated: bool = False
    events: tuple[tuple[int, str], ...] = ()
    displacement: Singles | None = None

    @property
    def name(self) -> str:
        """Of whom and of what."""
        return run_name(self.subject, self.film, self.take)

    @property
    def tr_s(self) -> float:
        """From volume to volume, as well as hops tell."""
        return float(self.hops[-1] - self.hops[0]) * HOP_S / (len(self.hops) - 1)


def run_name(subject: str, film: str, take: str = "") -> str:
    """The name of a run, which no other has."""
    return "_".join(part for part in (subject, film, take) if part)


def electrode_power(
    eeg: Singles, rate_hz: float, names: Sequence[str], positions: Sequence[Position | None], name: str
) -> Singles:
    """Log band power of a recording, ``(n_hops, n_electrodes, n_bands)``, electrodes as ``ELECTRODES``.

    Args:
        eeg: ``(n_channels, n)`` in V, none of them bad, any reference.
        rate_hz: of it.
        names: of the channels.
        positions: of the channels in m, head coordinates, where they are known.
        name: of the recording, for messages.

    Raises:
        RunError: its electrodes cannot be mapped.
    """
    places = [tuple(electrode["position"]) for electrode in montage(ELECTRODES)]
    try:
        worn = Montage(names, positions, ELECTRODES, places)
        to_montage = worn.mapping(np.ones(len(names), bool)).matrix
    except MontageError as error:
        raise RunError(f"{name}: {error}") from None
    preprocessor = Preprocessor(PREPROCESSING, rate_hz, len(eeg), HOP)
    blocks = [to_montage @ block.data for block in preprocessor.push(eeg)]
    return log_band_power(np.concatenate(blocks, axis=1).astype(np.float32))


def hops_at(times_s: Floats, n_hops: int) -> NDArray[np.int64]:
    """The last hop that has ended at each of these times since the EEG's beginning, -1 where none has."""
    return np.clip(np.floor(times_s / HOP_S + 1e-6).astype(np.int64) - 1, -1, n_hops - 1)
