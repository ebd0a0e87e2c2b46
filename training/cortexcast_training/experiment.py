"""The face experiment of ds000117: when which picture is shown, and the response that it evokes.

Wakeman & Henson, *Scientific Data* 2 (2015). Codes are drawn alike and independently: the simulated brain does not
tell first from repeated pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeFloat, PositiveFloat

from cortexcast_models.manifest import Strict
from cortexcast_models.simulation.randomness import stream

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Ints = NDArray[np.int64]

CODES = {"famous": (5, 6, 7), "unfamiliar": (13, 14, 15), "scrambled": (17, 18, 19)}
"""What STI101 shows: first, repeated at once, repeated later."""

PULSE_S = 0.03

_FIRST_S = 1.0


class ExperimentSettings(Strict):
    """Pictures and responses."""

    interval_s: PositiveFloat = 3.0
    """Between the onsets of two pictures, on average."""
    interval_jitter_s: NonNegativeFloat = 0.2
    """Uniform, to both sides."""
    m100_s: PositiveFloat = 0.1
    m170_s: PositiveFloat = 0.17
    scrambled_m170: NonNegativeFloat = 0.5
    """M170 to a scrambled face in proportion to that to a face."""
    trial_sd: NonNegativeFloat = 0.3
    """Of a response's amplitude over trials, in proportion to its mean."""
    latency_sd_s: NonNegativeFloat = 0.005


@dataclass(frozen=True)
class Events:
    """Pictures shown.

    Attributes:
        samples: ``(n_events,)``, onset counted from the first sample.
        codes: ``(n_events,)``.
    """

    samples: Ints
    codes: Ints

    def stim(self, n_samples: int, rate_hz: float) -> Singles:
        """STI101, ``(n_samples,)``: the code for as long as the pulse lasts."""
        channel = np.zeros(n_samples, np.float32)
        for sample, code in zip(self.samples, self.codes, strict=True):
            channel[sample : sample + round(PULSE_S * rate_hz)] = code
        return channel


def condition(code: int) -> str:
    """``famous``, ``unfamiliar`` or ``scrambled``."""
    return next(name for name, codes in CODES.items() if code in codes)


def draw_events(settings: ExperimentSettings, n_samples: int, rate_hz: float, seed: int) -> Events:
    """The pictures of one recording, the first after a second, the last with its response inside."""
    rng = stream(seed, "events")
    n = max(0, int((n_samples / rate_hz - _FIRST_S) / settings.interval_s) + 1)
    jitter = settings.interval_jitter_s * rng.uniform(-1, 1, n)
    jitter[:1] = np.abs(jitter[:1])
    onsets = _FIRST_S + settings.interval_s * np.arange(n) + jitter / 2
    codes = rng.choice(np.concatenate(list(CODES.values())), n)
    inside = onsets < n_samples / rate_hz - 2 * settings.m170_s
    return Events(np.round(onsets[inside] * rate_hz).astype(np.int64), codes[inside].astype(np.int64))


def evoked_activity(settings: ExperimentSettings, events: Events, n_samples: int, rate_hz: float, seed: int) -> Singles:
    """What the visual patches do: M100 left and right, M170 left and right; ``(4, n_samples)``, one at a mean peak."""
    rng = stream(seed, "evoked")
    times = np.arange(n_samples) / rate_hz
    activity = np.zeros((4, n_samples))
    for onset, code in zip(events.samples / rate_hz, events.codes, strict=True):
        is_scrambled = condition(int(code)) == "scrambled"
        for row, (peak_s, width_s, height) in enumerate(
            [(settings.m100_s, 0.015, 1.0), (settings.m170_s, 0.02, settings.scrambled_m170 if is_scrambled else 1.0)]
        ):
            at = onset + peak_s + settings.latency_sd_s * rng.standard_normal()
            heights = height * (1 + settings.trial_sd * rng.standard_normal(2))
            near = slice(*np.searchsorted(times, (at - 5 * width_s, at + 5 * width_s)))
            shape = np.exp(-0.5 * ((times[near] - at) / width_s) ** 2)
            activity[2 * row : 2 * row + 2, near] += heights[:, np.newaxis] * shape
    return activity.astype(np.float32)
