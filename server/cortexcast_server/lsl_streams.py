"""Which LSL streams there are, and the choice of one."""

from __future__ import annotations

import ctypes
import math
import time
from collections.abc import Callable, Container
from dataclasses import dataclass
from functools import cache

import pylsl

from cortexcast_server.lsl_metadata import OUTLET_SOURCE
from cortexcast_server.signal import SignalError

_LOOK_S = 1.0
"""liblsl may miss a stream in its first look, even one of the same machine, but not for so long."""

_FORGET_S = 2.0
_POLL_S = 0.05
_CHOOSE = "Choose a stream with --name, --type, --source-id or --predicate"


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

    def matches(self, info: pylsl.StreamInfo) -> bool:
        """Whether a stream is meant; the predicate is liblsl's to judge. No daemon's output is ever meant."""
        stream_type = self.type or ("" if self != Query() else "EEG")
        wanted = ((self.name, info.name()), (stream_type, info.type()), (self.source_id, info.source_id()))
        return not info.source_id().startswith(OUTLET_SOURCE) and all(want in ("", has) for want, has in wanted)


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


# One serves every query but those with a predicate of their own, of which a process sees few.
_lookout = cache(_Lookout)


def resolve(look_s: float = _LOOK_S) -> list[pylsl.StreamInfo]:
    """The streams on the network. The first call looks for ``look_s``; later ones know already."""
    lookout = _lookout("")
    time.sleep(max(0.0, look_s - lookout.looked_s()))
    return lookout.streams()


def find(
    query: Query, wait_s: float, *, but_not: Container[str] = (), go_on: Callable[[], bool] = lambda: True
) -> pylsl.StreamInfo:
    """The one headset that matches, waited for; ``but_not`` holds the uids of those that have gone.

    Several are an error once that lasts: a headset that was restarted is announced twice for a while.

    Raises:
        SignalError: none matches (the message lists what is there), several do, or ``go_on`` turned false.
    """
    lookout = _lookout(query.predicate)
    deadline = time.monotonic() + wait_s
    several_since = math.inf
    while go_on():
        matches = [info for info in lookout.streams() if query.matches(info) and info.uid() not in but_not]
        looked = lookout.looked_s() >= _LOOK_S
        if looked and len(matches) == 1:
            return matches[0]
        several_since = min(several_since, time.monotonic()) if len(matches) > 1 else math.inf
        if looked and time.monotonic() - several_since >= min(wait_s, _FORGET_S):
            listing = "; ".join(describe(info) for info in matches)
            raise SignalError(f"{len(matches)} streams match {query}: {listing}. {_CHOOSE}")
        if looked and not matches and time.monotonic() >= deadline:
            break
        time.sleep(_POLL_S)
    others = "; ".join(describe(info) for info in resolve()) if go_on() else ""
    raise SignalError(
        f"no stream matches {query} after {wait_s:g} s; on the network: {others or 'none at all'}. Start the headset's "
        f"LSL stream, or run 'cortexcast doctor'. {_CHOOSE}"
    )


def marker_streams() -> list[pylsl.StreamInfo]:
    """The string streams of type Markers on the network."""
    return [info for info in resolve() if info.type() == "Markers" and info.channel_format() == pylsl.cf_string]


def describe(info: pylsl.StreamInfo) -> str:
    """A stream in a phrase."""
    rate = f"{info.nominal_srate():g} Hz" if info.nominal_srate() else "irregular"
    return (
        f"{info.name()!r} (type {info.type()}, {info.channel_count()} channels, {rate}, "
        f"source_id {info.source_id()!r}, host {info.hostname()})"
    )


def unix_clock_offset() -> float:
    """What to add to a time of the LSL clock to get Unix time."""
    return time.time() - float(pylsl.local_clock())
