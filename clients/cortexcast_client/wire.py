"""The wire codec of subprotocol ``cortexcast.v1``: frames to bytes and back. Pure; client and server share it.

A data frame is a 40-byte little-endian header, then the payload as float32, channel-major. Where the flag ``STD`` is
set, one float32 standard deviation per channel follows the payload. The layout is naturally aligned, so a browser can
lay a ``Float32Array`` over the payload. ``docs/protocol.md`` is the reference for other languages.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntFlag
from typing import Any

import numpy as np
from numpy.typing import NDArray

SUBPROTOCOL = "cortexcast.v1"
KIND_DATA = 1
VERSION = 1
HEADER = struct.Struct("<BBHIQdQIHH")
_DROPPED = struct.Struct("<I")
_DROPPED_OFFSET = 32


class WireError(ValueError):
    """The bytes are not a frame of this protocol version. The message says what was found."""


class Flags(IntFlag):
    """Where a frame comes from and how far to trust it."""

    GAP = 1 << 0
    """Samples are missing between the frame before and this one."""
    RESET = 1 << 1
    """Filters and model started anew; the model's window still holds samples from before the start."""
    INTERPOLATED = 1 << 2
    """Some channels of the model's montage were interpolated."""
    BAD_CHANNELS = 1 << 3
    """Some channels of the headset are flat or not finite and were left out."""
    NO_SIGNAL = 1 << 4
    """Too few good channels for an estimate: the payload is NaN."""
    OUT_OF_DISTRIBUTION = 1 << 5
    """The input is unlike what the model was trained on."""
    REPLAYED = 1 << 6
    """The source is a recording, not a headset."""
    RESTAMPED = 1 << 7
    """The source's time stamps were not in the LSL clock and were replaced."""
    TRAINED_ON_SIMULATION = 1 << 8
    """The model was trained on simulated recordings alone."""
    STD = 1 << 9
    """A standard deviation per channel follows the payload."""


NO_FLAGS = Flags(0)


@dataclass(frozen=True, slots=True)
class Frame:
    """One hop of one product.

    Attributes:
        product: ``eeg``, ``meg``, ``fmri``, ``stimulus`` or ``meg_recorded``.
        sequence: counts the product's frames in its session, from 0.
        first_sample: index of the first sample, counted at the product's rate from the session's start.
        t0: time of the first sample in seconds of the LSL clock: when the brain did it, not when it was computed.
        data: float32 ``(n_channels, n_samples)`` in the channels' units (V, T, T/m; % of BOLD).
        std: float32 ``(n_channels,)``, the estimate's standard deviation in the same units, or None.
        flags: provenance and trust.
        dropped: frames of this product that this subscriber did not get, so far.
        session: the daemon's session that it belongs to.
    """

    product: str
    sequence: int
    first_sample: int
    t0: float
    data: NDArray[np.float32] = field(repr=False)
    std: NDArray[np.float32] | None = field(default=None, repr=False)
    flags: Flags = NO_FLAGS
    dropped: int = 0
    session: str = ""


def encode(frame: Frame, product_index: int) -> bytes:
    """The frame as bytes. ``product_index`` is the product's index in ``hello``."""
    n_channels, n_samples = frame.data.shape
    flags = frame.flags & ~Flags.STD
    if frame.std is not None:
        flags |= Flags.STD
    header = HEADER.pack(
        KIND_DATA, VERSION, product_index, flags, frame.sequence, frame.t0, frame.first_sample,
        frame.dropped, n_channels, n_samples,
    )  # fmt: skip
    payload = np.ascontiguousarray(frame.data, "<f4").tobytes()
    return header + payload + (b"" if frame.std is None else np.ascontiguousarray(frame.std, "<f4").tobytes())


def with_dropped(message: bytes, dropped: int) -> bytes:
    """The same encoded frame with another drop count: the one field that differs between subscribers."""
    end = _DROPPED_OFFSET + _DROPPED.size
    return message[:_DROPPED_OFFSET] + _DROPPED.pack(dropped) + message[end:]


def decode(message: bytes, products: Mapping[int, tuple[str, str]]) -> Frame:
    """The frame that ``encode`` made.

    Args:
        message: one binary WebSocket message.
        products: session and product name by the product's index, as ``hello`` and ``products`` messages give them.

    Raises:
        WireError: too short, of another kind or version, of a length that the header does not imply, or of a product
            that no message announced.
    """
    if len(message) < HEADER.size:
        raise WireError(f"a data frame has at least {HEADER.size} bytes, this message has {len(message)}")
    kind, version, index, flags, sequence, t0, first_sample, dropped, n_channels, n_samples = HEADER.unpack_from(
        message
    )
    if (kind, version) != (KIND_DATA, VERSION):
        raise WireError(
            f"frame of kind {kind}, version {version}; this client reads kind {KIND_DATA}, version {VERSION}"
        )
    n_std = n_channels if flags & Flags.STD else 0
    expected = HEADER.size + 4 * (n_channels * n_samples + n_std)
    if len(message) != expected:
        raise WireError(
            f"{n_channels} channels × {n_samples} samples make {expected} bytes, this message has {len(message)}"
        )
    if index not in products:
        raise WireError(f"frame of product index {index}, which no 'hello' or 'products' message announced")
    session, product = products[index]
    values = np.frombuffer(message, "<f4", offset=HEADER.size)
    data = values[: n_channels * n_samples].reshape(n_channels, n_samples)
    std = values[n_channels * n_samples :] if n_std else None
    return Frame(product, sequence, first_sample, t0, data, std, Flags(flags), dropped, session)


def to_json(frame: Frame) -> dict[str, Any]:
    """The frame as a JSON object, for ``?format=json``. NaN, which JSON has not, becomes null."""
    return {
        "type": "frame",
        "session": frame.session,
        "product": frame.product,
        "sequence": frame.sequence,
        "first_sample": frame.first_sample,
        "t0": frame.t0,
        "flags": [flag.name for flag in frame.flags],
        "dropped": frame.dropped,
        "data": _nullable(frame.data),
        "std": None if frame.std is None else _nullable(frame.std),
    }


def from_json(message: Mapping[str, Any]) -> Frame:
    """The frame that ``to_json`` made.

    Raises:
        WireError: a field is missing or of the wrong type.
    """
    try:
        flags = Flags(0)
        for name in message["flags"]:
            flags |= Flags[name]
        return Frame(
            product=message["product"],
            sequence=message["sequence"],
            first_sample=message["first_sample"],
            t0=message["t0"],
            data=np.array(message["data"], np.float32),
            std=None if message["std"] is None else np.array(message["std"], np.float32),
            flags=flags,
            dropped=message["dropped"],
            session=message["session"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise WireError(f"not a JSON frame: {error!r}") from None


def _nullable(values: NDArray[np.float32]) -> Any:
    if np.isfinite(values).all():
        return values.tolist()
    nullable = values.astype(object)
    nullable[~np.isfinite(values)] = None
    return nullable.tolist()
