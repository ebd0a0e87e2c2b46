"""The autoencoder and everything that it is compared with, by name: each gives estimates for a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from cortexcast_training.eegfmri.fmri_baselines import RANK, alpha_power, group_mean, lagged_ridge, shifted
from cortexcast_training.eegfmri.fmri_judge import Estimate
from cortexcast_training.eegfmri.fmri_metrics import MIN_SHIFT_S
from cortexcast_training.eegfmri.moments import Moments, settled
from cortexcast_training.eegfmri.runs import HOP_S, Run
from cortexcast_training.eegfmri.targets import Floats, Target, bold, seen
from cortexcast_training.eegfmri.trained_vae import Product, TrainedVae
from cortexcast_training.eegfmri.vae import BOLD, EEG, STIMULUS, binned

MODEL, WITH_BOLD, NULL, RIDGE, REDUCED, ALPHA, GROUP, ZERO, CEILING = (
    "model",
    "model, EEG and BOLD",
    "model, EEG of another time",
    "lagged ridge",
    "reduced-rank ridge",
    "alpha power",
    "group mean",
    "zero",
    "ceiling",
)

Method = Callable[[Run], Estimate]
"""Estimates a run's settled volumes."""

_NULLS = 20
"""Times that EEG is turned by: what by chance suits a film at one of them would suit it for every subject."""

TARGETS: Mapping[Product, Target] = {"fmri": bold, "stimulus": seen}
MODALITY: Mapping[Product, str] = {"fmri": BOLD, "stimulus": STIMULUS}
"""That a product is an estimate of."""


def truth(run: Run, product: Product) -> Floats:
    """What is to be estimated, ``(n_volumes, n_outputs)``, of settled volumes."""
    return TARGETS[product](run)[judged_volumes(run, product)]


def judged_volumes(run: Run, product: Product) -> NDArray[np.int64]:
    """The volumes of a run that are estimated and judged."""
    return settled(run, with_stimulus=product == "stimulus")


def autoencoder(trained: TrainedVae, given: Sequence[str] = (EEG,)) -> Method:
    """What the net makes of these modalities."""
    name, units = MODALITY[trained.product], trained.units
    unit, middle = (units.bold, 0.0) if name == BOLD else (units.embedding, units.embedding_mean)

    @torch.no_grad()
    def estimate(run: Run) -> Estimate:
        moments = Moments([run], trained.units)
        batches = [trained.vae.estimate(trained.vae.seeing(some, given), name) for some in moments.batches()]
        mean, log_variance = (torch.cat(parts).double().numpy() for parts in zip(*batches, strict=True))
        return Estimate(np.asarray(middle + mean * unit, np.float64), np.exp(0.5 * log_variance) * unit)

    return estimate


def methods(
    trained: TrainedVae,
    train: Sequence[Run],
    validation: Sequence[Run],
    judged: Sequence[Run],
    others: Sequence[Run],
) -> dict[str, list[Method]]:
    """All of them, fitted to the training runs; of several under one name the mean score counts.

    Args:
        trained: the model.
        train: the runs that it was trained on, and
        validation: those that told when it was best.
        judged: those that it is judged on.
        others: all runs that there are, for the mean of those who watched the same film.
    """
    product = trained.product
    target = TARGETS[product]
    # Of a space with few dimensions every map is of a low rank.
    ranks = (None, RANK) if target(train[0]).shape[1] > RANK else (None,)
    model = autoencoder(trained)
    found = {
        ZERO: [lambda run: Estimate(np.zeros_like(truth(run, product)))],
        MODEL: [model],
        NULL: [_turned(model, number / (_NULLS - 1)) for number in range(_NULLS)],
        WITH_BOLD: [autoencoder(trained, (EEG, BOLD))],
    }
    for name, ridge in zip((RIDGE, REDUCED), lagged_ridge(train, validation, target, ranks), strict=False):
        found[name] = [_of_volumes(ridge, product)]
    if product == "fmri":
        found[GROUP] = [_of_volumes(lambda run: group_mean(run, others), product)]
        found[ALPHA] = [_of_volumes(alpha_power(train), product)]
        if all(run.visible is not None for run in judged):
            found[CEILING] = [_of_volumes(_visible, product)]
    return found


@torch.no_grad()
def reconstructions(trained: TrainedVae, run: Run) -> dict[str, float]:
    """The share of the variance of each modality that the net gives back, by what it sees, such as ``eeg from bold``.

    EEG is that of the last 20 s, second by second. All is in units of the training data.
    """
    moments = Moments([run], trained.units)
    known = trained.vae.modalities
    error = dict.fromkeys(((name, given) for given in (*((one,) for one in known), known) for name in known), 0.0)
    power = dict.fromkeys(known, 0.0)
    for some in moments.batches():
        targets = {**some, EEG: binned(some[EEG])}
        for name in known:
            power[name] += float((targets[name] ** 2).nansum())
        for name, given in error:
            mean = trained.vae.estimate(trained.vae.seeing(some, given), name).mean
            error[name, given] += float(((targets[name] - mean) ** 2).nansum())
    return {
        f"{name} from {'all' if given == known else given[0]}": 1 - value / power[name]
        for (name, given), value in error.items()
    }


def _turned(method: Method, share: float) -> Method:
    """Given EEG of another time: turned by a share of all times from ``MIN_SHIFT_S`` up to as much from the end."""

    def estimate(run: Run) -> Estimate:
        duration_s = len(run.power) * HOP_S
        return method(shifted(run, MIN_SHIFT_S + share * max(0.0, duration_s - 2 * MIN_SHIFT_S)))

    return estimate


def _visible(run: Run) -> Floats:
    assert run.visible is not None
    return np.asarray(run.visible.T, np.float64)


def _of_volumes(method: Callable[[Run], Floats], product: Product) -> Method:
    return lambda run: Estimate(method(run)[judged_volumes(run, product)])
