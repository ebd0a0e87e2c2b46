"""How much a model gains by so many seconds of a wearer's own EEG and MEG, on subjects that nothing has seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cortexcast_training.baselines import own
from cortexcast_training.calibration import calibrate, material
from cortexcast_training.evaluate import Shifted, explained
from cortexcast_training.head_modes import HeadModes
from cortexcast_training.held_out import HeldOut
from cortexcast_training.metrics import gap_over_subjects, over_subjects
from cortexcast_training.net import Net
from cortexcast_training.results import CurvePoint
from cortexcast_training.scaling import Units
from cortexcast_training.trained import Trained
from cortexcast_training.windows import Prepared

_RIDGE = "own ridge"
_AT_ONCE = 64


@dataclass(frozen=True)
class Calibration:
    """How the subjects of an evaluation are calibrated to.

    Attributes:
        run: the folder of the model as it was trained: each process reads it anew.
        modes: in which heads vary, of this model.
        seconds: of each subject's own recording, rising.
    """

    run: Path
    modes: HeadModes
    seconds: tuple[float, ...]


@dataclass(frozen=True)
class Tried:
    """What came of so many seconds of one subject's own recording, in explained variance.

    Attributes:
        seconds: the filters' settling included.
        calibrated: the model; None where calibration refuses, as cross-validation finds no sure gain.
        ridge: fitted to the same seconds, without any model.
    """

    seconds: float
    calibrated: float | None
    ridge: float


def try_calibration(
    trained: Trained, modes: HeadModes, seconds: Sequence[float], recording: Prepared, held: HeldOut
) -> list[Tried]:
    """Calibrate to the beginning of a subject's own recording, and judge on what is held out.

    Args:
        trained: the model.
        modes: in which heads vary, of this model.
        seconds: of the recording, one calibration for each.
        recording: the subject's own, which ``held`` holds nothing of.
        held: what all methods are judged on.

    Raises:
        CalibrationError: the shortest part is too short.
    """
    net, units = trained.hop.net, trained.units
    tried = []
    for length in seconds:
        some = recording.part(0.0, length)
        result = calibrate(net, material(net, [some], units), modes)
        calibrated = explained(held, _estimate(result.net, held.test, units)) if result.gain.is_sure else None
        tried.append(Tried(length, calibrated, explained(held, own(some, units)[_RIDGE](held.test).meg)))
    return tried


def calibration_curve(subjects: Sequence[tuple[Shifted, Sequence[Tried]]]) -> list[CurvePoint]:
    """The curve over subjects, a point for each length.

    Args:
        subjects: of each, how it was judged without calibration, and what came of calibration.
    """
    judged = [each for each, _ in subjects]
    model, baseline = [each.model for each in judged], [each.baseline for each in judged]
    oracle = [each.oracle for each in judged if each.oracle is not None]
    points = []
    for of_length in zip(*(tried for _, tried in subjects), strict=True):
        calibrated = [
            before if each.calibrated is None else each.calibrated
            for before, each in zip(model, of_length, strict=True)
        ]
        points.append(
            CurvePoint(
                seconds=of_length[0].seconds,
                model=over_subjects(model),
                calibrated=over_subjects(calibrated),
                gap_closed=gap_over_subjects(calibrated, baseline, oracle) if len(oracle) == len(judged) else None,
                ridge=over_subjects([each.ridge for each in of_length]),
                refused=sum(each.calibrated is None for each in of_length),
            )
        )
    return points


@torch.no_grad()
def _estimate(net: Net, recording: Prepared, units: Units) -> NDArray[np.float32]:
    """What a net streams of a recording, ``(n, n_sensors)`` in T and T/m; zero where no good window is."""
    shape = net.shape
    n, first = shape.n_tokens * shape.token, (shape.n_tokens - 1 - shape.lookahead) * shape.token
    estimate = np.zeros_like(recording.meg)
    starts = recording.starts(shape.n_tokens)
    for some in np.array_split(starts, max(1, -(-len(starts) // _AT_ONCE))):
        eeg = np.stack([recording.eeg[start : start + n].T for start in some]) / np.float32(units.eeg)
        parts = net.streamed(torch.from_numpy(eeg))[0]
        for start, meg in zip(some, net.estimate(parts).meg[:, 0].numpy(), strict=True):
            estimate[start + first : start + first + shape.token] = meg.T * units.meg
    return estimate
