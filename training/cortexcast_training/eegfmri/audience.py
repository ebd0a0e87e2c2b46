"""Subjects who watch films: what draws each of them, and each film, from a number."""

from __future__ import annotations

from pydantic import Field, NonNegativeInt

from cortexcast_models.manifest import Strict
from cortexcast_models.simulation.randomness import derived_seed
from cortexcast_training.eegfmri.film import Film, draw_film
from cortexcast_training.eegfmri.networks import NetworkSettings
from cortexcast_training.eegfmri.simulator import RunSettings
from cortexcast_training.head import HeadSettings


class Audience(Strict):
    """Who watches what. Each subject has a head, rhythms and spontaneous activity of its own; films are everybody's.

    Subjects and films are numbered from one on, without end.
    """

    film_s: float = Field(300.0, ge=30, le=1800)
    """How long each film is."""
    film_seed: NonNegativeInt = 0
    """Another one gives other films."""
    seed: NonNegativeInt = 0
    """Another one gives other subjects."""
    networks: NetworkSettings = NetworkSettings()
    head: HeadSettings = HeadSettings()
    recording: RunSettings = RunSettings()

    def film(self, number: int) -> Film:
        """What is seen."""
        return draw_film(self.networks.film, self.film_s, derived_seed(self.film_seed, "film", number))

    def subject_seed(self, number: int) -> int:
        """Of the head, how it lies, how strong its rhythms are."""
        return derived_seed(self.seed, "subject", number)

    def run_seed(self, number: int, film: int) -> int:
        """Of what is spontaneous while a subject watches a film."""
        return derived_seed(self.seed, "run", number, film)


def subject_name(number: int) -> str:
    """As file names have it."""
    return f"sub-{number:02d}"
