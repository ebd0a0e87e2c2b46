"""The causal preprocessing that training and server share: any rate in, fixed blocks at the model's rate out.

A ``Preprocessor`` cuts its input into blocks whose boundaries depend on the sample count alone, and computes a block
only once it is complete. Every arithmetic operation therefore sees the same shapes and values however the samples
arrived: **any chunking of the same samples gives bit-identical blocks**, by construction and not by luck with the
rounding of a BLAS kernel.

State is seeded with the first sample, as if it had been there for ever: no start-up transient of the DC offset.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from cortexcast_models.manifest import Butterworth, Filter, Notch, Preprocessing, Resample

_USABLE_BAND = 0.8
"""A stream slower than the passband keeps this share of its own Nyquist band; the rest is the filter's transition."""

_MAX_PHASES = 2000
"""Rates are matched as a ratio of integers up to this: an error of less than one sample in an hour at 250 Hz."""


@dataclass(frozen=True, slots=True)
class Block:
    """One block of preprocessed samples.

    Attributes:
        data: float64 ``(n_channels, n_samples)`` at the model's rate, in the unit of the input.
        start: input time of the first sample, counted in input samples from the start of the segment.
        consumed: input samples that this block needed beyond the blocks before it.
        not_finite: bool ``(n_channels,)``: the channel had a value that is not finite among them.
        constant: bool ``(n_channels,)``: all of them have one value, that of the sample before included.
    """

    data: NDArray[np.float64]
    start: float
    consumed: int
    not_finite: NDArray[np.bool_]
    constant: NDArray[np.bool_]


class Preprocessor:
    """Preprocess one uninterrupted segment of a stream; make a new one after a gap.

    Values that are not finite are replaced by the channel's last finite one (0 before there is any), so that they
    cannot poison the filters; ``Block.not_finite`` tells of them.

    Args:
        spec: what to do, from the manifest. Re-referencing is the montage's part, not done here.
        rate_hz: the rate of the input.
        n_channels: channels of the input.
        block: samples of a block at the model's rate (the manifest's hop).

    Raises:
        ValueError: a block is shorter than one sample of the input.
    """

    def __init__(self, spec: Preprocessing, rate_hz: float, n_channels: int, block: int) -> None:
        self._resampler = _Resampler(spec.resample, rate_hz)
        if block * rate_hz < spec.resample.rate_hz:
            raise ValueError(
                f"a block of {block} samples at {spec.resample.rate_hz} Hz is less than one at {rate_hz} Hz"
            )
        self._sos = _sections(spec.filters, spec.resample.rate_hz)
        self._block = block
        self._pending: list[NDArray[np.float64]] = []
        self._n_pending = 0
        self._n_blocks = 0
        self._last = np.zeros(n_channels)
        self._history: NDArray[np.float64] | None = None
        self._state: NDArray[np.float64] | None = None

    @property
    def delay_s(self) -> float:
        """How much younger than an output sample the newest input sample is that it needs.

        Where the rates are not commensurate this differs from sample to sample by less than an input period; it is
        the smallest.
        """
        return self._resampler.delay_s

    def push(self, data: NDArray[np.floating]) -> Iterator[Block]:
        """Take samples ``(n_channels, n_samples)``, n ≥ 0, and give each block that they complete."""
        if data.shape[1]:
            self._pending.append(np.asarray(data, np.float64))
            self._n_pending += data.shape[1]
        while self._n_pending >= (needed := self._needed()):
            pending = np.concatenate(self._pending, axis=1)
            self._pending = [pending[:, needed:]]
            self._n_pending -= needed
            yield self._process(pending[:, :needed])

    def flush(self, extra: int = 0) -> Iterator[Block]:
        """End the segment: the blocks up to the last input sample's time and ``extra`` more, by holding that sample."""
        n_inputs = self._resampler.consumed(self._n_blocks * self._block) + self._n_pending
        if n_inputs == 0:
            return
        last = self._pending[-1][:, -1:] if self._n_pending else self._last[:, None]
        n_blocks = ceil(self._resampler.n_outputs(n_inputs) / self._block) + extra
        while self._n_blocks < n_blocks:
            yield from self.push(np.repeat(last, self._needed() - self._n_pending, axis=1))

    def _needed(self) -> int:
        done = self._n_blocks * self._block
        return self._resampler.consumed(done + self._block) - self._resampler.consumed(done)

    def _process(self, raw: NDArray[np.float64]) -> Block:
        finite = np.isfinite(raw)
        first_ever = self._history is None
        repaired = _hold(raw, finite, self._last)
        before = repaired[:, 0] if first_ever else self._last
        constant = (repaired == before[:, None]).all(axis=1)
        if self._history is None:
            self._history = np.repeat(repaired[:, :1], self._resampler.history, axis=1)
        segment = np.concatenate([self._history, repaired], axis=1)
        first_output = self._n_blocks * self._block
        resampled = self._resampler.apply(segment, first_output, self._block)
        if self._state is None:
            rest = signal.sosfilt_zi(self._sos)
            self._state = rest[:, None, :] * resampled[None, :, :1]
        filtered, self._state = signal.sosfilt(self._sos, resampled, axis=1, zi=self._state)

        self._history = segment[:, segment.shape[1] - self._resampler.history :]
        self._last = repaired[:, -1].copy()
        self._n_blocks += 1
        return Block(
            data=filtered,
            start=self._resampler.input_position(first_output),
            consumed=raw.shape[1],
            not_finite=np.logical_not(finite.all(axis=1)),
            constant=constant,
        )


class _Resampler:
    """Linear-phase polyphase resampling by a ratio of integers (Crochiere and Rabiner, 1983), a block a product.

    Output ``m`` lies at input position ``m · down / up``. A block of outputs is the input segment times a banded
    matrix of filter taps, which depends only on the block's phase.
    """

    def __init__(self, spec: Resample, rate_hz: float) -> None:
        ratio = Fraction(spec.rate_hz / rate_hz).limit_denominator(_MAX_PHASES)
        if ratio == 0:
            raise ValueError(f"a rate of {rate_hz} Hz is too far from the model's {spec.rate_hz} Hz")
        self._up, self._down = ratio.numerator, ratio.denominator
        self._taps = self._design(spec, rate_hz)
        self._half = (len(self._taps) - 1) // 2  # at the rate of the zero-stuffed signal
        self.delay_s = (self._half - self._up + 1) / (self._up * rate_hz)
        # From the newest input sample that an output needs back to its oldest: 2 · half at the stuffed rate. The
        # first output of a block may start before the block's own new samples by that and by one output's step.
        self.history = ceil((2 * self._half + self._down) / self._up)
        self._matrices: dict[tuple[int, int, int], NDArray[np.float64]] = {}

    def _design(self, spec: Resample, rate_hz: float) -> NDArray[np.float64]:
        if self._up == self._down == 1:
            return np.ones(1)
        slower = min(rate_hz, spec.rate_hz)
        passband = min(spec.passband_hz, _USABLE_BAND * slower / 2)
        stopband = slower - passband  # what lies beyond folds outside the passband, or is an image
        stuffed = self._up * rate_hz
        width = 2 * np.pi * (stopband - passband) / stuffed
        n_taps = ceil((spec.stopband_db - 7.95) / (2.285 * width)) + 1
        n_taps += 1 - n_taps % 2
        window = ("kaiser", signal.kaiser_beta(spec.stopband_db))
        taps: NDArray[np.float64] = signal.firwin(n_taps, (passband + stopband) / 2, window=window, fs=stuffed)
        # Each phase by itself sums to one: a constant stays exactly constant, with no ripple at the phases' period.
        for phase in range(min(self._up, n_taps)):
            taps[phase :: self._up] /= taps[phase :: self._up].sum()
        return taps

    def input_position(self, output: int) -> float:
        return output * self._down / self._up

    def consumed(self, n_outputs: int) -> int:
        """Input samples that the first ``n_outputs`` outputs need."""
        if n_outputs == 0:
            return 0
        return floor(((n_outputs - 1) * self._down + self._half) / self._up) + 1

    def n_outputs(self, n_inputs: int) -> int:
        """Outputs that lie at or before the last of ``n_inputs`` input samples."""
        return floor((n_inputs - 1) * self._up / self._down) + 1

    def apply(self, segment: NDArray[np.float64], first: int, n: int) -> NDArray[np.float64]:
        """The outputs ``first`` to ``first + n``; ``segment`` ends with the last input sample that they need."""
        end = self.consumed(first + n)
        offset = (end - segment.shape[1]) * self._up - first * self._down
        key = (offset, segment.shape[1], n)
        if key not in self._matrices:
            self._matrices[key] = self._matrix(*key)
        return segment @ self._matrices[key]

    def _matrix(self, offset: int, n_inputs: int, n_outputs: int) -> NDArray[np.float64]:
        stuffed = offset + np.arange(n_inputs)[:, None] * self._up - np.arange(n_outputs)[None, :] * self._down
        index = stuffed + self._half
        inside = (index >= 0) & (index < len(self._taps))
        return np.where(inside, self._taps[np.clip(index, 0, len(self._taps) - 1)], 0.0)


def _hold(raw: NDArray[np.float64], finite: NDArray[np.bool_], last: NDArray[np.float64]) -> NDArray[np.float64]:
    """Replace what is not finite by the value before it."""
    if finite.all():
        return raw
    extended = np.concatenate([last[:, None], raw], axis=1)
    index = np.where(finite, np.arange(1, raw.shape[1] + 1), 0)
    np.maximum.accumulate(index, axis=1, out=index)
    return np.take_along_axis(extended, index, axis=1)


def _sections(filters: tuple[Filter, ...], rate_hz: float) -> NDArray[np.float64]:
    sections = [np.array([[1.0, 0, 0, 1, 0, 0]])]  # sosfilt wants at least one
    for step in filters:
        match step:
            case Butterworth(kind=kind, hz=hz, order=order):
                sections.append(signal.butter(order, hz, kind, fs=rate_hz, output="sos"))
            case Notch(hz=hz, q=q):
                sections.append(signal.tf2sos(*signal.iirnotch(hz, q, fs=rate_hz)))
    return np.concatenate(sections)
