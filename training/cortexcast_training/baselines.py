"""What a model must beat: linear estimates, of the training subjects and of a subject's own data.

How strongly to regularise, and to which rank, is chosen on data that the filter was not fitted to, for every one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cortexcast_models.bundle import SHIPPED, read_bundle
from cortexcast_training.scaling import Units, covariances
from cortexcast_training.streamed import Estimates, Method, StreamedModel
from cortexcast_training.wiener import INSTANT, LaggedCovariances, Taps, apply
from cortexcast_training.windows import Prepared

Floats = NDArray[np.float64]

FIR_S = 0.1
"""A filter reads so far back, and ahead where it is not causal."""

_LEAST_RATE_HZ = 100.0
"""Taps need to be no closer: the preprocessing leaves nothing above half of it. Closer ones only amplify noise."""

RIDGES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
RANKS = (5, 10, 20, 40, 70)

_OWN_SHARE = 2 / 3
"""Of a subject's own data; regularisation is chosen on the rest."""


@dataclass(frozen=True)
class Linear:
    """A filter.

    Attributes:
        weights: ``(n_sensors, n_electrodes, n_taps)``, in these units.
        taps: what it reads.
        units: of EEG and MEG.
    """

    weights: Floats
    taps: Taps
    units: Units

    def __call__(self, recording: Prepared) -> Estimates:
        """Estimate a recording."""
        scaled = np.asarray(recording.eeg, np.float64) / self.units.eeg
        return Estimates(np.asarray(apply(self.weights, self.taps, scaled) * self.units.meg, np.float32))


def zero(recording: Prepared) -> Estimates:
    """No estimate at all."""
    return Estimates(np.zeros_like(recording.meg))


def minimum_norm() -> Method:
    """The shipped bundle of physics alone."""
    return StreamedModel(read_bundle(SHIPPED / "meg-leadfield"))


def fir_taps(rate_hz: float) -> Taps:
    """Of the FIR-Wiener filter: ± 100 ms."""
    step = max(1, int(rate_hz / _LEAST_RATE_HZ))
    reach = round(FIR_S * rate_hz / step) * step
    return Taps(reach, reach, step)


@dataclass(frozen=True)
class Population:
    """What linear estimates know of training subjects.

    Attributes:
        train: covariances of recordings to fit to.
        validation: of others.
        units: of both.
        rate_hz: of the recordings.
    """

    train: LaggedCovariances
    validation: LaggedCovariances
    units: Units
    rate_hz: float

    def methods(self) -> dict[str, Method]:
        """The linear estimates by name."""
        fir = fir_taps(self.rate_hz)
        causal = Taps(fir.back, 0, fir.step)
        return {
            "ridge": self.linear(INSTANT),
            "reduced-rank ridge": self._of_rank(fir),
            "FIR-Wiener, causal": self.linear(causal),
            "FIR-Wiener": self.linear(fir),
        }

    def linear(self, taps: Taps) -> Linear:
        """The filter, regularised as serves the validation subjects best."""
        return Linear(_regularised(self.train, self.validation, taps)[0], taps, self.units)

    def wearing(self, montage: Floats) -> Population:
        """Of the same subjects under fewer electrodes, ``montage`` as ``montages.wearing`` gives it."""
        return Population(
            self.train.seen_through(montage), self.validation.seen_through(montage), self.units, self.rate_hz
        )

    def _of_rank(self, taps: Taps) -> Linear:
        _, ridge = _regularised(self.train, self.validation, taps)
        candidates = [self.train.reduced_rank(taps, rank, ridge) for rank in RANKS]
        best = max(candidates, key=lambda weights: self.validation.explained(weights, taps))
        return Linear(best, taps, self.units)


def population(train: Sequence[Prepared], validation: Sequence[Prepared], units: Units) -> Population:
    """Sum up training subjects' recordings, and others to choose the regularisation on."""
    rate_hz = train[0].rate_hz
    taps = fir_taps(rate_hz)
    return Population(covariances(train, units, taps), covariances(validation, units, taps), units, rate_hz)


def own(recording: Prepared, units: Units) -> dict[str, Method]:
    """A subject's own ridge and FIR-Wiener filter, fitted to data that it is not judged by."""
    fir = fir_taps(recording.rate_hz)
    cut_s = _OWN_SHARE * recording.duration_s
    first, rest = recording.part(0.0, cut_s), recording.part(cut_s, recording.duration_s)
    train, validation, whole = (covariances(parts, units, fir) for parts in ([first], [rest], [first, rest]))
    methods: dict[str, Method] = {}
    for name, taps in {"own ridge": INSTANT, "own FIR-Wiener": fir}.items():
        _, ridge = _regularised(train, validation, taps)
        (weights,) = whole.filters(taps, [ridge])
        methods[name] = Linear(weights, taps, units)
    return methods


def _regularised(train: LaggedCovariances, validation: LaggedCovariances, taps: Taps) -> tuple[Floats, float]:
    """The filter of the best ridge, and that ridge."""
    filters = dict(zip(RIDGES, train.filters(taps, RIDGES), strict=True))
    best = max(filters, key=lambda ridge: validation.explained(filters[ridge], taps))
    return filters[best], best
