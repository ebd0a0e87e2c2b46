"""Calibrate a model to one head: from the wearer's own simultaneous EEG and MEG.

What differs between heads is above all linear: where each source shows, and how strongly. So the model stays as it is
between two mixtures, one of the electrodes before it and one of its fields after it, and these are fitted:

1. along the modes in which heads vary (``head_modes.py``), as the most probable head given the recording: a few
   numbers, which ten seconds tell;
2. from there in every entry, by gradient descent. How many steps serve is told by cross-validation over blocks of the
   recording: so early stopping draws the mixtures toward the most probable head.

What that gains is measured on blocks that neither the fit nor the choice of its steps has seen.

Source: hierarchical shrinkage as in Hoerl & Kennard, *Technometrics* 12 (1970), and Gauss-Newton iteration; early
stopping as shrinkage: Yao, Rosasco & Caponnetto, *Constr. Approx.* 26 (2007).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call

from cortexcast_training.adaptation import Context
from cortexcast_training.contexts import whole_context
from cortexcast_training.head_modes import HOLD, HeadModes
from cortexcast_training.net import Net
from cortexcast_training.scaling import Units
from cortexcast_training.windows import Prepared

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

N_BLOCKS = 5

LEAST_S = 7.5
"""Good data, without which nothing can be told: what is left of 10 s when the filters have settled."""

N_ROUNDS = 3
"""Gauss-Newton iterations."""

STEPS = (10, 20, 40, 80, 160)
"""Of gradient descent, in all, at which it is looked whether they serve."""

RIDGE_HOLDS = (10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0)
"""Of ridge regression: as by so many samples that agree with zero."""

_LEARNING_RATE = 1e-3
_BATCH = 32
_AT_ONCE = 32
_MOST_WINDOWS = 400
"""That modes are told from: some three minutes."""

_NUDGE = 0.1
"""Of a mode, in standard deviations over heads: by how the estimate moves, its derivative is taken."""

Say = Callable[[str, int, int], None]
"""Hears what is being done, how much of it is, and of how much."""


class CalibrationError(Exception):
    """A recording cannot be calibrated to, or it gains nothing. The message says why."""


@dataclass(frozen=True)
class Material:
    """What is calibrated on: windows, of each of which the newer half is estimated; these halves do not overlap.

    Attributes:
        eeg: ``(n, n_electrodes, n_samples)`` in the net's units.
        wanted: ``(n, n_estimated, n_components)``, strengths of the net's fields in the measured MEG.
        power: ``(n,)``, of the measured MEG, all sensors and estimated samples together.
        block: ``(n,)``, which of the blocks for cross-validation each window is in.
        context: what all of the EEG shows of the wearer.
    """

    eeg: Tensor
    wanted: Tensor
    power: Tensor
    block: Numbers
    context: Context

    def __len__(self) -> int:
        return len(self.eeg)


@dataclass(frozen=True)
class Correction:
    """Two mixtures, each less the identity.

    Attributes:
        eeg: ``(n_electrodes, n_electrodes)``, before the net.
        fields: ``(n_components, n_components)``, after it.
    """

    eeg: Tensor
    fields: Tensor

    def corrected(self, net: Net) -> Net:
        """The net with the mixtures inside it: of the same form, and no slower."""
        result = copy.deepcopy(net)
        own = {**dict(result.named_parameters()), **dict(result.named_buffers())}
        with torch.no_grad():
            for name, value in _mixed(net, self).items():
                own[name].copy_(value)
        return result


@dataclass(frozen=True)
class Gain:
    """Explained variance of MEG as measured, in blocks that nothing was fitted to; ``(n_blocks,)`` each.

    Attributes:
        before: of the model as it was.
        after: calibrated on the other blocks.
        ridge: of ridge regression fitted to the other blocks, without any model.
    """

    before: Floats
    after: Floats
    ridge: Floats

    @property
    def is_sure(self) -> bool:
        """Whether calibration gained more than its standard error over blocks."""
        return _is_sure(self.after - self.before)


@dataclass(frozen=True)
class Calibrated:
    """What came of a calibration.

    Attributes:
        net: the calibrated one.
        gain: by cross-validation.
        steps: of gradient descent that served, beyond the modes.
    """

    net: Net
    gain: Gain
    steps: int


def material(net: Net, recordings: Sequence[Prepared], units: Units) -> Material:
    """Cut the good stretches of recordings into windows.

    Raises:
        CalibrationError: they are too short.
    """
    shape, span = net.shape, _estimated(net)
    n, hops = shape.n_tokens * shape.token, span.stop - span.start
    samples = slice(span.start * shape.token, span.stop * shape.token)
    good_s = sum(recording.good.sum() * recording.hop / recording.rate_hz for recording in recordings)
    eeg, wanted, power = [], [], []
    for recording in recordings:
        for stretch in recording.stretches():
            for begin in range(stretch.start, stretch.stop - n + 1, hops * shape.token):
                meg = recording.meg[begin : begin + n][samples] / units.meg
                eeg.append(recording.eeg[begin : begin + n].T / units.eeg)
                wanted.append(meg @ net.basis.numpy())
                power.append((meg**2).sum())
    if good_s < LEAST_S or len(eeg) < N_BLOCKS:
        raise CalibrationError(
            f"there are {good_s:.1f} s of good data, in {len(eeg)} windows without an interruption: "
            "calibration needs a recording of 10 s or more"
        )
    return Material(
        torch.from_numpy(np.stack(eeg)).float(),
        torch.from_numpy(np.stack(wanted)).float(),
        torch.tensor(power).float(),
        np.arange(len(eeg)) * N_BLOCKS // len(eeg),
        whole_context(net.adaptation, recordings, units.eeg),
    )


def calibrate(net: Net, own: Material, modes: HeadModes, say: Say = lambda _what, _done, _of: None) -> Calibrated:
    """Fit a net to a recording, as far as the recording itself, left out in parts, says that it serves.

    Args:
        net: as trained.
        own: the wearer's recordings.
        modes: in which heads vary.
        say: hears how far it is.
    """
    frozen = settle(net, own.context)
    folds = [own.block != block for block in range(N_BLOCKS)]
    everything = np.ones(len(own), bool)
    *heads, head = _heads(frozen, own, modes, [*folds, everything], say)
    paths = [_Path(frozen, own, of_fold, fold) for of_fold, fold in zip(heads, folds, strict=True)]

    def left() -> list[float]:
        return [path.left(~fold) for path, fold in zip(paths, folds, strict=True)]

    # Stages: the model as it was, the most probable head, and so many steps from there.
    stages = [[_left(frozen, own, ~fold) for fold in folds], left()]
    for done, steps in enumerate(STEPS):
        say("fitting", done, len(STEPS))
        for path in paths:
            path.go_on_to(steps)
        stages.append(left())
        if sum(stages[-1]) > sum(stages[-2]):
            break
    steps = (0, *STEPS)[_served(np.array(stages)) - 1]
    whole = _Path(frozen, own, head, everything)
    whole.go_on_to(steps)
    say("fitting", len(STEPS), len(STEPS))
    return Calibrated(whole.correction.corrected(frozen), _gain(frozen, own, np.array(stages)), steps)


@torch.no_grad()
def settle(net: Net, context: Context) -> Net:
    """The net with the head inside it that the wearer's EEG shows, and which adapts no more."""
    mixtures = net.adaptation(context)
    settled = Correction(mixtures.eeg[0], mixtures.fields[0]).corrected(net)
    settled.adaptation.settle()
    return settled.requires_grad_(False)


class _Path:
    """From the most probable head by gradient descent toward what these windows show."""

    def __init__(self, net: Net, own: Material, head: Correction, used: NDArray[np.bool_]) -> None:
        self._net, self._own, self._numbers = net, own, np.flatnonzero(used)
        self.correction = Correction(head.eeg.clone().requires_grad_(), head.fields.clone().requires_grad_())
        # Adam (Kingma & Ba, *ICLR* 2015).
        self._optimizer = torch.optim.Adam([self.correction.eeg, self.correction.fields], lr=_LEARNING_RATE)
        self._steps = 0

    def go_on_to(self, steps: int) -> None:
        """Take steps until there are so many."""
        for step in range(self._steps, steps):
            numbers = np.random.default_rng(step).choice(self._numbers, min(_BATCH, len(self._numbers)), replace=False)
            missed = self._own.wanted[numbers] - _strengths(self._net, self.correction, self._own.eeg[numbers])
            self._optimizer.zero_grad(set_to_none=True)
            (missed.square().sum() / self._own.power[numbers].sum()).backward()
            self._optimizer.step()
        self._steps = max(self._steps, steps)

    def left(self, which: NDArray[np.bool_]) -> float:
        """The squared error that is left of these windows, as far as the net's fields can give them."""
        return _left(self._net, self._own, which, self.correction)


@torch.no_grad()
def _heads(
    net: Net, own: Material, modes: HeadModes, trainings: Sequence[NDArray[np.bool_]], say: Say
) -> list[Correction]:
    """Given the windows of each training, the most probable head.

    All of them share the point about which the net is taken to be linear. It hardly matters, and is found once.
    """
    some = np.arange(0, len(own), -(-len(own) // _MOST_WINDOWS))
    n_modes = len(modes.eeg)
    head = np.zeros(n_modes)
    for done in range(N_ROUNDS):
        say("finding the head", done, N_ROUNDS)
        grams, crosses = np.zeros((N_BLOCKS, n_modes, n_modes)), np.zeros((N_BLOCKS, n_modes))
        error, n = 0.0, 0
        for numbers in np.array_split(some, -(-len(some) // _AT_ONCE)):
            eeg, block = own.eeg[numbers], own.block[numbers]
            here = _strengths(net, _along(modes, head), eeg)
            missed = (own.wanted[numbers] - here).flatten(1).numpy()
            moved = np.stack(
                [
                    ((_strengths(net, _along(modes, head + nudge), eeg) - here) / _NUDGE).flatten(1).numpy()
                    for nudge in _NUDGE * np.eye(n_modes)
                ],
                axis=1,
            )
            for of in np.unique(block):
                within = moved[block == of].astype(np.float64)
                grams[of] += np.einsum("nks,nls->kl", within, within, optimize=True)
                crosses[of] += np.einsum("nks,ns->k", within, missed[block == of])
            error, n = error + float((missed.astype(np.float64) ** 2).sum()), n + missed.size
        hold = HOLD * error / n * np.eye(n_modes)
        start = head
        head = scipy.linalg.solve(grams.sum(axis=0) + hold, crosses.sum(axis=0) + grams.sum(axis=0) @ start)
    heads = []
    for used in trainings:
        blocks = np.unique(own.block[used])
        gram, cross = grams[blocks].sum(axis=0), crosses[blocks].sum(axis=0)
        heads.append(_along(modes, scipy.linalg.solve(gram + hold, cross + gram @ start)))
    return heads


def _along(modes: HeadModes, head: Floats) -> Correction:
    return Correction(
        torch.from_numpy(np.tensordot(head, modes.eeg, 1)).float(),
        torch.from_numpy(np.tensordot(head, modes.fields, 1)).float(),
    )


def _mixed(net: Net, correction: Correction) -> dict[str, Tensor]:
    """What of a net the mixtures change: every linear map from the EEG, and every one to the fields.

    A window is divided by its RMS as it was recorded.
    """
    shape = net.shape
    eeg = torch.eye(shape.n_electrodes) + correction.eeg
    fields = torch.eye(shape.n_components) + correction.fields
    n = shape.n_electrodes * shape.token
    tokens = net.embed.weight[:, :n].unflatten(1, (shape.n_electrodes, shape.token))
    residual = shape.n_components, shape.token
    return {
        "filters": net.filters @ eeg,
        "embed.weight": torch.cat([torch.einsum("wet,ef->wft", tokens, eeg).flatten(1), net.embed.weight[:, n:]], 1),
        "wiener": torch.einsum("cd,det,ef->cft", fields, net.wiener, eeg),
        "experts": fields @ net.experts @ eeg,
        "residual.weight": torch.einsum("cd,dtw->ctw", fields, net.residual.weight.unflatten(0, residual)).flatten(
            0, 1
        ),
        "residual.bias": (fields @ net.residual.bias.unflatten(0, residual)).flatten(),
    }


def _strengths(net: Net, correction: Correction | None, eeg: Tensor) -> Tensor:
    """Of the fields in the newer half of windows: ``(n, n_estimated, n_components)``."""
    parts = net(eeg) if correction is None else functional_call(net, _mixed(net, correction), (eeg,))
    strengths: Tensor = parts.components[:, _estimated(net)].transpose(2, 3).flatten(1, 2)
    return strengths


def _estimated(net: Net) -> slice:
    """The tokens that are estimated of each window: the newer half, whose past it holds."""
    stop = net.shape.n_tokens - net.shape.lookahead
    return slice(stop - stop // 2, stop)


@torch.no_grad()
def _left(net: Net, own: Material, which: NDArray[np.bool_], correction: Correction | None = None) -> float:
    """The squared error that is left of these windows, as far as the net's fields can give them."""
    numbers = np.flatnonzero(which)
    return sum(
        float((own.wanted[some] - _strengths(net, correction, own.eeg[some])).square().sum())
        for some in np.array_split(numbers, -(-len(numbers) // _AT_ONCE))
    )


def _served(left: Floats) -> int:
    """How far to go, given what is left at each stage of each block: on while it surely helps, at least to the head."""
    stage = 1
    while stage + 1 < len(left) and _is_sure(left[stage] - left[stage + 1]):
        stage += 1
    return stage


def _is_sure(gained: Floats) -> bool:
    """Whether the mean is above zero by more than its standard error."""
    return bool(gained.mean() > gained.std(ddof=1) / np.sqrt(len(gained)))


def _gain(net: Net, own: Material, left: Floats) -> Gain:
    """Of what is left ``(n_stages, n_blocks)``, in each block at the stage that serves the other blocks."""
    power, given = (
        np.array([float(each[own.block == block].sum()) for block in range(N_BLOCKS)])
        for each in (own.power, own.wanted.square())
    )
    served = [_served(np.delete(left, block, axis=1)) for block in range(N_BLOCKS)]
    chosen = left[served, np.arange(N_BLOCKS)]
    beyond = power - given  # what no strength of the fields gives
    return Gain(*(1 - (each + beyond) / power for each in (left[0], chosen, _left_by_ridge(net, own))))


def _left_by_ridge(net: Net, own: Material) -> Floats:
    """Likewise, by ridge regression on the other blocks: ``(n_blocks,)``."""
    span = _estimated(net)
    samples = slice(span.start * net.shape.token, span.stop * net.shape.token)
    blocks = []
    for block in range(N_BLOCKS):
        inside = own.block == block
        eeg = own.eeg[inside][:, :, samples].transpose(1, 2).flatten(0, 1).double().numpy()
        wanted = own.wanted[inside].flatten(0, 1).double().numpy()
        blocks.append(_Sums(eeg.T @ eeg, eeg.T @ wanted, float((wanted**2).sum())))
    return np.array([blocks[n].left(_regressed([*blocks[:n], *blocks[n + 1 :]])) for n in range(N_BLOCKS)])


@dataclass(frozen=True)
class _Sums:
    """Normal equations of a regression, and the power of what it is to give."""

    gram: Floats
    cross: Floats
    power: float

    def weights(self, hold: float) -> Floats:
        return np.asarray(scipy.linalg.solve(self.gram + hold * np.eye(len(self.gram)), self.cross, assume_a="pos"))

    def left(self, weights: Floats) -> float:
        """The squared error of weights."""
        return self.power - 2 * float((weights * self.cross).sum()) + float((weights * (self.gram @ weights)).sum())


def _regressed(blocks: Sequence[_Sums]) -> Floats:
    """The weights of these blocks, held to zero as firmly as predicts each best from the others."""

    def fitted(some: Sequence[_Sums], hold: float) -> Floats:
        gram, cross = (np.sum([getattr(each, name) for each in some], axis=0) for name in ("gram", "cross"))
        return _Sums(gram, cross, 0.0).weights(hold)

    def error(hold: float) -> float:
        return sum(each.left(fitted([*blocks[:n], *blocks[n + 1 :]], hold)) for n, each in enumerate(blocks))

    return fitted(blocks, min(RIDGE_HOLDS, key=error))
