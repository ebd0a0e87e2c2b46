"""What patches of the simulated cortex do: states that switch, and Gaussian processes with a spectrum.

Every patch follows a stationary Gaussian process of unit variance whose spectrum is its family's; those of the
networks do so while their state lasts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve1d

from cortexcast_models.simulation.randomness import stream
from cortexcast_models.simulation.spectrum import Spectrum

Singles = NDArray[np.float32]
States = NDArray[np.int16]


class Switching(Protocol):
    """How many states there are, and for how long each lasts."""

    @property
    def states(self) -> int:
        """Their number."""

    @property
    def patches_per_state(self) -> int:
        """Network patches that are active in one state and in no other."""

    @property
    def dwell_min_s(self) -> float:
        """A state lasts for this time and an exponentially distributed one."""

    @property
    def dwell_excess_s(self) -> float:
        """The mean of that distribution, before it is cut at the longest dwell."""

    @property
    def dwell_max_s(self) -> float:
        """The longest dwell."""

    @property
    def transition_s(self) -> float:
        """For how long one state's networks fade out while the next one's fade in."""


@dataclass(frozen=True)
class Family:
    """Patches of one kind.

    Attributes:
        name: ``network``, ``background``, ``alpha``, ``beta``, ``eeg_only``, ``meg_only`` or ``evoked``.
        patches: their rows among all patches.
        spectrum: of their activity; None for evoked responses, which are no stationary process.
    """

    name: str
    patches: slice
    spectrum: Spectrum | None


def draw_spontaneous(
    families: Sequence[Family], switching: Switching, states: States, rate_hz: float, seed: int
) -> Singles:
    """What each patch does by itself, ``(n_patches, n_samples)``; zero for evoked responses.

    Args:
        families: in the order of their patches, which they cover; the networks' come first, state by state.
        switching: how the states were drawn.
        states: ``(n_samples,)``, from ``draw_states``.
        rate_hz: of the samples.
        seed: of the recording.
    """
    activity = np.zeros((families[-1].patches.stop, len(states)), np.float32)
    for family in families:
        if family.spectrum is not None:
            shape = family.patches.stop - family.patches.start, len(states)
            activity[family.patches] = family.spectrum.draw(shape, rate_hz, stream(seed, family.name))
    gate = gates(states, switching.states, switching.transition_s, rate_hz)
    for state, amplitude in enumerate(gate):
        activity[patches_of(state, switching)] *= amplitude
    return activity


def patches_of(state: int, switching: Switching) -> slice:
    """A state's patches among all."""
    size = switching.patches_per_state
    return slice(state * size, (state + 1) * size)


def draw_states(switching: Switching, n_samples: int, rate_hz: float, seed: int) -> States:
    """A semi-Markov sequence of states, ``(n_samples,)``; the next state is any other one, all alike."""
    rng = stream(seed, "states")
    states = np.empty(n_samples, np.int16)
    state, start, end_s = int(rng.integers(switching.states)), 0, 0.0
    # The first dwell began before the recording did.
    elapsed = float(rng.uniform())
    while start < n_samples:
        dwell = _dwell(switching, rng)
        end_s += dwell * (1.0 - elapsed)
        elapsed = 0.0
        stop = min(round(end_s * rate_hz), n_samples)
        states[start:stop] = state
        start = stop
        if switching.states > 1:
            state = (state + int(rng.integers(1, switching.states))) % switching.states
    return states


def gates(states: States, n_states: int, transition_s: float, rate_hz: float) -> Singles:
    """The amplitude of each state's networks, ``(n_states, n_samples)``; squares add up to one."""
    power = (np.arange(n_states)[:, np.newaxis] == states).astype(np.float32)
    width = round(transition_s * rate_hz)
    if width > 1:
        fade = np.hanning(width + 2)[1:-1].astype(np.float32)
        convolve1d(power, fade / fade.sum(), axis=1, mode="nearest", output=power)
    return np.asarray(np.sqrt(power.clip(0.0, 1.0)), np.float32)


def _dwell(switching: Switching, rng: np.random.Generator) -> float:
    """From the exponential distribution cut at the longest dwell, by its inverse."""
    reach = 1.0 - np.exp(-(switching.dwell_max_s - switching.dwell_min_s) / switching.dwell_excess_s)
    return switching.dwell_min_s - switching.dwell_excess_s * float(np.log1p(-reach * rng.uniform()))
