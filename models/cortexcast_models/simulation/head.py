"""One simulated head as data: what its electrodes and the virtual helmet show of each patch of cortex.

The file is made by ``cortexcast export simulated-head``. With ``activity`` it gives EEG and the MEG behind it without
any lead field.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cortexcast_models.manifest import Electrode, OutputChannel, Strict
from cortexcast_models.simulation.activity import Family
from cortexcast_models.simulation.spectrum import Spectrum

FILE = Path(__file__).with_name("head.npz")
"""The head that ships."""

Singles = NDArray[np.float32]
_ARRAYS = ("eeg", "meg", "blink", "eeg_noise")


class Kind(Strict):
    """Patches of one kind: how many there are, and the spectrum of their activity."""

    name: str
    patches: int
    spectrum: Spectrum


class StateSettings(Strict):
    """How the networks' states follow one another; see ``activity.Switching``."""

    states: int
    patches_per_state: int
    dwell_min_s: float
    dwell_excess_s: float
    dwell_max_s: float
    transition_s: float


class HeadRecord(Strict):
    """What is no array.

    Attributes:
        electrodes: names, and positions as digitised: metres, head frame.
        sensors: of the virtual helmet.
        dev_head_t: its pose in the head frame, ``4 × 4``.
        kinds: of patches, in the order of the arrays' columns.
        switching: when which network is active.
    """

    electrodes: tuple[Electrode, ...]
    sensors: tuple[OutputChannel, ...]
    dev_head_t: tuple[tuple[float, ...], ...]
    kinds: tuple[Kind, ...]
    switching: StateSettings


@dataclass(frozen=True)
class SimulatedHead:
    """A head.

    Attributes:
        record: electrodes, sensors and families of patches.
        eeg: ``(n_electrodes, n_patches)`` in V at activity one, average reference.
        meg: ``(n_sensors, n_patches)`` in T and T/m likewise, in the virtual helmet.
        blink: ``(n_electrodes,)`` in V at the peak of a blink, average reference.
        eeg_noise: ``(n_electrodes, n_electrodes)`` in V/√Hz: times independent white noise of a one-sided density of
            one, the noise of electrodes and amplifier.
    """

    record: HeadRecord
    eeg: Singles
    meg: Singles
    blink: Singles
    eeg_noise: Singles

    @property
    def families(self) -> tuple[Family, ...]:
        """The families of patches."""
        stops = np.cumsum([kind.patches for kind in self.record.kinds]).tolist()
        return tuple(
            Family(kind.name, slice(stop - kind.patches, stop), kind.spectrum)
            for kind, stop in zip(self.record.kinds, stops, strict=True)
        )


def read_head(path: Path = FILE) -> SimulatedHead:
    """The head in a file."""
    with np.load(path, allow_pickle=False) as arrays:
        record = HeadRecord.model_validate_json(arrays["record"].tobytes())
        return SimulatedHead(record, **{name: arrays[name] for name in _ARRAYS})


def pack_head(head: SimulatedHead) -> bytes:
    """The file of a head; the same head gives the same bytes."""
    buffer = io.BytesIO()
    record = np.frombuffer(head.record.model_dump_json().encode(), np.uint8)
    arrays = {name: np.asarray(getattr(head, name), np.float32) for name in _ARRAYS}
    np.savez_compressed(buffer, allow_pickle=False, record=record, **arrays)
    return buffer.getvalue()
