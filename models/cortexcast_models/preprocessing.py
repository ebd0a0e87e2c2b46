"""The causal preprocessing that training and server share: any rate in, fixed blocks at the model's rate out.

A ``Preprocessor`` cuts its input into blocks whose boundaries depend on the sample count alone, and computes a block
only once it is complete. Every arithmetic operation therefore sees the same shapes and values however the samples
arrived: **any chunking of the same samples gives bit-identical blocks**, by construction and not by luck with the
rounding of a BLAS kernel.

Resampling and filters are linear, so a block is one product of a matrix with the input and the filters' state. That is
for latency: live, a block is computed after a pause, when each call into a library costs some 100 µs of cold caches.

State is seeded with the first sample, as if it had been there for ever: no start-up transient of the DC offset.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from cortexcast_models.manifest import Butterworth, Filter, Notch, Preprocessing, Resample

_USABLE_BAND = 0.8
"""A stream slower than the passband keeps this share of its own Nyquist band; the rest is the filter's transition."""

_RATIO_ERROR = 1e-7
_MAX_DENOMINATOR = 2**15
"""Rates are matched as a simple ratio of integers with that error; at odd rates, the best up to this denominator.

That is within some 20 ppm: the output's rate is as inexact as by a clock, but its times are not, since ``Block.start``
follows the ratio.
"""

_MAX_MATRICES = 256
"""Matrices kept for the phases of a ratio: some megabytes."""


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
        self._plan = _plan(spec, rate_hz, block)
        # The filters' state, then the input samples that the next block reads; the last ones are still missing.
        self._buffer = np.zeros((n_channels, self._plan.n_states + self._plan.span))
        self._n_blocks = 0
        self._missing = self._plan.new_inputs(0)

    @property
    def delay_s(self) -> float:
        """How much younger than an output sample the newest input sample is that it needs.

        Where the rates are not commensurate this differs from sample to sample by less than an input period; it is
        the smallest.
        """
        return self._plan.delay_s

    def push(self, data: NDArray[np.floating]) -> Iterator[Block]:
        """Take samples ``(n_channels, n_samples)``, n ≥ 0, and give each block that they complete."""
        taken = 0
        while taken < data.shape[1]:
            n = min(self._missing, data.shape[1] - taken)
            column = self._buffer.shape[1] - self._missing
            self._buffer[:, column : column + n] = data[:, taken : taken + n]
            self._missing -= n
            taken += n
            if self._missing == 0:
                yield self._process()

    def flush(self, extra: int = 0) -> Iterator[Block]:
        """End the segment: the blocks up to the last input sample's time and ``extra`` more, by holding that sample."""
        n_inputs = self._plan.inputs(self._n_blocks + 1) - self._missing
        if n_inputs == 0:
            return
        n_blocks = self._plan.blocks(n_inputs) + extra
        while self._n_blocks < n_blocks:
            column = self._buffer.shape[1] - self._missing
            yield from self.push(np.repeat(self._buffer[:, column - 1 : column], self._missing, axis=1))

    def _process(self) -> Block:
        plan, buffer, index = self._plan, self._buffer, self._n_blocks
        n_new = plan.new_inputs(index)
        if index == 0:
            first = buffer[:, -n_new]
            buffer[:, plan.n_states : -n_new] = np.where(np.isfinite(first), first, 0.0)[:, None]
        recent = buffer[:, -n_new - 1 :]  # the sample before included
        spread = recent.max(axis=1) - recent.min(axis=1)  # carries what is not finite: no look at each value
        finite = np.isfinite(spread)
        if not finite.all():
            _hold(recent)
            spread = recent.max(axis=1) - recent.min(axis=1)
        result = buffer @ plan.matrix(index)

        self._n_blocks += 1
        self._missing = plan.new_inputs(self._n_blocks)
        buffer[:, plan.n_states : -self._missing] = buffer[:, plan.n_states + self._missing :]
        buffer[:, : plan.n_states] = result[:, plan.block :]
        return Block(
            data=result[:, : plan.block],
            start=plan.start(index),
            consumed=n_new,
            not_finite=~finite,
            constant=spread == 0,
        )


class _Plan:
    """A block as a product: ``[filters' state, input] @ matrix = [output, filters' next state]``.

    Resampling is linear-phase and polyphase by a ratio of integers (Crochiere and Rabiner, 1983): output ``m`` lies at
    input position ``m · down / up``. The matrix depends on the block's phase alone, but for the first one: that puts
    the filters at rest at the first resampled sample.

    Attributes:
        span: input samples that a block reads, its newest at the end and one to spare before its new ones.
    """

    def __init__(self, spec: Preprocessing, rate_hz: float, block: int) -> None:
        ratio = _ratio(spec.resample.rate_hz / rate_hz)
        if block * ratio.denominator < ratio.numerator:
            raise ValueError(
                f"a block of {block} samples at {spec.resample.rate_hz} Hz is less than one at {rate_hz} Hz"
            )
        self.block = block
        self._up, self._down = ratio.numerator, ratio.denominator
        self._taps = _taps(spec.resample, rate_hz, self._up, self._down)
        self._half = (len(self._taps) - 1) // 2  # at the rate of the zero-stuffed signal
        self.delay_s = (self._half - self._up + 1) / (self._up * rate_hz)
        self.span = (2 * self._half + block * self._down) // self._up + 2
        sections = _sections(spec.filters, spec.resample.rate_hz)
        self.n_states = 2 * len(sections)
        filters, self._rest = _filter_matrix(sections, block)
        self._from_state, self._from_resampled = filters[: self.n_states], filters[self.n_states :]
        self._matrix = lru_cache(maxsize=_MAX_MATRICES)(self._build)

    def start(self, index: int) -> float:
        """The input position of a block's first output."""
        return index * self.block * self._down / self._up

    def inputs(self, n_blocks: int) -> int:
        """Input samples that the first ``n_blocks`` blocks need."""
        return ((n_blocks * self.block - 1) * self._down + self._half) // self._up + 1 if n_blocks else 0

    def new_inputs(self, index: int) -> int:
        """Input samples that a block needs beyond the blocks before it."""
        return self.inputs(index + 1) - self.inputs(index)

    def blocks(self, n_inputs: int) -> int:
        """Blocks that start at or before the last of ``n_inputs`` input samples."""
        return (n_inputs - 1) * self._up // (self._down * self.block) + 1

    def matrix(self, index: int) -> NDArray[np.float64]:
        """The matrix ``(n_states + span, block + n_states)`` of a block."""
        phase = (self.inputs(index + 1) - self.span) * self._up - index * self.block * self._down
        return self._matrix(phase, index == 0)

    def _build(self, phase: int, at_rest: bool) -> NDArray[np.float64]:
        inputs, outputs = np.ogrid[: self.span, : self.block]
        tap = phase + inputs * self._up - outputs * self._down + self._half
        inside = (tap >= 0) & (tap < len(self._taps))
        resampling = np.where(inside, self._taps[np.where(inside, tap, 0)], 0.0)
        from_input = resampling @ self._from_resampled
        if at_rest:
            from_input += np.outer(resampling[:, 0], self._rest @ self._from_state)
        return np.concatenate([self._from_state, from_input])


@lru_cache(maxsize=8)
def _plan(spec: Preprocessing, rate_hz: float, block: int) -> _Plan:
    """The plan, designed once and not again after each gap."""
    return _Plan(spec, rate_hz, block)


def _ratio(value: float) -> Fraction:
    exact = Fraction(value)
    limit = 1
    while abs((ratio := exact.limit_denominator(limit)) / exact - 1) > _RATIO_ERROR and limit < _MAX_DENOMINATOR:
        limit *= 2
    if ratio == 0:
        raise ValueError(f"the input's rate is {1 / value:g} times the model's: that is too far")
    return ratio


def _taps(spec: Resample, rate_hz: float, up: int, down: int) -> NDArray[np.float64]:
    """Odd-length taps at ``up`` times the input rate."""
    if up == down == 1:
        return np.ones(1)
    slower = min(rate_hz, spec.rate_hz)
    passband = min(spec.passband_hz, _USABLE_BAND * slower / 2)
    stopband = slower - passband  # what lies beyond folds outside the passband, or is an image
    stuffed = up * rate_hz
    width = 2 * np.pi * (stopband - passband) / stuffed
    # Kaiser's formula, and never so few that a phase is left without taps.
    n_taps = 2 * max(up, ceil((spec.stopband_db - 7.95) / (2.285 * width) / 2)) + 1
    window = ("kaiser", signal.kaiser_beta(spec.stopband_db))
    taps: NDArray[np.float64] = signal.firwin(n_taps, (passband + stopband) / 2, window=window, fs=stuffed)
    # Each phase by itself sums to one: a constant stays exactly constant, with no ripple at the phases' period.
    phase = np.arange(n_taps) % up
    return taps / np.bincount(phase, weights=taps)[phase]


def _filter_matrix(sections: NDArray[np.float64], block: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """``[state, input] @ matrix = [output, next state]``, and the state at rest for an input of one.

    The state is (sum, second) of scipy's two numbers a section: near the poles of a slow high-pass these nearly cancel.
    Filtered in extended precision and rounded only as such, the matrix is more exact than sosfilt sample by sample.
    """
    n_sections, n_states = len(sections), 2 * len(sections)
    ours = np.kron(np.eye(n_sections), [[1.0, 0.0], [1.0, 1.0]])  # scipy's state @ ours = our state
    inputs: NDArray[Any] = np.eye(n_states + block, dtype=np.longdouble)[:, n_states:]
    states: NDArray[Any] = np.concatenate([np.linalg.inv(ours), np.zeros((block, n_states))]).astype(np.longdouble)
    zi = states.reshape(-1, n_sections, 2).swapaxes(0, 1)
    output, state = signal.sosfilt(sections.astype(np.longdouble), inputs, axis=1, zi=zi)
    matrix = np.concatenate([output, state.swapaxes(0, 1).reshape(-1, n_states) @ ours], axis=1)
    return matrix.astype(np.float64), signal.sosfilt_zi(sections).ravel() @ ours


def _hold(samples: NDArray[np.float64]) -> None:
    """Replace, in place, what is not finite by the value before it; the first column is finite."""
    index = np.where(np.isfinite(samples), np.arange(samples.shape[1]), 0)
    np.maximum.accumulate(index, axis=1, out=index)
    samples[:] = np.take_along_axis(samples, index, axis=1)


def _sections(filters: tuple[Filter, ...], rate_hz: float) -> NDArray[np.float64]:
    sections = []
    for step in filters:
        match step:
            case Butterworth(kind=kind, hz=hz, order=order):
                sections.append(signal.butter(order, hz, kind, fs=rate_hz, output="sos"))
            case Notch(hz=hz, q=q):
                sections.append(signal.tf2sos(*signal.iirnotch(hz, q, fs=rate_hz)))
    return np.concatenate(sections or [np.array([[1.0, 0, 0, 1, 0, 0]])])  # sosfilt wants at least one
