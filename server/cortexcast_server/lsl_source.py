"""The LSL side of a source: which streams there are, the choice of one, and an inlet that gives chunks in volts."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import pylsl

from cortexcast_server.lsl_metadata import OUTLET_SOURCE, eeg_layout
from cortexcast_server.signal import Chunk, SignalError

_LOOK_S = 1.0
"""liblsl may miss a stream in its first look, even one of the same machine, but not for so long."""

_FORGET_S = 2.0
_POLL_S = 0.05
_OPEN_TIMEOUT_S = 5.0
_CLOCK_PERIOD_S = 5.0
_MAX_PULL = 4096
_CHOOSE = "Choose a stream with --name, --type, --source-id or --predicate"


class SourceLostError(Exception):
    """The stream went away."""


@dataclass(frozen=True, slots=True)
class Query:
    """Which stream to take. Empty fields match anything; ``predicate`` is XPath, as ``starts-with(name,'Bio')``."""

    name: str = ""
    type: str = ""
    source_id: str = ""
    predicate: str = ""

    def __str__(self) -> str:
        parts = [f"{key} {value!r}" for key in ("name", "type", "source_id") if (value := getattr(self, key))]
        return " and ".join(parts + ([f"predicate {self.predicate}"] if self.predicate else [])) or "type 'EEG'"

    @property
    def xpath(self) -> str:
        """The predicate that liblsl resolves."""
        parts = [f"{key}={_quote(value)}" for key in ("name", "type", "source_id") if (value := getattr(self, key))]
        if self.predicate:
            parts.append(f"({self.predicate})")
        return " and ".join(parts or ["type='EEG'"])


class _Lookout:
    """One of liblsl's continuous resolvers, kept for the life of the process.

    liblsl's one-shot resolvers, and the destruction of any resolver, now and then take five seconds longer than asked.
    """

    def __init__(self, predicate: str) -> None:
        self._resolver = pylsl.ContinuousResolver(pred=predicate or None, forget_after=_FORGET_S)
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._resolver))  # not even destroyed at exit
        self._since = time.monotonic()

    def looked_s(self) -> float:
        return time.monotonic() - self._since

    def streams(self) -> list[pylsl.StreamInfo]:
        return sorted(self._resolver.results(), key=lambda info: (info.name(), info.source_id(), info.uid()))


_lookout = cache(_Lookout)


def resolve(predicate: str = "", look_s: float = _LOOK_S) -> list[pylsl.StreamInfo]:
    """The streams on the network, or those that match an XPath predicate.

    The first call for a predicate looks for ``look_s``; later ones know already.
    """
    lookout = _lookout(predicate)
    time.sleep(max(0.0, look_s - lookout.looked_s()))
    return lookout.streams()


def find(
    query: Query, wait_s: float, *, but_not: str = "", go_on: Callable[[], bool] = lambda: True
) -> pylsl.StreamInfo:
    """The one headset that matches, waited for; ``but_not`` is the uid of one that has gone.

    Raises:
        SignalError: none matches (the message lists what is there), several do, or ``go_on`` turned false.
    """
    lookout = _lookout(query.xpath)
    deadline = time.monotonic() + wait_s
    while go_on():
        matches = [
            info
            for info in lookout.streams()
            if not info.source_id().startswith(OUTLET_SOURCE) and info.uid() != but_not
        ]
        if matches and lookout.looked_s() >= _LOOK_S:
            if len(matches) == 1:
                return matches[0]
            listing = "; ".join(describe(info) for info in matches)
            raise SignalError(f"{len(matches)} streams match {query}: {listing}. {_CHOOSE}")
        if time.monotonic() >= deadline and lookout.looked_s() >= _LOOK_S:
            break
        time.sleep(_POLL_S)
    others = "; ".join(describe(info) for info in resolve()) if go_on() else ""
    raise SignalError(
        f"no stream matches {query} after {wait_s:g} s; on the network: {others or 'none at all'}. Start the headset's "
        f"LSL stream, or run 'cortexcast doctor'. {_CHOOSE}"
    )


def describe(info: pylsl.StreamInfo) -> str:
    """A stream in a phrase."""
    rate = f"{info.nominal_srate():g} Hz" if info.nominal_srate() else "irregular"
    return (
        f"{info.name()!r} (type {info.type()}, {info.channel_count()} channels, {rate}, "
        f"source_id {info.source_id()!r}, host {info.hostname()})"
    )


class LslSource:
    """An inlet on an EEG stream. Never reopened: after a loss, make a new one.

    Args:
        info: the resolved stream.
        unit: overrides the unit that the stream declares.

    Raises:
        SignalError: the stream has no usable EEG, or does not answer.
    """

    def __init__(self, info: pylsl.StreamInfo, unit: str | None = None) -> None:
        # recover=False: liblsl's recovery takes a stream of another rate for the lost one.
        self._inlet = pylsl.StreamInlet(info, max_buflen=60, recover=False)
        try:
            full = self._inlet.info(_OPEN_TIMEOUT_S)
            self._layout = eeg_layout(full, unit)
            self._clock_offset = self._inlet.time_correction(_OPEN_TIMEOUT_S)
            self._inlet.open_stream(_OPEN_TIMEOUT_S)  # last: samples queue up from here on
        except (pylsl.util.TimeoutError, pylsl.util.LostError):
            raise SignalError(
                f"stream {describe(info)} is announced but does not answer: is its sender alive, and the network open "
                "for LSL's ports (16572 to 16604)? 'cortexcast doctor' checks"
            ) from None
        self.signal = self._layout.signal
        self.source_id = full.source_id()
        self.uid = full.uid()
        self._clock_read = pylsl.local_clock()

    def read(self, timeout_s: float) -> Chunk | None:
        """The samples that have arrived, waiting for the first; None if none came in time.

        Raises:
            SourceLostError: the stream went away.
        """
        try:
            samples, stamps = self._inlet.pull_chunk(timeout_s, _MAX_PULL, min_samples=1, as_numpy=True)
            received = pylsl.local_clock()
            if received - self._clock_read > _CLOCK_PERIOD_S:
                self._clock_offset = self._inlet.time_correction(0.01)
                self._clock_read = received
        except pylsl.util.LostError:
            raise SourceLostError from None
        except pylsl.util.TimeoutError:  # of the clock's reading alone: keep the one before
            self._clock_read = received
        if not len(stamps):
            return None
        return Chunk(self._layout.to_volts(samples), stamps, received, self._clock_offset)

    def close(self) -> None:
        """Disconnect."""
        self._inlet.close_stream()


class MarkerSource:
    """An inlet on a stream of string markers."""

    def __init__(self, info: pylsl.StreamInfo) -> None:
        self.name = info.name()
        self._inlet = pylsl.StreamInlet(info, recover=False)
        self._clock_offset = self._inlet.time_correction(_OPEN_TIMEOUT_S)
        self._inlet.open_stream(_OPEN_TIMEOUT_S)

    def read(self) -> Sequence[tuple[str, float]]:
        """The markers that have arrived: label and time, in this machine's LSL clock.

        Raises:
            SourceLostError: the stream went away.
        """
        try:
            samples, stamps = self._inlet.pull_chunk(0.0)
        except pylsl.util.LostError:
            raise SourceLostError from None
        return [(", ".join(sample), stamp + self._clock_offset) for sample, stamp in zip(samples, stamps, strict=True)]

    def close(self) -> None:
        """Disconnect."""
        self._inlet.close_stream()


def marker_streams() -> list[pylsl.StreamInfo]:
    """The string streams of type Markers on the network."""
    return [info for info in resolve("type='Markers'") if info.channel_format() == pylsl.cf_string]


def _quote(value: str) -> str:
    """An XPath literal, which knows no escapes."""
    if "'" not in value:
        return f"'{value}'"
    if '"' not in value:
        return f'"{value}"'
    raise SignalError(f"{value!r} holds both kinds of quotes: choose the stream with --predicate")
