"""What ``cortexcast watch`` counts, and how it says so. Pure: the records are JSON objects."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cortexcast_client.messages import Marker, Product, Status
from cortexcast_client.wire import Flags, Frame

MAX_LATENCIES = 100_000
"""The percentiles of a long watch are those of the last so many frames."""

Record = dict[str, Any]
_Key = tuple[str, str]


@dataclass(slots=True)
class _Counts:
    """Sums over a stretch of time."""

    frames: int = 0
    samples: int = 0
    lost: int = 0
    dropped: int = 0
    flags: Flags = field(default_factory=lambda: Flags(0))
    latencies_ms: deque[float] = field(default_factory=lambda: deque(maxlen=MAX_LATENCIES))

    def add(self, frame: Frame, *, latency_s: float, lost: int, dropped: int) -> None:
        self.frames += 1
        self.samples += frame.data.shape[1]
        self.lost += lost
        self.dropped += dropped
        self.flags |= frame.flags
        self.latencies_ms.append(1e3 * latency_s)


class _Row:
    """One product: its counts in all and since the last summary, and its last frame."""

    def __init__(self) -> None:
        self.total = _Counts()
        self.recent = _Counts()
        self.last: Frame | None = None

    def add(self, frame: Frame, latency_s: float) -> None:
        lost = dropped = 0
        if self.last is None or frame.dropped < self.last.dropped:
            dropped = frame.dropped  # a new connection counts anew
        else:
            dropped = frame.dropped - self.last.dropped
        if self.last is not None:
            # A number that goes back is a daemon that began anew, which loses nothing.
            lost = max(0, frame.sequence - self.last.sequence - 1)
        for counts in (self.total, self.recent):
            counts.add(frame, latency_s=latency_s, lost=lost, dropped=dropped)
        self.last = frame

    def next_stretch(self) -> _Counts:
        recent, self.recent = self.recent, _Counts()
        return recent


class Tally:
    """Counts frames, markers and status messages of any number of products."""

    def __init__(self) -> None:
        self._rows: dict[_Key, _Row] = {}
        self._products: dict[_Key, Product] = {}
        self._health: dict[str, Record] = {}
        self._n_markers = 0
        self._first_t0: float | None = None
        self._last_t: float | None = None

    @property
    def n_frames(self) -> int:
        """How many frames came."""
        return sum(row.total.frames for row in self._rows.values())

    def frame(self, frame: Frame, product: Product, latency_s: float) -> None:
        """Count a frame that arrived with this latency."""
        key = product.session, product.name
        self._products[key] = product
        self._rows.setdefault(key, _Row()).add(frame, latency_s)
        end = frame.t0 + (frame.data.shape[1] - 1) / product.rate_hz
        self._first_t0 = frame.t0 if self._first_t0 is None else min(self._first_t0, frame.t0)
        self._last_t = end if self._last_t is None else max(self._last_t, end)

    def marker(self, marker: Marker) -> Record:
        """Count a marker; give its label, time and sample index at the rate of its session's products."""
        self._n_markers += 1
        samples = {}
        for (session, name), row in self._rows.items():
            if session == marker.session and row.last is not None:
                rate_hz = self._products[session, name].rate_hz
                samples[name] = row.last.first_sample + round((marker.time - row.last.t0) * rate_hz)
        return {
            "type": "marker",
            "session": marker.session,
            "stream": marker.stream,
            "label": marker.label,
            "time": marker.time,
            "samples": samples,
        }

    def status(self, status: Status) -> Record | None:
        """Take a status message; give a record if the session's health changed."""
        health = {
            "type": "status",
            "session": status.session,
            "state": status.state,
            "error": status.error,
            "bad_channels": list(status.bad_channels),
            "interpolated": list(status.interpolated),
            "notes": list(status.notes),
        }
        changed = self._health.get(status.session) != health
        self._health[status.session] = health
        return health if changed else None

    def summary(self, interval_s: float, products: Iterable[Product]) -> Record:
        """What came of these products since the last summary, ``interval_s`` ago."""
        rows = []
        for product in products:
            recent = self._rows.setdefault((product.session, product.name), _Row()).next_stretch()
            health = self._health.get(product.session, {"state": None, "bad_channels": []})
            rows.append(
                {
                    "session": product.session,
                    "stream": product.stream,
                    "product": product.name,
                    "state": health["state"],
                    "frames_per_s": recent.frames / interval_s,
                    "samples_per_s": recent.samples / interval_s,
                    "latency_ms": _percentiles(recent.latencies_ms),
                    "lost": recent.lost,
                    "dropped": recent.dropped,
                    "flags": [flag.name for flag in recent.flags],
                    "bad_channels": health["bad_channels"],
                }
            )
        return {"type": "summary", "products": rows}

    def total(self, duration_s: float) -> Record:
        """Everything that came in ``duration_s``."""
        totals = [row.total for row in self._rows.values()]
        return {
            "type": "total",
            "frames": sum(counts.frames for counts in totals),
            "samples": sum(counts.samples for counts in totals),
            "lost": sum(counts.lost for counts in totals),
            "dropped": sum(counts.dropped for counts in totals),
            "markers": self._n_markers,
            "latency_ms": _percentiles(value for counts in totals for value in counts.latencies_ms),
            "duration_s": duration_s,
            "first_t0": self._first_t0,
            "last_t": self._last_t,
        }


def as_text(record: Record) -> str:
    """A record for the terminal, without a final newline."""
    match record["type"]:
        case "summary":
            return "\n".join(map(_row_text, record["products"])) or "no product on offer yet"
        case "marker":
            places = "".join(f", {name} sample {index}" for name, index in record["samples"].items())
            return f"marker {record['label']!r} at {record['time']:.4f} s{places}"
        case "status":
            lists = {
                "bad": record["bad_channels"],
                "interpolated": record["interpolated"],
                "notes": record["notes"],
            }
            parts = [f"session {record['session']} is {record['state']}", record["error"] or ""]
            parts += [f"{name}: {', '.join(values)}" for name, values in lists.items() if values]
            return "; ".join(filter(None, parts))
        case _:
            return (
                f"{record['frames']} frames, {record['samples']} samples, {record['markers']} markers in "
                f"{record['duration_s']:.1f} s; lost {record['lost']}, dropped {record['dropped']}; "
                f"{_latency_text(record['latency_ms'])}"
            )


def _row_text(row: Record) -> str:
    parts = [
        f"{row['product']:<8} {row['stream']} ({row['session']})",
        str(row["state"] or "state not known yet"),
        f"{row['frames_per_s']:.1f} frames/s",
        f"{row['samples_per_s']:.0f} samples/s",
        _latency_text(row["latency_ms"]),
        f"lost {row['lost']}",
        f"dropped {row['dropped']}",
        " ".join(row["flags"]),
        "bad " + " ".join(row["bad_channels"]) if row["bad_channels"] else "",
    ]
    return "  ".join(filter(None, parts))


def _latency_text(latency_ms: dict[str, float] | None) -> str:
    if latency_ms is None:
        return "latency not known"
    return f"latency p50 {latency_ms['p50']:.1f} ms, p99 {latency_ms['p99']:.1f} ms"


def _percentiles(values: Iterable[float]) -> dict[str, float] | None:
    array = np.fromiter(values, np.float64)
    if array.size == 0:
        return None
    p50, p99 = np.percentile(array, [50, 99])
    return {"p50": round(float(p50), 3), "p99": round(float(p99), 3)}
