"""A film as what is seen in it: scenes that follow each other, each a point in a visual semantic space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from cortexcast_models.manifest import Strict
from cortexcast_models.simulation.randomness import stream
from cortexcast_training.eegfmri.stimulus import Stimulus

Floats = NDArray[np.float64]

LABELS = (
    "face", "crowd", "hands", "body in motion", "animal", "plant", "landscape", "sea", "street", "building", "room",
    "vehicle", "food", "tool", "text", "fire",
)  # fmt: skip
"""What a scene can show."""


class FilmSettings(Strict):
    """How films are cut, and the space that their scenes lie in."""

    space_seed: NonNegativeInt = 11
    """Draws where in the space each label lies."""
    dimensions: PositiveInt = 16
    scene_min_s: PositiveFloat = 2.0
    scene_max_s: PositiveFloat = 10.0
    """A scene lasts for a time between these, all alike."""
    within_label: NonNegativeFloat = Field(0.5, le=10)
    """Standard deviation over scenes of one label, in proportion to that over labels."""
    dark_share: float = Field(0.0, ge=0, lt=1)
    """Of the scenes, in which nothing is to be seen."""

    @model_validator(mode="after")
    def _ordered(self) -> FilmSettings:
        if self.scene_min_s > self.scene_max_s:
            raise ValueError("scene_max_s must not be less than scene_min_s")
        return self


@dataclass(frozen=True)
class Film:
    """A film.

    Attributes:
        onsets: ``(n_scenes,)`` in s, ascending from zero.
        duration_s: of it all.
        labels: ``(n_scenes,)``, numbers of ``LABELS``; -1 where it is dark.
        embedding: ``(n_scenes, dimensions)``; over films each dimension has about unit variance; zero where it is dark.
    """

    onsets: Floats
    duration_s: float
    labels: NDArray[np.int64]
    embedding: Floats

    def scene(self, times: Floats) -> NDArray[np.int64]:
        """The number of the scene at each of these times; before and after the film the first and the last."""
        return np.clip(np.searchsorted(self.onsets, times, side="right") - 1, 0, len(self.onsets) - 1)


def label_places(settings: FilmSettings) -> Floats:
    """Where each label lies, ``(n_labels, dimensions)``."""
    return stream(settings.space_seed, "labels").standard_normal((len(LABELS), settings.dimensions))


def draw_film(settings: FilmSettings, duration_s: float, seed: int) -> Film:
    """The film of this seed."""
    rng = stream(seed, "film")
    most = int(np.ceil(duration_s / settings.scene_min_s))
    lengths = rng.uniform(settings.scene_min_s, settings.scene_max_s, most)
    onsets = np.r_[0.0, np.cumsum(lengths)[:-1]]
    onsets = onsets[onsets < duration_s]
    labels = rng.integers(len(LABELS), size=len(onsets))
    own = rng.standard_normal((len(onsets), settings.dimensions))
    embedding = (label_places(settings)[labels] + settings.within_label * own) / np.hypot(1.0, settings.within_label)
    dark = rng.random(len(onsets)) < settings.dark_share
    return Film(onsets, duration_s, np.where(dark, -1, labels), np.where(dark[:, np.newaxis], 0.0, embedding))


def stimulus(film: Film, settings: FilmSettings, tr_s: float) -> Stimulus:
    """What is seen while each volume of a scan is taken, from the film's beginning to its end.

    Args:
        film: of these settings.
        settings: where labels lie.
        tr_s: from volume to volume.
    """
    n_volumes = int(np.ceil(film.duration_s / tr_s))
    begins = tr_s * np.arange(n_volumes)
    ends = np.minimum(begins + tr_s, film.duration_s)
    scene_ends = np.r_[film.onsets[1:], film.duration_s]
    together = np.minimum(ends[:, np.newaxis], scene_ends) - np.maximum(begins[:, np.newaxis], film.onsets)
    share = together.clip(0) / (ends - begins)[:, np.newaxis]
    return Stimulus(
        embedding=(share @ film.embedding).astype(np.float32),
        labels=LABELS,
        places=label_places(settings).astype(np.float32),
        shown=film.labels[share.argmax(axis=1)],
    )
