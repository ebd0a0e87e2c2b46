"""Small nets, and what they are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from cortexcast_training import scaling
from cortexcast_training.analysis import analyse, state_covariances
from cortexcast_training.net import Net, NetShape
from cortexcast_training.scaling import Units
from cortexcast_training.states import Labels, find_states
from cortexcast_training.wiener import LaggedCovariances, Taps
from cortexcast_training.windows import Prepared

TAPS = Taps(4, 8, 2)


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
    }
    return NetShape(**{**sizes, **changes})


def analysed(recordings: list[Prepared]) -> tuple[Units, LaggedCovariances]:
    """Units and covariances of recordings."""
    units = scaling.units(recordings, np.ones(recordings[0].meg.shape[1], bool))
    return units, scaling.covariances(recordings, units, TAPS)


def untrained(recordings: list[Prepared], shape: NetShape, seed: int = 0) -> tuple[Net, Units, list[Labels]]:
    """A net that knows no more than what analysis tells, and the states of the recordings' hops."""
    units, total = analysed(recordings)
    states = find_states(recordings, total, units, shape.n_experts, seed)
    of_states, labels = state_covariances(recordings, total, units, states)
    torch.manual_seed(seed)
    return Net(shape, analyse(total, of_states, shape)).eval(), units, labels


def disturbed(net: Net, size: float = 0.3, seed: int = 0) -> Net:
    """The net with all that is trained moved at random, as training might have."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(size * torch.randn(parameter.shape, generator=generator))
    return net
