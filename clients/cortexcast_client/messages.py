"""What a daemon says besides frames: its products, markers and a session's health. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cortexcast_client.errors import ProtocolError
from cortexcast_client.wire import Frame


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel of a product.

    Attributes:
        name: as ``MEG0113`` or ``Cz``.
        type: ``eeg``, ``mag``, ``grad``, ``bold``, ``embedding`` or ``label``.
        unit: ``V``, ``T``, ``T/m``, ``%``, or ``1`` of what has none.
        location: in metres: 3 numbers (head coordinates; of ``bold`` MNI's), FIFF's 12 (device coordinates), or none if
            unknown.
    """

    name: str
    type: str
    unit: str
    location: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Model:
    """The bundle that makes a product; ``trained_on`` is ``physics``, ``simulated`` or ``recorded``."""

    name: str
    version: str
    digest: str
    trained_on: str


@dataclass(frozen=True, slots=True)
class Product:
    """One stream of frames of one session, as the daemon announces it.

    Attributes:
        index: the product's number on this connection.
        session: the id of the daemon's session.
        stream: name of the headset's LSL stream.
        name: ``eeg``, ``meg``, ``fmri``, ``stimulus``, or of a replayed file that holds it, ``meg_recorded``.
        rate_hz: sampling rate.
        hop: samples a frame.
        delay_s: signal delay: the newest EEG sample a frame needed is this much younger than its last sample.
        channels: in the order of the frames' rows.
        model: what estimates it; None for ``eeg`` and ``meg_recorded``.
        replayed: the source is a recording, not a headset.
        simulated: no brain was measured: the source says that it was simulated.
    """

    index: int
    session: str
    stream: str
    name: str
    rate_hz: float
    hop: int
    delay_s: float
    channels: tuple[Channel, ...]
    model: Model | None
    replayed: bool
    simulated: bool = False

    def times(self, frame: Frame) -> NDArray[np.float64]:
        """When each sample of the frame happened: ``(n_samples,)``, seconds of the LSL clock."""
        return frame.t0 + np.arange(frame.data.shape[1], dtype=np.float64) / self.rate_hz

    def latency(self, frame: Frame, *, unix_now: float, clock_offset: float) -> float:
        """Seconds from the newest EEG sample that the frame needed until ``unix_now``.

        Args:
            frame: a frame of this product.
            unix_now: ``time.time()`` at its arrival, by a clock that agrees with the daemon's.
            clock_offset: the connection's: seconds to add to the daemon's LSL clock to get Unix time.
        """
        n_samples: int = frame.data.shape[1]
        newest = frame.t0 + (n_samples - 1) / self.rate_hz + self.delay_s
        return unix_now - (newest + clock_offset)

    def ranked_labels(self, frame: Frame) -> list[tuple[str, float]]:
        """What is likeliest to have been seen at the frame's last sample, and how probable, the likeliest first.

        Empty for a product that has no labels, and where nothing is known.
        """
        last = frame.data[:, -1]
        rows = [row for row, channel in enumerate(self.channels) if channel.type == "label" and np.isfinite(last[row])]
        return sorted(((self.channels[row].name, float(last[row])) for row in rows), key=lambda each: -each[1])


@dataclass(frozen=True, slots=True)
class Marker:
    """A marker of the source's; ``time`` is in seconds of the LSL clock, plus ``clock_offset`` Unix time."""

    session: str
    stream: str
    label: str
    time: float
    clock_offset: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """How the estimate of MEG agrees with the MEG of a replayed file.

    Of the demo's simulated file that is the truth; of a real one the MEG as it was recorded, with its noise and in its
    own helmet's pose.

    Attributes:
        seconds: how much is compared, of the last 20 s.
        explained_variance: share of the power of the file's MEG, by ``mag`` and ``grad``.
        median_r: over sensors, of the correlation over time, by ``mag`` and ``grad``.
    """

    seconds: float
    explained_variance: Mapping[str, float]
    median_r: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Status:
    """A session's health, each second and at each change of state.

    Attributes:
        session: the daemon's session.
        state: ``live``, ``stalled``, ``lost``, ``failed`` or ``ended``.
        error: why it failed, or None.
        samples_in: EEG samples taken from the source.
        samples_out: samples of MEG given, at its rate.
        gaps: how often samples were missing.
        missing_s: how much was missing, in seconds.
        restarts: how often the source was opened anew.
        rate_hz: measured rate of the source, or None when not known yet.
        sample_age_s: age of the newest sample, or None before the first.
        latency_ms: ``p50``, ``p95`` and ``p99`` within the daemon over the last second, or None; an older daemon
            says no ``p95``.
        bad_channels: channels left out.
        interpolated: channels of the model's montage that were interpolated.
        notes: what else the daemon noticed about the source.
        agreement: with the MEG of the replayed file; None where there is none to compare with.
        clock_offset: seconds to add to the daemon's LSL clock to get Unix time, now; None from an older daemon.
        dropped: frames that this subscriber did not get, by product index.
    """

    session: str
    state: str
    error: str | None
    samples_in: int
    samples_out: int
    gaps: int
    missing_s: float
    restarts: int
    rate_hz: float | None
    sample_age_s: float | None
    latency_ms: Mapping[str, float] | None
    bad_channels: tuple[str, ...]
    interpolated: tuple[str, ...]
    notes: tuple[str, ...]
    dropped: Mapping[int, int]
    agreement: Agreement | None = None
    clock_offset: float | None = None


Object = Mapping[str, Any]
"""A JSON object. Keys that this client does not know are ignored: a newer daemon may say more."""


def parse_products(message: Object) -> tuple[Product, ...]:
    """The products of a ``hello`` or ``products`` message.

    Raises:
        ProtocolError: a field is missing or of the wrong type.
    """
    try:
        return tuple(_product(item) for item in message["products"])
    except (KeyError, TypeError, ValueError) as error:
        raise _malformed(message, error) from None


def parse_marker(message: Object) -> Marker:
    """A ``marker`` message.

    Raises:
        ProtocolError: a field is missing or of the wrong type.
    """
    try:
        return Marker(
            session=str(message["session"]),
            stream=str(message["stream"]),
            label=str(message["label"]),
            time=float(message["time"]),
            clock_offset=float(message["clock_offset"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _malformed(message, error) from None


def parse_status(message: Object) -> Status:
    """A ``status`` message.

    Raises:
        ProtocolError: a field is missing or of the wrong type.
    """
    try:
        latency = message["latency_ms"]
        return Status(
            session=str(message["session"]),
            state=str(message["state"]),
            error=None if message["error"] is None else str(message["error"]),
            samples_in=int(message["samples_in"]),
            samples_out=int(message["samples_out"]),
            gaps=int(message["gaps"]),
            missing_s=float(message["missing_s"]),
            restarts=int(message["restarts"]),
            rate_hz=_optional_float(message["rate_hz"]),
            sample_age_s=_optional_float(message["sample_age_s"]),
            latency_ms=None if latency is None else {str(key): float(value) for key, value in dict(latency).items()},
            bad_channels=tuple(map(str, message["bad_channels"])),
            interpolated=tuple(map(str, message["interpolated"])),
            notes=tuple(map(str, message["notes"])),
            dropped={int(index): int(n) for index, n in dict(message["dropped"]).items()},
            agreement=_agreement(message.get("agreement")),
            clock_offset=_optional_float(message.get("clock_offset")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _malformed(message, error) from None


def _product(item: Object) -> Product:
    model = item["model"]
    return Product(
        index=int(item["index"]),
        session=str(item["session"]),
        stream=str(item["stream"]),
        name=str(item["product"]),
        rate_hz=float(item["rate_hz"]),
        hop=int(item["hop"]),
        delay_s=float(item["delay_s"]),
        channels=tuple(_channel(channel) for channel in item["channels"]),
        model=None if model is None else Model(*(str(model[key]) for key in Model.__slots__)),
        replayed=bool(item["replayed"]),
        simulated=bool(item.get("simulated", False)),
    )


def _channel(item: Object) -> Channel:
    location = tuple(float(number) for number in item["location"])
    return Channel(str(item["name"]), str(item["type"]), str(item["unit"]), location)


def _agreement(item: Object | None) -> Agreement | None:
    if item is None:
        return None
    explained, median_r = (
        {str(kind): float(value) for kind, value in dict(item[key]).items()}
        for key in ("explained_variance", "median_r")
    )
    return Agreement(float(item["seconds"]), explained, median_r)


def _optional_float(value: Any) -> float | None:
    return None if value is None else float(value)


def _malformed(message: Object, error: Exception) -> ProtocolError:
    problem = f"{error} is missing" if isinstance(error, KeyError) else str(error)
    return ProtocolError(f"malformed {message.get('type')!r} message: {problem}")
