"""What an evaluation found: one JSON file, and all that a model card says."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from cortexcast_models.manifest import Strict
from cortexcast_training.metrics import Interval


class ResultsError(Exception):
    """A file of results cannot be read. The message says why and what to do."""


class MethodResult(Strict):
    """One method.

    Metrics are named ``explained`` (variance, each type of sensors in units of its own RMS), ``explained mag`` and
    ``grad``, ``r mag`` and ``grad`` (median over sensors), ``explained <band>``, ``explained without trial mean``,
    ``topography M100`` and ``M170`` (r over magnetometers), ``responses`` (r of mean responses, odd trials of the
    estimate against even ones of the recording) and ``responses ceiling`` (of the true responses), ``noise`` (power of
    the empty room in units of the recording's), ``coverage`` and ``coverage recorded`` (of the true and the recorded
    MEG by 90 % intervals) and ``novel`` (share of hops).
    """

    metrics: dict[str, Interval]
    explained: dict[str, float]
    """Variance, by subject."""
    gap_closed: Interval | None = None
    """Between the population's FIR-Wiener filter and the oracle."""


class Headset(Strict):
    """The model, and the population's FIR-Wiener filter, with fewer electrodes."""

    electrodes: int
    model: Interval
    baseline: Interval


class Shift(Strict):
    """Subjects unlike the training data."""

    model: Interval
    """Explained variance, as the next."""
    baseline: Interval
    oracle: Interval | None = None
    difference: Interval
    worst_difference: float
    """Of one subject: the model less the population's FIR-Wiener filter."""
    novel: Interval | None = None
    """Share of hops that the model says are unlike its training data."""


class Topography(Strict):
    """The mean field over subjects and trials, magnetometers alone, in T."""

    name: str
    true: tuple[float, ...] = Field(strict=False)
    estimated: tuple[float, ...] = Field(strict=False)


class Trace(Strict):
    """Some seconds of one sensor of one subject, in T or T/m."""

    channel: str
    rate_hz: float
    true: tuple[float, ...] = Field(strict=False)
    estimated: tuple[float, ...] = Field(strict=False)
    std: tuple[float, ...] | None = Field(None, strict=False)
    """Of the error."""


class Level(Strict):
    """How many values lie inside the interval of one level."""

    level: float
    recorded: Interval
    true: Interval


class Learning(Strict):
    """One model of a learning curve."""

    of: Literal["heads", "parameters"]
    amount: int
    explained: Interval
    gap_closed: Interval | None = None


class CurvePoint(Strict):
    """So many seconds of each subject's own recording, the filters' settling included."""

    seconds: float
    model: Interval
    """Explained variance, uncalibrated; as the next."""
    calibrated: Interval
    """Where calibration refuses, of the model as it was."""
    gap_closed: Interval | None = None
    """By what is calibrated, between the population's FIR-Wiener filter and the subjects' oracle."""
    ridge: Interval
    """Fitted to the same seconds."""
    refused: int
    """Subjects of whom cross-validation found no sure gain."""


class Streaming(Strict):
    """How the bundle's graph runs: a hop on one thread, and how far it is from what the net gave at its export."""

    windows_per_s: float
    p50_ms: float
    p99_ms: float
    parity: float
    """The greatest deviation, as a share of an output's RMS."""


class Effort(Strict):
    """What training took."""

    parameters: int
    """That were trained."""
    heads: int
    """Subjects that were trained on."""
    windows_per_s: float | None = None
    """None where the run's log is not there."""


class Results(Strict):
    """Everything that an evaluation found."""

    data: Literal["simulated", "recorded"]
    """Of the held-out subjects."""
    truth_known: bool = True
    """Of simulated ones, the noise-free MEG, by which estimates are judged then."""
    trained_on: Literal["physics", "simulated", "recorded"]
    """Of the model."""
    model: str
    """Name and version."""
    graph_sha256: str
    """Of the bundle's ONNX graph, which stays what it is when the card is put beside it."""
    command: str
    """That gave these results."""
    subjects: tuple[str, ...] = Field(strict=False)
    judged_s: float
    """Seconds of all subjects together."""
    rate_hz: float
    """Samples a second of a sensor."""
    effort: Effort
    streaming: Streaming
    methods: dict[str, MethodResult]
    """By name; the model's is ``model``."""
    headsets: tuple[Headset, ...] = Field((), strict=False)
    shifts: dict[str, Shift] = Field(default_factory=dict)
    """By what is shifted; ``none`` is for comparison."""
    calibration: tuple[Level, ...] = Field((), strict=False)
    decoding: dict[str, Interval] = Field(default_factory=dict)
    """Area under the ROC curve, face against scrambled, of single trials by what is decoded from."""
    topographies: tuple[Topography, ...] = Field((), strict=False)
    traces: tuple[Trace, ...] = Field((), strict=False)
    learning: tuple[Learning, ...] = Field((), strict=False)
    own_recordings: dict[str, tuple[CurvePoint, ...]] = Field(default_factory=dict)
    """What calibration to them gains, on the subjects of a shift, ``none`` being those of ``methods``."""

    @property
    def judged_by_truth(self) -> bool:
        """Whether estimates were judged by the noise-free MEG, else by the recorded."""
        return self.data == "simulated" and self.truth_known


def write_results(path: Path, results: Strict) -> None:
    """Write them, as a whole or not at all."""
    fresh = path.with_suffix(".new")
    fresh.write_text(results.model_dump_json(indent=1) + "\n", encoding="utf-8")
    fresh.replace(path)


def read_results(path: Path) -> Results:
    """Read what ``write_results`` wrote.

    Raises:
        ResultsError: there is no such file, or it is damaged or of another version.
    """
    try:
        return Results.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ResultsError(f"{path} cannot be read: {error.strerror}") from None
    except (ValidationError, UnicodeDecodeError) as error:
        first = str(error).splitlines()[0]
        raise ResultsError(f"{path} holds no results of this version ({first}): evaluate again") from None
