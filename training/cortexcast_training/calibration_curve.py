"""How much a model gains by so many seconds of a wearer's own EEG and MEG, on subjects that nothing has seen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from cortexcast_models.manifest import Strict
from cortexcast_training.baselines import own
from cortexcast_training.calibration import calibrate, material
from cortexcast_training.head_modes import HeadModes
from cortexcast_training.held_out import HeldOut
from cortexcast_training.metrics import Interval, explained_variance, over_subjects
from cortexcast_training.net import Net
from cortexcast_training.scaling import Units
from cortexcast_training.trained import Trained
from cortexcast_training.windows import Prepared

SECONDS = (10.0, 60.0, 300.0, 1200.0)

_RIDGE = "own ridge"
_AT_ONCE = 64


class CurvePoint(Strict):
    """So many seconds of a subject's own recording, the filters' settling included."""

    seconds: float
    model: Interval
    """Explained variance, uncalibrated; as the next."""
    calibrated: Interval
    """Where calibration refuses, of the model as it was."""
    ridge: Interval
    """Fitted to the same seconds."""
    refused: int
    """Subjects of whom cross-validation found no sure gain."""


def calibration_curve(
    trained: Trained, subjects: Iterable[HeldOut], modes: HeadModes, seconds: Sequence[float] = SECONDS
) -> list[CurvePoint]:
    """Calibrate to the beginning of each subject's own recording, and judge on what is held out.

    Args:
        trained: the model.
        subjects: whose own recordings are as long as the curve shall go: longer points leave a subject out.
        modes: in which heads vary, of this model.
        seconds: of own data, rising.
    """
    net, units = trained.hop.net, trained.units
    found: dict[float, list[tuple[float, float, float, bool]]] = {each: [] for each in seconds}
    for held in subjects:
        before = _explained(held, _estimate(net, held.test, units), units)
        for length in (each for each in seconds if each <= held.own.duration_s):
            some = held.own.part(0.0, length)
            result = calibrate(net, material(net, [some], units), modes)
            is_sure = result.gain.is_sure
            after = _explained(held, _estimate(result.net, held.test, units), units) if is_sure else before
            ridge = _explained(held, own(some, units)[_RIDGE](held.test).meg, units)
            found[length].append((before, after, ridge, is_sure))
    points = []
    for length, rows in found.items():
        if rows:
            before_, after_, ridge_, sure = zip(*rows, strict=True)
            points.append(
                CurvePoint(
                    seconds=length,
                    model=over_subjects(before_),
                    calibrated=over_subjects(after_),
                    ridge=over_subjects(ridge_),
                    refused=len(sure) - sum(sure),
                )
            )
    return points


def _explained(held: HeldOut, meg: NDArray[np.float32], units: Units) -> float:
    return explained_variance(held.target[held.judged] / units.meg, meg[held.judged] / units.meg)


@torch.no_grad()
def _estimate(net: Net, recording: Prepared, units: Units) -> NDArray[np.float32]:
    """What a net streams of a recording, ``(n, n_sensors)`` in T and T/m; zero where no good window is."""
    shape = net.shape
    n, first = shape.n_tokens * shape.token, (shape.n_tokens - 1 - shape.lookahead) * shape.token
    estimate = np.zeros_like(recording.meg)
    starts = recording.starts(shape.n_tokens)
    for some in np.array_split(starts, max(1, -(-len(starts) // _AT_ONCE))):
        eeg = np.stack([recording.eeg[start : start + n].T for start in some]) / np.float32(units.eeg)
        parts, _, _ = net.streamed(torch.from_numpy(eeg))
        for start, meg in zip(some, net.estimate(parts).meg[:, 0].numpy(), strict=True):
            estimate[start + first : start + first + shape.token] = meg.T * units.meg
    return estimate
