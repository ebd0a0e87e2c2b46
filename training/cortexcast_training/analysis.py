"""What a net knows before it is trained: the population's Wiener filter, principal fields, the states' maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray
from torch import Tensor

from cortexcast_training.adaptation import HeadStatistics
from cortexcast_training.checkpoint import load_state, save_state
from cortexcast_training.net import Analysis
from cortexcast_training.scaling import Units
from cortexcast_training.states import Labels, States
from cortexcast_training.wiener import INSTANT, LaggedCovariances, Taps
from cortexcast_training.windows import Prepared

Floats = NDArray[np.float64]

_LEAST_NOISE = 0.05

_SHRINKAGE = 2_000
"""Samples of the whole data that each state's covariances are made of beside its own."""

_RIDGE = 1e-3
"""Variance that is added to each electrode, as a share of their mean variance."""


@dataclass(frozen=True)
class Analysed:
    """Training data, analysed.

    Attributes:
        settings: what of a recipe the analysis depends on.
        units: of EEG and MEG.
        analysis: what the net knows.
        labels: of each recording, the state of each hop.
        contexts: of each recording, what ``recording_sums`` gives.
    """

    settings: str
    units: Units
    analysis: Analysis
    labels: Sequence[Labels]
    contexts: Sequence[Tensor]


def analyse(
    total: LaggedCovariances,
    basis: Floats,
    of_states: Sequence[LaggedCovariances],
    heads: HeadStatistics,
    n_filters: int,
) -> Analysis:
    """What the net knows before it is trained.

    Args:
        total: covariances of the training data, in its units.
        basis: ``(n_sensors, n_components)``, its principal fields.
        of_states: instantaneous covariances of the hops in each state, ``n_experts``.
        heads: how they vary.
        n_filters: spatial filters.
    """
    filters = np.einsum("mc,met->cet", basis, total.filter(total.taps))
    strengths = np.einsum("mc,mn,nc->c", basis, total.meg, basis)
    outside = total.meg.diagonal() - basis**2 @ strengths
    within = state_maps(basis, of_states)
    return Analysis(
        basis=basis.astype(np.float32),
        wiener=filters.astype(np.float32),
        taps=total.taps,
        noise=np.maximum(outside, _LEAST_NOISE).astype(np.float32),
        filters=spatial_filters(total.eeg, [state.eeg for state in of_states], n_filters).astype(np.float32),
        experts=(within - within.mean(axis=0)).astype(np.float32),
        heads=heads,
    )


def state_maps(basis: Floats, of_states: Sequence[LaggedCovariances]) -> Floats:
    """The linear estimate within each state, from EEG to the fields: ``(n_states, n_components, n_electrodes)``."""
    return np.stack([basis.T @ state.filter(INSTANT, _RIDGE)[:, :, 0] for state in of_states])


def state_covariances(
    recordings: Sequence[Prepared],
    total: LaggedCovariances,
    units: Units,
    states: States,
    say: Callable[[int, int], None] = lambda _, __: None,
) -> tuple[list[LaggedCovariances], list[Labels]]:
    """Instantaneous covariances within each state, and the states of the recordings' hops.

    Args:
        recordings: of training subjects.
        total: their covariances in these units: states that are rare are drawn toward it.
        units: of EEG and MEG.
        states: that were found in them.
        say: hears of how many recordings, of how many, it is done.
    """
    n_states = len(states.factors)
    instant, cross = total.normal_equations(INSTANT)
    eeg = np.repeat(_SHRINKAGE * instant[np.newaxis], n_states, axis=0)
    both = np.repeat(_SHRINKAGE * cross[np.newaxis], n_states, axis=0)
    count = np.full(n_states, float(_SHRINKAGE))
    labels = []
    for done, recording in enumerate(recordings):
        say(done, len(recordings))
        found = states.labels(recording, units)
        labels.append(found)
        by_sample = np.repeat(found, recording.hop)
        for state in range(n_states):
            inside = by_sample == state
            x = np.asarray(recording.eeg[inside] / units.eeg, np.float32)
            y = np.asarray(recording.meg[inside] / units.meg, np.float32)
            eeg[state] += x.T @ x
            both[state] += y.T @ x
            count[state] += len(x)
    say(len(recordings), len(recordings))
    return [
        LaggedCovariances.known(xx[np.newaxis] / n, yx[np.newaxis] / n, total.meg, INSTANT)
        for xx, yx, n in zip(eeg, both, count, strict=True)
    ], labels


def save_analysed(path: Path, analysed: Analysed) -> None:
    """Write it, as a whole or not at all.

    Raises:
        CheckpointError: it cannot be written.
    """
    analysis = {k: torch.from_numpy(v) for k, v in vars(analysed.analysis).items() if isinstance(v, np.ndarray)}
    heads = {k: torch.from_numpy(v) for k, v in analysed.analysis.heads._asdict().items()}
    state = {
        "settings": analysed.settings,
        "eeg_unit": analysed.units.eeg,
        "meg_unit": torch.from_numpy(analysed.units.meg),
        "analysis": analysis,
        "taps": asdict(analysed.analysis.taps),
        "heads": heads,
        "labels": [torch.from_numpy(each) for each in analysed.labels],
        "contexts": list(analysed.contexts),
    }
    save_state(path, state)


def load_analysed(path: Path) -> Analysed:
    """Read it.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    state = load_state(path)
    return Analysed(
        settings=state["settings"],
        units=Units(state["eeg_unit"], state["meg_unit"].numpy()),
        analysis=Analysis(
            taps=Taps(**state["taps"]),
            heads=HeadStatistics(**{name: tensor.numpy() for name, tensor in state["heads"].items()}),
            **{name: tensor.numpy() for name, tensor in state["analysis"].items()},
        ),
        labels=[each.numpy() for each in state["labels"]],
        contexts=state["contexts"],
    )


def spatial_filters(mean: Floats, of_states: Sequence[Floats], n: int) -> Floats:
    """Filters whose power tells a state from the rest, ``(n, n_electrodes)``; on average their power is one.

    Source: common spatial patterns, Ramoser, Müller-Gerking & Pfurtscheller, *IEEE Trans. Rehab. Eng.* 8 (2000).
    """
    mean = mean + _RIDGE * np.trace(mean) / len(mean) * np.eye(len(mean))
    each = -(-n // len(of_states))
    filters = [scipy.linalg.eigh(state, mean)[1][:, : -each - 1 : -1].T for state in of_states]
    # The best of each state first, so that what is cut off are the last of some.
    ranked = np.stack(filters, axis=1).reshape(-1, len(mean))
    return np.asarray(ranked[:n], np.float64)
