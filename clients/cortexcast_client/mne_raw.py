"""A recording as MNE-Python's ``Raw``, in memory or on disk. The one module of the client that needs MNE."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mne
import numpy as np
from mne.io import BaseRaw

from cortexcast_client.messages import Channel, Product
from cortexcast_client.recording import Recording

_TYPES = {"eeg": "eeg", "mag": "mag", "grad": "grad"}
"""Our types that MNE has too; all others, as BOLD and labels, are ``misc`` there."""

_SIMULATED = "simulated by cortexcast"
"""How the description of every file begins whose brain was never in a head: replayed, it is still known for one."""


def to_raw(recording: Recording) -> mne.io.RawArray:
    """The whole recording, in memory."""
    info = _info(recording)
    raw = mne.io.RawArray(recording.read(0, recording.n_samples), info, verbose="error")
    return _annotated(raw, recording)


def save(recording: Recording, path: Path, split_size: str = "2GB") -> None:
    """Write the recording as ``_raw.fif``, float32, a second at a time; what is longer in parts, as MNE does.

    Raises:
        OSError: the file cannot be written.
    """
    raw = _annotated(_Read(recording), recording)
    raw.save(path, fmt="single", split_size=split_size, overwrite=True, verbose="error")


class _Read(BaseRaw):  # type: ignore[misc]
    """Reads a recording where it lies, so that hours of MEG need no gigabytes of memory."""

    def __init__(self, recording: Recording) -> None:
        last = recording.n_samples - 1
        super().__init__(_info(recording), last_samps=[last], raw_extras=[{"recording": recording}], verbose="error")

    def _read_segment_file(self, data: Any, idx: Any, fi: int, start: int, stop: int, *_: Any) -> None:
        """Fill ``data`` with these channels and samples: what MNE asks of a reader."""
        data[:] = self._raw_extras[fi]["recording"].read(start, stop)[idx]


def _info(recording: Recording) -> mne.Info:
    channels = [channel for product in recording.products for channel in product.channels]
    types = [_TYPES.get(channel.type, "misc") for channel in channels]
    info = mne.create_info([channel.name for channel in channels], recording.rate_hz, types, verbose="error")
    for entry, channel in zip(info["chs"], channels, strict=True):
        # Coils of MNE's defaults for these types, which are those of the 306 sensors. Of misc, it is the place alone.
        entry["loc"][: len(channel.location)] = channel.location
    electrodes = {channel.name: channel.location for channel in channels if _is_placed_electrode(channel)}
    if electrodes:
        montage = mne.channels.make_dig_montage(
            {name: np.array(place) for name, place in electrodes.items()}, coord_frame="head"
        )
        info.set_montage(montage, on_missing="ignore", verbose="error")
    described = "; ".join(map(_described, recording.products))
    is_simulated = any(product.simulated for product in recording.products)
    info["description"] = f"{_SIMULATED}: {described}" if is_simulated else described
    return info


def _is_placed_electrode(channel: Channel) -> bool:
    return channel.type == "eeg" and len(channel.location) == 3


def _described(product: Product) -> str:
    units = sorted({channel.unit for channel in product.channels})
    model = product.model
    made_by = "" if model is None else f", by {model.name} {model.version}, trained on: {model.trained_on}"
    return f"{product.name} of {product.stream}, session {product.session}, in {' and '.join(units)}{made_by}"


def _annotated(raw: Any, recording: Recording) -> Any:
    raw.set_meas_date(datetime.fromtimestamp(recording.unix_start, UTC))
    found = recording.annotations()
    raw.set_annotations(
        mne.Annotations(
            [annotation.onset_s for annotation in found],
            [annotation.duration_s for annotation in found],
            [annotation.label for annotation in found],
        ),
        verbose="error",
    )
    return raw
