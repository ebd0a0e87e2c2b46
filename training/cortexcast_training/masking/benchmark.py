"""How well masking finds what is known to drive a simulation, and how often it finds what is not there.

The film shows scenes and darkness in turn, and networks follow the film nearly alone: what drives the brain are the
moments when something is seen. In half of the parcels networks do not show: what there is to find are the others.

Where EEG, BOLD and stimulus are of three films, there is nothing to find.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt
from scipy import stats

from cortexcast_models.manifest import Strict
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
from cortexcast_training.workers import in_parallel

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

BENCHMARK = "benchmark.json"

_DARK_SHARE = 0.5
_COUPLED_SHARE = 0.5
_DRIVEN_SHARE = 0.95
_WINDOW_S = 1.0
_FILMS = 5
_PAIRS = _FILMS * (_FILMS - 1)
_FEW = 2
"""Subjects, of whom recordings alone can be told of."""


class BenchmarkSettings(Strict):
    """How much is simulated."""

    subjects: int = Field(8, ge=2)
    film_s: float = Field(600.0, ge=120, le=1800)
    uncoupled: int = Field(20, ge=0, le=_PAIRS)
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


class Uncoupled(Strict):
    """What is found where there is nothing to find."""

    reports: int
    with_findings: int
    found: float
    """Share of all units."""


class BenchmarkResults(Strict):
    """What came of it."""

    models: dict[Product, str]
    subjects: int
    film_s: float
    detection: dict[str, Detection]
    """By net and side."""
    uncoupled: dict[int, Uncoupled]
    """By number of subjects."""
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


def simulate_runs(settings: BenchmarkSettings, folder: Path, films: Sequence[int], say: Say) -> list[Run]:
    """The runs of all subjects; those that are there are kept.

    Raises:
        RunError: one cannot be written.
        WorkerError: memory does not suffice.
    """
    watching = audience(settings)
    missing = [
        (watching, number, film, folder)
        for number in range(1, settings.subjects + 1)
        for film in films
        if not run_path(folder, run_name(f"sub-{number:02d}", f"film{film:02d}")).exists()
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
    return np.asarray((hops >= round(20 / HOP_S)) & (hops + run.hops[0] < run.hops[-1] - round(10 / HOP_S)))


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


def uncoupled(eeg: Run, bold: Run, seen: Run) -> Run:
    """The EEG of one run with the BOLD of another and what was seen in a third, all of other films."""
    n = min(len(run.hops) for run in (eeg, bold, seen))
    stimulus = seen.stimulus and replace(
        seen.stimulus, embedding=seen.stimulus.embedding[:n], shown=seen.stimulus.shown[:n]
    )
    return replace(eeg, bold=bold.bold[:, :n], hops=eeg.hops[:n], stimulus=stimulus, visible=None)


def found_in_nothing(
    runs: Sequence[Run], nets: Mapping[Product, MaskedNet], settings: ExplainSettings, work: Path
) -> float:
    """The share of units that a report on uncoupled runs finds."""
    explainer = Explainer([of_parcels(run) for run in runs], nets, settings, work)
    explainer.mask(with_checks=False)
    maps = [each.together for side in tested(explainer) for each in side]
    rates = false_discovery_rates(maps, settings.level)
    return float((np.concatenate(rates) <= settings.level).mean())


def nothing_to_find(
    runs: Sequence[Run],
    nets: Mapping[Product, MaskedNet],
    settings: ExplainSettings,
    work: Path,
    n_reports: int,
    say: Say,
) -> Uncoupled:
    """What so many reports find, each on the EEG of one film, the BOLD of another and the stimulus of a third.

    Args:
        runs: of all subjects, all films.
        nets: by product.
        settings: how units are masked.
        work: folder for what is masked.
        n_reports: how many pairs of films of EEG and BOLD.
        say: hears how far it is.
    """
    by_name = {(run.subject, run.film): run for run in runs}
    subjects, films = (sorted({name[part] for name in by_name}) for part in (0, 1))
    shares = []
    for done, (one, other) in enumerate(itertools.islice(itertools.permutations(films, 2), n_reports)):
        say(f"where there is nothing to find, {len(subjects)} subjects", done, n_reports)
        third = next(film for film in films if film not in (one, other))
        mixed = [uncoupled(*(by_name[subject, film] for film in (one, other, third))) for subject in subjects]
        shares.append(found_in_nothing(mixed, nets, settings, work / f"{one}-{other}-{len(subjects)}"))
    return Uncoupled(
        reports=len(shares), with_findings=sum(share > 0 for share in shares), found=float(np.mean(shares or [0]))
    )


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
    runs = simulate_runs(settings, out / RUNS, [1], say)
    others = simulate_runs(settings, out / "others", range(2, _FILMS + 1), say)
    masked = masked_runs(out, "parcel")
    explained = explain(masked, nets, models, how, out, command, say)
    of_film, brain = explained.films[runs[0].film], explained.brain
    hops = of_film.units
    found = {}
    for product in nets:
        seen = driving(settings, runs[0], hops), judged_hops(runs[0], hops)
        found[f"{product}, timestamps"] = detection(of_film, product, *seen)
        found[f"{product}, parcels"] = detection(brain, product, coupled(runs[0]), np.ones(len(brain.units), bool))
    every = [*runs, *others]
    few = [run for run in every if int(run.subject.removeprefix("sub-")) <= _FEW]
    wrong = {
        len({run.subject for run in some}): nothing_to_find(some, nets, how, out / "work", settings.uncoupled, say)
        for some in (every, few)
    }
    results = BenchmarkResults(
        models=dict(models),
        subjects=settings.subjects,
        film_s=settings.film_s,
        detection=found,
        uncoupled=wrong,
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
        *(
            f"where there is nothing to find, {subjects} subjects: {each.with_findings} of {each.reports} reports "
            f"found anything, {each.found:.3%} of all units"
            for subjects, each in results.uncoupled.items()
        ),
    ]


def _simulate(watching: Audience, number: int, film: int, folder: Path) -> None:
    for run in simulated_runs(watching, number, [film]):
        write_run(folder, run)
