"""A session: one headset, its thread, an engine for each model, their outlets.

The thread blocks on the inlet, so a sample costs no polling; it steps the engines, pushes to the LSL outlets itself and
hands frames and status to a listener. What comes most often goes first, and is out before anything slower is computed.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import pylsl

from cortexcast_client.wire import Frame
from cortexcast_models.bundle import Bundle
from cortexcast_server.engine import EEG, MEG, Engine
from cortexcast_server.inference import Loaded
from cortexcast_server.lsl_metadata import REPLAY_SOURCE, replay_markers
from cortexcast_server.lsl_outlets import Outlet
from cortexcast_server.lsl_source import LslSource, SourceLostError
from cortexcast_server.lsl_streams import Query, find, unix_clock_offset
from cortexcast_server.protocol import Agreement, Latency, ModelInfo, Product, ProductChannel, SessionState, Status
from cortexcast_server.recorded_meg import MEG_RECORDED, RecordedMeg
from cortexcast_server.replayed_meg import ReplayedMeg
from cortexcast_server.signal import Chunk, Signal, SignalError
from cortexcast_server.timebase import foreign_offset

_READ_S = 0.1
_STATUS_PERIOD_S = 1.0
_STALLED_S = 1.0
"""No sample for so long is a stalled source: liblsl itself would notice after 15 to 30 s."""

_LOOK_AGAIN_S = 1.0


class Listener(Protocol):
    """Who hears of a session; called on the session's thread."""

    def opened(self, products: tuple[Product, ...]) -> None:
        """The session's products are known; frames may follow."""

    def frames(self, session: str, frames: list[Frame]) -> None:
        """The next frames."""

    def status(self, status: Status) -> None:
        """The session's health, each second and at each change."""


class Session:
    """Serve one stream until it fails or is stopped.

    Args:
        session_id: how clients name it.
        source: the open inlet.
        models: one or more, of a product each.
        new_index: gives a product's index.
        listener: hears of everything.
        replayed_meg: the MEG in the file behind a stream's source_id; None where there is none.
        with_outlets: push to LSL outlets too.
        unit: overrides the stream's declared unit, again when it is found again.

    Raises:
        SignalError: the stream cannot be used with one of the models.
    """

    def __init__(
        self,
        session_id: str,
        source: LslSource,
        models: Sequence[Loaded],
        new_index: Callable[[], int],
        listener: Listener,
        replayed_meg: Callable[[str], ReplayedMeg | None],
        *,
        with_outlets: bool,
        unit: str | None,
    ) -> None:
        self.id = session_id
        self._source = source
        self._unit = unit
        self._listener = listener
        ordered = sorted(models, key=lambda model: model.bundle.manifest.hop / model.bundle.manifest.rate_hz)
        self._engines = [
            Engine(source.signal, model.bundle.manifest, model.infer, with_eeg=number == 0)
            for number, model in enumerate(ordered)
        ]
        self._engine = self._engines[0]  # which speaks for the stream
        self._counts = replace(self._engine.counts)  # as other threads see them: never those of a chunk in work
        self._find_meg = replayed_meg
        self._replayed_meg = replayed_meg(source.source_id)
        self.products = tuple(
            describe_product(engine, model.bundle, product, new_index(), session_id)
            for engine, model in zip(self._engines, ordered, strict=True)
            for product in engine.products
        )
        self._own = {product.product: product for product in self.products}
        """The engines': what a file holds is offered over the WebSocket alone."""
        self._recorded_meg: RecordedMeg | None = None
        for engine, model in zip(self._engines, ordered, strict=True):
            if MEG in engine.products and self._replayed_meg:
                self._recorded_meg = RecordedMeg(engine.manifest, source.signal.rate_hz)
                recorded = describe_product(engine, model.bundle, MEG_RECORDED, new_index(), session_id)
                self.products = (*self.products, recorded)
        self._with_outlets = with_outlets
        self.state: SessionState = "stalled"
        self._error: str | None = None
        self._restarts = 0
        self._agreement: Agreement | None = None
        self._newest: float | None = None  # when the newest sample arrived
        self._latencies: deque[tuple[float, float]] = deque()
        self._next_status = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"session {session_id}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; ``join`` waits for it."""
        self._stop.set()

    def join(self, timeout_s: float) -> None:
        """Wait for the thread's end."""
        self._thread.join(timeout_s)

    @property
    def source_id(self) -> str:
        """The stream's; one that came back by its name may have another."""
        return self._source.source_id

    @property
    def signal(self) -> Signal:
        """The stream's contract."""
        return self._engine.signal

    def takes_markers_of(self, source_id: str) -> bool:
        """A replay's markers are that replay's alone; any other marker stream is everybody's."""
        return not source_id.startswith(REPLAY_SOURCE) or source_id == replay_markers(self.source_id)

    def restamp_s(self, stamp: float) -> float:
        """What brings a marker's stamp to the EEG's time axis, where the source stamps both by another clock."""
        return self._engine.restamp_s if foreign_offset(stamp, pylsl.local_clock()) else 0.0

    def status(self) -> Status:
        """The session's health now."""
        counts = self._counts
        now = pylsl.local_clock()
        recent = [latency for when, latency in tuple(self._latencies) if now - when < _STATUS_PERIOD_S]
        return Status(
            session=self.id,
            state=self.state,
            error=self._error,
            samples_in=counts.samples_in,
            samples_out=counts.samples_out,
            gaps=counts.gaps,
            missing_s=counts.missing_s,
            restarts=self._restarts,
            rate_hz=self._engine.rate_hz,
            sample_age_s=None if self._newest is None else now - self._newest,
            latency_ms=_percentiles(recent) if recent else None,
            bad_channels=tuple(self._engine.bad_channels),
            interpolated=tuple(self._engine.interpolated),
            notes=tuple(self._engine.notes),
            agreement=self._agreement,
            clock_offset=unix_clock_offset(),
        )

    def _run(self) -> None:
        try:
            self._listener.opened(self.products)
            outlets = {name: Outlet(product) for name, product in self._own.items()} if self._with_outlets else {}
            while not self._stop.is_set():
                try:
                    self._step(outlets)
                except SourceLostError:
                    self._source.close()
                    self._change("lost")
                    self._wait_for_return()
            self._change("ended")
        except SignalError as error:
            self._error = str(error)
            self._change("failed")
        except Exception as error:
            self._error = f"a bug in cortexcast, please report it: {error!r}"
            self._change("failed")
            raise
        finally:
            self._source.close()

    def _wait_for_return(self) -> None:
        while not self._stop.wait(_LOOK_AGAIN_S):
            source = self._find_again(self._source)
            if source is not None:
                self._source = source
                self._replayed_meg = self._find_meg(source.source_id)
                self._restarts += 1
                return
            self._report()

    def _step(self, outlets: dict[str, Outlet]) -> None:
        chunk = self._source.read(_READ_S)
        now = pylsl.local_clock()
        if chunk is not None:
            self._newest = chunk.received
            given = [self._push(engine, chunk, outlets, now) for engine in self._engines]
            if self.state != "live":
                self._change("live")
            if self._recorded_meg is not None:  # the estimates are out: nothing waits for this
                self._step_recorded(self._recorded_meg, chunk, [frame for frames in given for frame in frames])
        elif self.state == "live" and self._newest is not None and now - self._newest > _STALLED_S:
            self._change("stalled")
        if now >= self._next_status:
            self._report()

    def _push(self, engine: Engine, chunk: Chunk, outlets: dict[str, Outlet], now: float) -> list[Frame]:
        frames = engine.push(chunk)
        if engine is self._engine:
            self._counts = replace(engine.counts)
        if frames:
            self._listener.frames(self.id, frames)
            for frame in frames if outlets else ():
                outlets[frame.product].push(frame)
            if engine is self._engine:
                self._note_latency(frames[-1], now)
        return frames

    def _step_recorded(self, recorded: RecordedMeg, chunk: Chunk, frames: list[Frame]) -> None:
        meg = None if self._replayed_meg is None else self._replayed_meg.at(chunk.times)
        beside = recorded.push(chunk.times, meg, frames)
        if beside:
            self._listener.frames(self.id, beside)

    def _note_latency(self, frame: Frame, now: float) -> None:
        product = self._own[frame.product]
        newest_needed = frame.t0 + (frame.data.shape[1] - 1) / product.rate_hz + product.delay_s
        self._latencies.append((now, 1e3 * (pylsl.local_clock() - newest_needed)))
        while now - self._latencies[0][0] > _STATUS_PERIOD_S:
            self._latencies.popleft()

    def _find_again(self, lost: LslSource) -> LslSource | None:
        """Look for a lost stream: the same source_id, else the same name; None while there is none."""
        has_lasting_id = lost.source_id and not lost.signal.replayed
        query = Query(source_id=lost.source_id) if has_lasting_id else Query(name=lost.signal.name)
        try:
            source = LslSource(find(query, 0.0, but_not={lost.uid}), self._unit, lambda: not self._stop.is_set())
        except SignalError:
            return None
        if replace(source.signal, name="") != replace(lost.signal, name=""):
            source.close()
            raise SignalError(
                f"stream {lost.signal.name!r} came back with another rate or other channels: open a new session for it"
            )
        return source

    def _change(self, state: SessionState) -> None:
        self.state = state
        self._report()

    def _report(self) -> None:
        self._next_status = pylsl.local_clock() + _STATUS_PERIOD_S
        if self._recorded_meg is not None:
            self._agreement = self._recorded_meg.agreement()
        self._listener.status(self.status())


def _percentiles(latencies_ms: Sequence[float]) -> Latency:
    p50, p95, p99 = map(float, np.percentile(latencies_ms, (50, 95, 99)))
    return Latency(p50=p50, p95=p95, p99=p99)


def describe_product(engine: Engine, bundle: Bundle, product: str, index: int, session: str) -> Product:
    """A product as clients see it."""
    manifest = bundle.manifest
    if product == EEG:
        channels = [ProductChannel(name=e.name, type="eeg", unit="V", location=e.position) for e in manifest.montage]
    else:
        channels = [
            ProductChannel(name=c.name, type=c.type, unit=c.unit, location=c.location) for c in manifest.channels
        ]
    model = ModelInfo(
        name=manifest.name, version=manifest.version, digest=bundle.digest, trained_on=manifest.trained_on
    )
    return Product(
        index=index,
        session=session,
        stream=engine.signal.name,
        product=product,
        rate_hz=manifest.rate_hz if product == EEG else manifest.estimate_hz,
        hop=manifest.hop if product == EEG else manifest.n_estimates,
        # Recorded MEG comes with the estimate of the same samples.
        delay_s=engine.delay_s(product),
        channels=tuple(channels),
        model=model if product == manifest.product else None,
        replayed=engine.signal.replayed,
        simulated=engine.signal.simulated,
    )
