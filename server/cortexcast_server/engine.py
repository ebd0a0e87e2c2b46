"""The engine: chunks of EEG in, frames out. Pure: time comes in with the chunks, inference is a function.

Timebase (segments at gaps) → causal preprocessing → quality → montage → window → inference → frames.

**The invariant everything rests on:** any chunking of the same samples, live or offline, gives the same frames. What is
computed, and when, depends on the sample count alone; see ``cortexcast_models.preprocessing``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from cortexcast_client.wire import NO_FLAGS, Flags, Frame
from cortexcast_models.bundle import Infer
from cortexcast_models.manifest import Manifest
from cortexcast_models.montage import Mapping, Montage, MontageError
from cortexcast_models.preprocessing import Block, Preprocessor
from cortexcast_server.model import Float32, Model
from cortexcast_server.quality import Quality
from cortexcast_server.signal import Chunk, Signal, SignalError
from cortexcast_server.timebase import Clock, GapFinder, foreign_offset

EEG, MEG, FMRI, STIMULUS = "eeg", "meg", "fmri", "stimulus"

MIN_RATE_HZ = 100.0
"""Below this, the band that the models read is not in the signal."""

_NOTEWORTHY_JITTER_S = 2e-3


@dataclass
class Counts:
    """The account of a stream: every sample that came in was used, was cut off by a gap, or is pending.

    A gap cuts off the samples of the hop that it interrupts. ``samples_out`` counts samples of the estimate.
    """

    samples_in: int = 0
    samples_used: int = 0
    samples_out: int = 0
    cut_off: int = 0
    gaps: int = 0
    missing_s: float = 0.0

    @property
    def pending(self) -> int:
        """Input samples that wait for their hop to fill."""
        return self.samples_in - self.samples_used - self.cut_off


class _Segment:
    """What is true from one gap to the next, and is made anew after it."""

    def __init__(self, signal: Signal, manifest: Manifest) -> None:
        n_channels = len(signal.channels)
        self.preprocessor = Preprocessor(manifest.preprocessing, signal.rate_hz, n_channels, manifest.hop)
        self.clock = Clock(signal.rate_hz)
        self.stamps = np.empty(0)
        """Of the samples that wait for their hop to fill."""
        self.empty = True
        """No sample has come yet."""
        self.restamp_s = 0.0
        """What was added to stamps of another clock."""
        self.end = 0.0
        """When the sample after the last one is due."""


class Engine:
    """One headset's way through one bundle.

    Args:
        signal: the stream's contract. Another rate or other channels need another engine.
        manifest: the bundle's.
        infer: runs the bundle's graph.
        with_eeg: give the EEG as preprocessed too, as a product of its own.

    Raises:
        SignalError: a rate below 100 Hz, or electrodes that cannot be mapped to the bundle's montage.
    """

    def __init__(self, signal: Signal, manifest: Manifest, infer: Infer, *, with_eeg: bool = True) -> None:
        if signal.rate_hz < MIN_RATE_HZ:
            raise SignalError(
                f"stream {signal.name!r} has a rate of {signal.rate_hz:g} Hz, at least {MIN_RATE_HZ:g} Hz are needed"
            )
        try:
            self._montage = Montage(
                [channel.name for channel in signal.channels],
                [channel.position for channel in signal.channels],
                [electrode.name for electrode in manifest.montage],
                [electrode.position for electrode in manifest.montage],
                manifest.preprocessing.absent,
            )
        except MontageError as error:
            raise SignalError(f"stream {signal.name!r}: {error}") from None
        self.signal = signal
        self.manifest = manifest
        self.counts = Counts()
        self._model = Model(manifest, infer)
        self._lookahead_s = manifest.lookahead / manifest.rate_hz
        # One estimate a hop is of the hop's last sample, a hop's samples begin with its first.
        self._late_s = (manifest.hop - manifest.n_estimates) / manifest.rate_hz - self._lookahead_s
        self._gaps = GapFinder(signal.rate_hz)
        self._quality = Quality(len(signal.channels), manifest.rate_hz, signal.channels[0].unit)
        self._bad = self._quality.bad
        self._mapping = self._map()
        self._source_flags = Flags.REPLAYED if signal.replayed else NO_FLAGS
        self._model_flags = Flags.TRAINED_ON_SIMULATION if manifest.trained_on == "simulated" else NO_FLAGS
        self.products: tuple[str, ...] = (EEG, manifest.product) if with_eeg else (manifest.product,)
        """What it gives."""
        self._sequence = dict.fromkeys(self.products, 0)
        try:
            self._segment = _Segment(signal, manifest)
        except ValueError as error:
            raise SignalError(f"stream {signal.name!r} is too slow for {manifest.name}: {error}") from None
        self._next_flags = dict.fromkeys(self.products, Flags.RESET)

    def delay_s(self, product: str) -> float:
        """How much younger than a frame's last sample the newest EEG is that the frame needs."""
        return self._segment.preprocessor.delay_s + (0.0 if product == EEG else self._lookahead_s)

    @property
    def bad_channels(self) -> list[str]:
        """The headset's channels that are left out now: flat, not finite, or without a place on the head."""
        out = self._bad | ~self._montage.placed
        return [self.signal.channels[row].name for row in np.flatnonzero(out)]

    @property
    def interpolated(self) -> list[str]:
        """The bundle's electrodes that are interpolated now; all of them where no estimate is possible."""
        names = [electrode.name for electrode in self.manifest.montage]
        if self._mapping is None:
            return names
        return [name for name, is_so in zip(names, self._mapping.interpolated, strict=True) if is_so]

    @property
    def rate_hz(self) -> float | None:
        """The rate that the stamps of this segment show, once there are some."""
        return self._segment.clock.rate_hz

    @property
    def restamp_s(self) -> float:
        """What is added to the source's stamps because they are of another clock; 0 where they are not."""
        return self._segment.restamp_s

    @property
    def notes(self) -> list[str]:
        """What a person should know about the source, a sentence each."""
        notes = []
        unplaced = [self.signal.channels[row].name for row in np.flatnonzero(~self._montage.placed)]
        if unplaced:
            notes.append(f"not used, their place on the head is unknown: {', '.join(unplaced)}")
        if self._segment.restamp_s:
            notes.append(f"the source's stamps are of another clock: {self._segment.restamp_s:+.3f} s were added")
        if self._gaps.jitter_s > _NOTEWORTHY_JITTER_S:
            notes.append(f"the source's stamps jitter by {1e3 * self._gaps.jitter_s:.0f} ms: smoothed")
        return notes

    def push(self, chunk: Chunk) -> list[Frame]:
        """Take the next samples and give every frame that they complete.

        Raises:
            SignalError: the amplitudes cannot be volts as declared.
        """
        self.counts.samples_in += chunk.data.shape[1]
        frames: list[Frame] = []
        for run in self._gaps.split(chunk.times):
            times = chunk.times[run.start : run.stop] + chunk.clock_offset
            if run.gap_s is not None:
                # Measured here anew: the finder compares raw stamps, which may be of two senders' clocks.
                self._cut(float(times[0]) + foreign_offset(float(times[0]), chunk.received) - self._segment.end)
            segment = self._segment
            if segment.empty:
                segment.empty = False
                segment.restamp_s = foreign_offset(float(times[0]), chunk.received)
            times += segment.restamp_s
            segment.end = float(times[-1]) + 1 / self.signal.rate_hz
            segment.stamps = np.concatenate([segment.stamps, times])
            frames.extend(self._frames(segment.preprocessor.push(chunk.data[:, run.start : run.stop])))
        return frames

    def flush(self) -> list[Frame]:
        """End the signal: the frames that wait only for the filter's delay, the look-ahead or the rest of a hop.

        The last may run beyond the end of the signal by less than a hop.
        """
        extra = self.manifest.lookahead // self.manifest.hop
        return list(self._frames(self._segment.preprocessor.flush(extra)))

    def _cut(self, gap_s: float) -> None:
        self.counts.gaps += 1
        self.counts.missing_s += max(gap_s, 0.0)
        self.counts.cut_off += len(self._segment.stamps)
        self._segment = _Segment(self.signal, self.manifest)
        self._model.reset()
        for product in self.products:
            self._next_flags[product] |= Flags.GAP | Flags.RESET

    def _frames(self, blocks: Iterable[Block]) -> Iterator[Frame]:
        segment = self._segment
        for block in blocks:
            stamps = segment.stamps[: block.consumed]  # fewer in a flush, which makes samples up
            segment.stamps = segment.stamps[block.consumed :]
            if len(stamps):
                segment.clock.update(stamps)
            self.counts.samples_used += len(stamps)
            self._quality.update(block)
            if self._bad is not self._quality.bad:
                self._bad = self._quality.bad
                self._mapping = self._map()
            yield from self._products(block)

    def _map(self) -> Mapping | None:
        try:
            return self._montage.mapping(~self._bad)
        except MontageError:
            return None

    def _products(self, block: Block) -> Iterator[Frame]:
        flags = self._source_flags
        if self._segment.restamp_s:
            flags |= Flags.RESTAMPED
        if self._bad.any():
            flags |= Flags.BAD_CHANNELS
        t0 = self._segment.clock.time_at(block.start)
        if self._mapping is None:
            yield from self._no_signal(t0, flags | Flags.NO_SIGNAL)
            return
        if self._mapping.interpolated.any():
            flags |= Flags.INTERPOLATED
        eeg = (self._mapping.matrix @ block.data).astype(np.float32)
        if EEG in self.products:
            yield self._frame(EEG, t0, eeg, None, flags)
        estimate = self._model.step(eeg)
        if estimate is not None:
            if not self._model.warm:
                flags |= Flags.RESET
            elif estimate.novelty is not None and estimate.novelty > 1.0:
                flags |= Flags.OUT_OF_DISTRIBUTION
            yield self._estimate(t0, estimate.data, estimate.std, flags)

    def _no_signal(self, t0: float, flags: Flags) -> Iterator[Frame]:
        """NaN and not zeros: nothing is known, and a reader of LSL still gets its samples at their rate."""
        manifest = self.manifest
        if EEG in self.products:
            yield self._frame(EEG, t0, np.full((len(manifest.montage), manifest.hop), np.nan, np.float32), None, flags)
        if self._model.skip():
            nothing = np.full((len(manifest.channels), manifest.n_estimates), np.nan, np.float32)
            yield self._estimate(t0, nothing, None, flags)

    def _estimate(self, t0: float, data: Float32, std: Float32 | None, flags: Flags) -> Frame:
        self.counts.samples_out += data.shape[1]
        return self._frame(self.manifest.product, t0 + self._late_s, data, std, flags | self._model_flags)

    def _frame(self, product: str, t0: float, data: Float32, std: Float32 | None, flags: Flags) -> Frame:
        sequence = self._sequence[product]
        self._sequence[product] += 1
        flags |= self._next_flags[product]
        self._next_flags[product] = NO_FLAGS
        return Frame(product, sequence, sequence * data.shape[1], t0, data, std, flags)
