"""Calibrate a model to one head: from the wearer's own simultaneous EEG and MEG.

What differs between heads is above all linear: where each field lies, how strong it is, how EEG mixes into it. So with
the transformer's weighting of its experts as it is, the linear parts are fitted anew by ridge regression toward what
they were: the fields as mixtures of the estimated fields, and the experts' maps. How firmly each is held to what it was
is chosen by cross-validation over blocks of the recording, and what that gains is measured by another one around it.

Source: hierarchical shrinkage as in Hoerl & Kennard, *Technometrics* 12 (1970), with the model in place of zero.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product
from typing import Self

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray

from cortexcast_training.net import Net
from cortexcast_training.scaling import Units
from cortexcast_training.windows import Prepared

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

N_BLOCKS = 5

MIXTURE_HOLDS = (100.0, 1_000.0, 10_000.0)
EXPERT_HOLDS = (100.0, 300.0, 1_000.0, 3_000.0, 10_000.0)
RIDGE_HOLDS = (10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0)
"""How firmly: as by so many samples that agree with the model, or with zero in plain ridge regression."""

N_DIRECTIONS = 24
"""In which the experts' weights vary: their maps are fitted anew along these alone."""

_BATCH = 256


@dataclass(frozen=True)
class Readout:
    """What a net makes of a recording and what was measured, by sample; in the net's units.

    Attributes:
        white: ``(n, n_white)``, EEG.
        weights: ``(n, n_experts)``.
        estimate: ``(n, n_components)``, strengths of the net's fields.
        measured: ``(n, n_components)``, likewise in the measured MEG.
        power: ``(n,)``, of the measured MEG, all sensors together.
    """

    white: Singles
    weights: Singles
    estimate: Singles
    measured: Singles
    power: Singles


@torch.no_grad()
def read_out(net: Net, recording: Prepared, units: Units) -> Readout:
    """Run a net over all good windows of a recording, as the server would."""
    shape = net.shape
    n = shape.n_tokens * shape.token
    token = (shape.n_tokens - 1 - shape.lookahead) * shape.token
    starts = recording.starts(shape.n_tokens)
    parts: list[tuple[Singles, ...]] = []
    for some in np.array_split(starts, max(1, -(-len(starts) // _BATCH))):
        eeg = np.stack([recording.eeg[s : s + n].T for s in some]) / np.float32(units.eeg)
        meg = np.concatenate([recording.meg[s + token : s + token + shape.token] for s in some]) / units.meg
        read, _, _ = net.streamed(torch.from_numpy(eeg))
        parts.append(
            (
                _by_sample(read.tokens),
                np.repeat(read.weights[:, 0].numpy(), shape.token, axis=0),
                _by_sample(read.components),
                (meg @ net.basis.numpy()).astype(np.float32),
                (meg**2).sum(axis=1).astype(np.float32),
            )
        )
    return Readout(*(np.concatenate(each) for each in zip(*parts, strict=True)))


@dataclass(frozen=True)
class Correction:
    """What to add to a net's linear parts.

    Attributes:
        mixture: ``(n_components, n_components)``: the fields' strengths gain this times the estimated ones.
        experts: ``(n_experts, n_components, n_white)``, added to the experts' maps.
    """

    mixture: Floats
    experts: Floats

    def corrected(self, net: Net) -> Net:
        """The net with this correction."""
        result = copy.deepcopy(net)
        mixing = torch.from_numpy(np.eye(len(self.mixture)) + self.mixture).float()
        with torch.no_grad():
            result.experts.copy_(mixing @ net.experts + torch.from_numpy(self.experts).float())
            result.wiener.copy_(torch.einsum("cd,det->cet", mixing, net.wiener))
            shape = (net.shape.n_components, net.shape.token)
            result.residual.weight.copy_(
                torch.einsum("cd,dtw->ctw", mixing, net.residual.weight.unflatten(0, shape)).flatten(0, 1)
            )
            result.residual.bias.copy_((mixing @ net.residual.bias.unflatten(0, shape)).flatten())
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


@dataclass(frozen=True)
class _Sums:
    """Normal equations of regressing on features."""

    gram: Floats
    cross: Floats

    @classmethod
    def of(cls, features: Singles, targets: Singles) -> Self:
        return cls((features.T @ features).astype(np.float64), (features.T @ targets).astype(np.float64))

    def __add__(self, other: _Sums) -> _Sums:
        return _Sums(self.gram + other.gram, self.cross + other.cross)

    def solve(self, holds: Floats) -> Floats:
        gram = self.gram.copy()
        gram[np.diag_indices(len(gram))] += holds
        return np.asarray(scipy.linalg.solve(gram, self.cross, assume_a="pos"), np.float64)


class Calibration:
    """Fit a correction to a recording.

    Args:
        readout: of the recording.
    """

    def __init__(self, readout: Readout) -> None:
        self._readout = readout
        self._directions = np.linalg.svd(readout.weights, full_matrices=False)[2][:N_DIRECTIONS]
        self._blocks = [slice(b[0], b[-1] + 1) for b in np.array_split(np.arange(len(readout.white)), N_BLOCKS)]
        n_components, n_white = readout.estimate.shape[1], readout.white.shape[1]
        is_mixture = np.arange(n_components + len(self._directions) * n_white) < n_components
        features = [self._features(block) for block in self._blocks]
        size = np.mean([(each**2).mean(axis=0) for each in features], axis=0)
        sizes = np.where(is_mixture, size[is_mixture].mean(), size[~is_mixture].mean())
        self._holds = [
            np.where(is_mixture, mixture, expert) * sizes for mixture, expert in product(MIXTURE_HOLDS, EXPERT_HOLDS)
        ]
        missed = readout.measured - readout.estimate
        self._sums = [_Sums.of(each, missed[block]) for each, block in zip(features, self._blocks, strict=True)]
        self._ridge_holds = [np.full(n_white, hold) for hold in RIDGE_HOLDS]
        self._ridge_sums = [_Sums.of(readout.white[b], readout.measured[b]) for b in self._blocks]

    def correction(self) -> Correction:
        """The correction, fitted to the whole recording."""
        everything = range(N_BLOCKS)
        solution = _best(self._sums, self._holds, self._missed_power, everything)
        n_components, n_white = self._readout.estimate.shape[1], self._readout.white.shape[1]
        along = solution[n_components:].reshape(len(self._directions), n_white, n_components)
        return Correction(
            mixture=solution[:n_components].T,
            experts=np.einsum("dk,dwc->kcw", self._directions, along),
        )

    def gain(self) -> Gain:
        """What it gains, by cross-validation around the whole fit: each block once left out."""
        before, after, ridge = [], [], []
        for left_out in range(N_BLOCKS):
            others = [block for block in range(N_BLOCKS) if block != left_out]
            corrected = _best(self._sums, self._holds, self._missed_power, others)
            regressed = _best(self._ridge_sums, self._ridge_holds, self._measured_power, others)
            power = float(self._readout.power[self._blocks[left_out]].sum())
            beyond = power - self._measured_power(left_out)  # what no strength of the fields gives
            missed, measured = self._missed_power(left_out), self._measured_power(left_out)
            before.append(1 - (missed + beyond) / power)
            after.append(1 - (_left(self._sums[left_out], corrected, missed) + beyond) / power)
            ridge.append(1 - (_left(self._ridge_sums[left_out], regressed, measured) + beyond) / power)
        return Gain(np.array(before), np.array(after), np.array(ridge))

    def _features(self, block: slice) -> Singles:
        along = self._readout.weights[block] @ self._directions.T
        weighted = along[:, :, np.newaxis] * self._readout.white[block][:, np.newaxis]
        return np.concatenate([self._readout.estimate[block], weighted.reshape(len(along), -1)], axis=1)

    def _missed_power(self, block: int) -> float:
        samples = self._blocks[block]
        return float(((self._readout.measured[samples] - self._readout.estimate[samples]) ** 2).sum())

    def _measured_power(self, block: int) -> float:
        return float((self._readout.measured[self._blocks[block]] ** 2).sum())


def _best(
    sums: Sequence[_Sums], holds: Sequence[Floats], power: Callable[[int], float], blocks: Sequence[int]
) -> Floats:
    """The solution of these blocks under the hold that predicts each best from the others; zero if none does."""
    total = reduce(_Sums.__add__, (sums[block] for block in blocks))
    errors = [sum(power(block) for block in blocks)]
    for hold in holds:
        solved = [(block, _without(total, sums[block]).solve(hold)) for block in blocks]
        errors.append(sum(_left(sums[block], solution, power(block)) for block, solution in solved))
    best = int(np.argmin(errors))
    return np.zeros_like(total.cross) if best == 0 else total.solve(holds[best - 1])


def _without(total: _Sums, block: _Sums) -> _Sums:
    return _Sums(total.gram - block.gram, total.cross - block.cross)


def _left(sums: _Sums, solution: Floats, power: float) -> float:
    """The squared error that a solution leaves of targets of this power."""
    return float(power - 2 * (solution * sums.cross).sum() + (solution * (sums.gram @ solution)).sum())


def _by_sample(tokens: torch.Tensor) -> Singles:
    """``(batch, 1, n_channels, token)`` as ``(batch · token, n_channels)``."""
    return tokens[:, 0].transpose(1, 2).flatten(0, 1).numpy()
