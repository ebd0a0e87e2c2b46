"""Small nets, and what they are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from cortexcast_training import scaling
from cortexcast_training.analysis import analyse, state_covariances, state_maps
from cortexcast_training.contexts import Contexts, recording_sums
from cortexcast_training.fit import Examples
from cortexcast_training.head_modes import Shown, head_modes
from cortexcast_training.head_statistics import head_statistics
from cortexcast_training.manifest_fields import About
from cortexcast_training.montages import Montages
from cortexcast_training.net import Net, NetShape
from cortexcast_training.recipe import FitSettings
from cortexcast_training.scaling import Units
from cortexcast_training.states import Labels, find_states
from cortexcast_training.wiener import LaggedCovariances, Taps
from cortexcast_training.windows import Prepared, Windows

TAPS = Taps(4, 8, 2)
ABOUT = About(
    name="made-up",
    version="1.0.0",
    description="a net that nothing was trained on",
    trained_on="simulated",
    data=("made up",),
    train_subjects=("sub-00",),
    held_out_subjects=("sub-90",),
    built_by="the tests",
    licence="BSD-3-Clause",
    intended_use="tests",
)
"""Of a bundle."""

SMALL_NET = """
[net]
n_components = 8
n_tokens = 6
width = 16
n_layers = 1
n_heads = 2
n_filters = 8
n_experts = 4
n_features = 4
n_modes = 1
"""
"""Of a recipe: one that is trained in a second."""


def net_shape(n_sensors: int = 4, **changes: Any) -> NetShape:
    """Sizes that train in seconds."""
    sizes: dict[str, Any] = {
        "n_electrodes": 70,
        "n_sensors": n_sensors,
        "n_components": 3,
        "n_tokens": 6,
        "token": 8,
        "lookahead": 1,
        "width": 16,
        "n_layers": 2,
        "n_heads": 2,
        "n_filters": 16,
        "n_experts": 4,
        "n_features": 5,
        "n_modes": 2,
    }
    return NetShape(**{**sizes, **changes})


def shown_heads(shape: NetShape) -> list[Shown]:
    """Made up: to draw real ones takes a minute."""
    rng = np.random.default_rng(0)
    return [
        Shown(*(rng.standard_normal((n, 400)).astype(np.float32) for n in (shape.n_electrodes, shape.n_sensors)))
        for _ in range(3)
    ]


def analysed(recordings: list[Prepared]) -> tuple[Units, LaggedCovariances]:
    """Units and covariances of recordings."""
    units = scaling.units(recordings, np.ones(recordings[0].meg.shape[1], bool))
    return units, scaling.covariances(recordings, units, TAPS)


def untrained(recordings: list[Prepared], shape: NetShape, seed: int = 0) -> tuple[Net, Units, list[Labels]]:
    """A net that knows no more than what analysis tells, and the states of the recordings' hops."""
    units, total = analysed(recordings)
    states = find_states(recordings, total, units, shape.n_experts, seed)
    of_states, labels = state_covariances(recordings, total, units, states)
    basis = total.principal_fields(shape.n_components)
    modes = head_modes(shown_heads(shape), basis, units)
    heads = head_statistics(recordings, labels, units, basis, state_maps(basis, of_states), modes, shape.n_features)
    torch.manual_seed(seed)
    analysis = analyse(total, basis, of_states, heads, shape.n_filters)
    return Net(shape, analysis).eval(), units, labels


def montages(settings: FitSettings) -> Montages:
    """Headsets as the server shows them to most nets."""
    return Montages(settings.montages, "interpolated")


def examples(
    net: Net, recordings: list[Prepared], units: Units, settings: FitSettings, states: list[Labels] | None = None
) -> Examples:
    """What to train or judge a net by."""
    worn = montages(settings).matrices
    sums = [recording_sums(net.adaptation, each, units.eeg, worn) for each in recordings]
    return Examples(Windows(recordings, net.shape.n_tokens), Contexts(sums), states)


def disturbed(net: Net, size: float = 0.3, seed: int = 0) -> Net:
    """The net with all that is trained moved at random, as training might have."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            # A mixture is added to the identity: large ones would leave nothing of the EEG.
            share = 0.1 if name.startswith("adaptation") else 1.0
            parameter.add_(share * size * torch.randn(parameter.shape, generator=generator))
    return net
