"""How well masking finds what is known to drive a simulation, and how often it finds what is not there.

The film shows scenes and darkness in turn, and networks follow the film nearly alone: what drives the brain are the
moments when something is seen. In half of the parcels networks do not show: what there is to find are the others.

Where what was recorded goes backwards, there is nothing to find.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt
from scipy import stats

from cortexcast_models.manifest import Strict
from cortexcast_models.simulation.randomness import stream
from cortexcast_training.datasets import in_parallel
from cortexcast_training.eegfmri.audience import Audience
from cortexcast_training.eegfmri.eegfmri_preprocessing import RUNS
from cortexcast_training.eegfmri.film import FilmSettings
from cortexcast_training.eegfmri.networks import NetworkSettings
from cortexcast_training.eegfmri.parcel_bold import BoldSettings
from cortexcast_training.eegfmri.run_file import read_runs, run_path, write_run
from cortexcast_training.eegfmri.runs import HOP_S, Run, run_name
from cortexcast_training.eegfmri.simulated_runs import simulated_runs
from cortexcast_training.eegfmri.simulator import RunSettings
from cortexcast_training.eegfmri.trained_vae import Product
from cortexcast_training.masking.explain import Explainer, ExplainSettings, Say, of_parcels
from cortexcast_training.masking.explanation import explain, masked_runs
from cortexcast_training.masking.findings import false_discovery_rates
from cortexcast_training.masking.net import MaskedNet
from cortexcast_training.masking.results import Side, tested

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

BENCHMARK = "benchmark.json"

_DARK_SHARE = 0.5
_COUPLED_SHARE = 0.5
_DRIVEN_SHARE = 0.95
_WINDOW_S = 1.0


class BenchmarkSettings(Strict):
    """How much is simulated."""

    subjects: int = Field(8, ge=2)
    film_s: float = Field(600.0, ge=120, le=1800)
    uncoupled: NonNegativeInt = 20
    """Reports on runs in which there is nothing to find."""
    seed: NonNegativeInt = 0


class Detection(Strict):
    """How well units that matter are told from those that do not."""

    units: int
    auroc: float
    found: float
    """Share of those that matter."""
    found_wrongly: float
    """Share of all others."""


class BenchmarkResults(Strict):
    """What came of it."""

    models: dict[Product, str]
    subjects: int
    film_s: float
    detection: dict[str, Detection]
    """By net and side."""
    uncoupled: int
    """Reports on runs in which there is nothing to find,"""
    uncoupled_with_findings: int
    """of which so many found anything,"""
    uncoupled_found: float
    """and this share of all their units."""
    command: str


def audience(settings: BenchmarkSettings) -> Audience:
    """Who watches a film with dark scenes."""
    return Audience(
        film_s=settings.film_s,
        film_seed=settings.seed + 1,
        seed=settings.seed + 1,
        networks=NetworkSettings(
            film=FilmSettings(dark_share=_DARK_SHARE), driven_share=_DRIVEN_SHARE, other_share=_DRIVEN_SHARE
        ),
        recording=RunSettings(bold=BoldSettings(coupled_share=_COUPLED_SHARE)),
    )


def simulate_runs(settings: BenchmarkSettings, folder: Path, say: Say) -> list[Run]:
    """The runs of all subjects, one film; those that are there are kept.

    Raises:
        RunError: one cannot be written.
        RecordingError: memory does not suffice.
    """
    watching = audience(settings)
    missing = [
        (watching, number, folder)
        for number in range(1, settings.subjects + 1)
        if not run_path(folder, run_name(f"sub-{number:02d}", "film01")).exists()
    ]
    for done, _ in enumerate(in_parallel(_simulate, missing), 1):
        say("simulating", done, len(missing))
    return read_runs(folder)


def driving(settings: BenchmarkSettings, run: Run, hops: NDArray[np.int64]) -> Mask:
    """Whether something is seen at each of these hops since the film began: in the middle of their window."""
    watching = audience(settings)
    film = watching.film(1)
    times = (hops + run.hops[0] + 1) * HOP_S - _WINDOW_S / 2 - watching.recording.lead_s
    return np.asarray((times >= 0) & (times < film.duration_s) & (film.labels[film.scene(times)] >= 0))


def coupled(run: Run) -> Mask:
    """Whether networks show in each parcel."""
    assert run.visible is not None
    return np.asarray(run.visible.any(axis=1))


def judged_hops(run: Run, hops: NDArray[np.int64]) -> Mask:
    """Whether a run's volumes ask for each of these hops in full: neither too early nor too late."""
    before = hops + run.hops[0] >= run.hops[0] + round(20 / HOP_S)
    return np.asarray(before & (hops + run.hops[0] < run.hops[-1] - round(10 / HOP_S)))


def detection(side: Side, product: Product, truth: Mask, counts: Mask) -> Detection:
    """Of one net's map."""
    each = side.maps[product]
    matter, others = truth & counts, ~truth & counts
    u = stats.mannwhitneyu(each.z[matter], each.z[others]).statistic
    return Detection(
        units=int(counts.sum()),
        auroc=float(u / (matter.sum() * others.sum())),
        found=float(each.found[matter].mean()),
        found_wrongly=float(each.found[others].mean()),
    )


def uncoupled(run: Run, seed: int) -> Run:
    """A run whose BOLD, and what was seen, go backwards from another time on, which all runs of a film share."""
    n = run.bold.shape[1]
    order = np.roll(np.arange(n)[::-1], int(stream(seed, "uncoupled", run.film).integers(n)))
    stimulus = run.stimulus
    if stimulus is not None:
        stimulus = replace(stimulus, embedding=stimulus.embedding[order], shown=stimulus.shown[order])
    return replace(run, bold=run.bold[:, order], stimulus=stimulus)


def found_in_nothing(
    runs: Sequence[Run], nets: Mapping[Product, MaskedNet], settings: ExplainSettings, work: Path, seed: int
) -> int:
    """How many units a report on uncoupled runs finds."""
    explainer = Explainer([of_parcels(uncoupled(run, seed)) for run in runs], nets, settings, work)
    explainer.mask(with_checks=False)
    maps = [each.together.p for side in tested(explainer) for each in side]
    return int((np.concatenate(false_discovery_rates(maps)) <= settings.level).sum())


def benchmark(
    nets: Mapping[Product, MaskedNet],
    models: Mapping[Product, str],
    settings: BenchmarkSettings,
    how: ExplainSettings,
    out: Path,
    command: str,
    say: Say,
) -> BenchmarkResults:
    """Simulate, explain, and judge by what is known.

    Args:
        nets: by product, one of the stimulus among them or not.
        models: what they are called.
        settings: how much.
        how: units are masked.
        out: the report on the coupled runs, which are in ``out/runs``.
        command: that leads here.
        say: hears how far it is.

    Raises:
        RunError, ExplainError, RecordingError: see there.
    """
    runs = simulate_runs(settings, out / RUNS, say)
    masked = masked_runs(out, "parcel")
    explained = explain(masked, nets, models, how, out, command, say)
    of_film, brain = explained.films[runs[0].film], explained.brain
    hops = of_film.units
    found = {}
    for product in nets:
        seen = driving(settings, runs[0], hops), judged_hops(runs[0], hops)
        found[f"{product}, timestamps"] = detection(of_film, product, *seen)
        found[f"{product}, parcels"] = detection(brain, product, coupled(runs[0]), np.ones(len(brain.units), bool))
    wrong = []
    for seed in range(settings.uncoupled):
        say("runs in which there is nothing to find", seed, settings.uncoupled)
        wrong.append(found_in_nothing(runs, nets, how, out / "work" / f"uncoupled-{seed}", seed))
    n_units = len(nets) * (len(hops) + len(brain.units))
    results = BenchmarkResults(
        models=dict(models),
        subjects=settings.subjects,
        film_s=settings.film_s,
        detection=found,
        uncoupled=settings.uncoupled,
        uncoupled_with_findings=sum(each > 0 for each in wrong),
        uncoupled_found=sum(wrong) / max(1, settings.uncoupled * n_units),
        command=command,
    )
    (out / BENCHMARK).write_text(results.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return results


def as_text(results: BenchmarkResults) -> list[str]:
    """For a terminal."""
    return [
        f"{results.subjects} SIMULATED subjects, a film of {results.film_s:g} s",
        *(
            f"{name}: AUROC {each.auroc:.3f} over {each.units} units; found {each.found:.1%} of those that matter, "
            f"{each.found_wrongly:.1%} of others"
            for name, each in results.detection.items()
        ),
        f"where there is nothing to find, {results.uncoupled_with_findings} of {results.uncoupled} reports found "
        f"anything: {results.uncoupled_found:.3%} of all units",
    ]


def _simulate(watching: Audience, number: int, folder: Path) -> None:
    for run in simulated_runs(watching, number, [1]):
        write_run(folder, run)
