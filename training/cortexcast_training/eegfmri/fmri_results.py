"""What an evaluation of an autoencoder found: one JSON file, and all that its card says."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from cortexcast_models.manifest import Strict
from cortexcast_training.metrics import Interval
from cortexcast_training.results import Streaming


class MethodScores(Strict):
    """One method.

    Metrics are named ``r`` and ``r2`` (share of the variance that is explained), both means over outputs;
    of BOLD also ``r without global signal``, ``connectivity error`` (root mean square, of correlations between parcels)
    and ``crps`` (%); of the stimulus ``two-way identification``, ``two against two`` and, where it has labels,
    ``top 1`` and ``top 3`` (share of volumes of which the label seen is among so many likeliest).
    """

    metrics: dict[str, Interval]
    r: dict[str, float]
    """By subject."""


class Output(Strict):
    """A parcel, or a dimension of the stimulus: means over subjects."""

    name: str
    r: float | None
    """None where nobody's was recorded, likewise."""
    r2: float | None
    ceiling_r: float | None = None
    """Of a simulation: of what electrodes can see of it."""
    significant: bool
    """Whether it correlates more than estimates of another time do, at a false discovery rate of 5 %."""


class Condition(Strict):
    """Runs that differ in one respect from those that the model is judged on."""

    n_subjects: int
    model: Interval
    """r, the mean over outputs; as the next."""
    ridge: Interval
    ceiling: Interval | None = None


class Trace(Strict):
    """One output in one run."""

    name: str
    tr_s: float
    recorded: tuple[float, ...] = Field(strict=False)
    estimated: tuple[float, ...] = Field(strict=False)
    std: tuple[float, ...] = Field(strict=False)


class Latent(Strict):
    """How much of the latent is used."""

    dimensions: int
    active: int
    """That EEG alone moves, on the validation subjects."""


class FmriResults(Strict):
    """Everything that an evaluation found."""

    data: Literal["simulated", "recorded"]
    """Of the held-out subjects."""
    product: Literal["fmri", "stimulus"]
    trained_on: Literal["physics", "simulated", "recorded"]
    """Of the model."""
    model: str
    """Name and version."""
    graph_sha256: str
    command: str
    """That gave these results."""
    subjects: tuple[str, ...] = Field(strict=False)
    films: tuple[str, ...] = Field(strict=False)
    """That nobody watched who was trained on, unless recordings leave no other way."""
    unseen_films: bool
    """Whether that is so."""
    n_volumes: int
    """Of all subjects together."""
    tr_s: float
    train_subjects: int
    parameters: int
    latent: Latent
    streaming: Streaming
    methods: dict[str, MethodScores]
    """By name; the model's is ``model``."""
    more_than: dict[str, Interval]
    """By method: r of the model less that of the method, of the same subjects."""
    ceiling_share: Interval | None = None
    """Of the ceiling of a simulation, r of what electrodes can see, that the model reaches."""
    intervals: dict[str, Interval]
    """By level: how many values lie inside the model's interval."""
    reconstruction: dict[str, Interval]
    """Share of the variance of each modality that the net gives back, by what it sees, such as ``eeg from bold``."""
    outputs: tuple[Output, ...] = Field(strict=False)
    conditions: dict[str, Condition] = Field(default_factory=dict)
    traces: tuple[Trace, ...] = Field((), strict=False)
