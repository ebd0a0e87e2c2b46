"""Checks pass where they should and fail where they should; what matters is found, and nothing in nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from film_runs import film_run
from scipy.ndimage import gaussian_filter1d

from cortexcast_training.eegfmri.fit_vae import VaeFitSettings, fit_vae
from cortexcast_training.eegfmri.moments import Moments
from cortexcast_training.eegfmri.runs import HOP_S, Run
from cortexcast_training.eegfmri.vae import BOLD, Vae, VaeShape
from cortexcast_training.masking.benchmark import (
    BenchmarkSettings,
    Uncoupled,
    audience,
    coupled,
    detection,
    driving,
    judged_hops,
    nothing_to_find,
    uncoupled,
)
from cortexcast_training.masking.checks import agreement, curves
from cortexcast_training.masking.explain import Explainer, ExplainSettings, of_parcels
from cortexcast_training.masking.net import MaskedNet
from cortexcast_training.masking.operators import OPERATORS
from cortexcast_training.masking.parts import of_model
from cortexcast_training.masking.results import sides

HOW = ExplainSettings(turns=60)
N_SUBJECTS = 5


def half_coupled(run: Run) -> Run:
    """With noise as strong in every other parcel."""
    noise = np.random.default_rng(int(run.subject[-2:])).standard_normal(run.bold.shape) * run.bold.std()
    even = np.arange(len(run.bold))[:, np.newaxis] % 2 == 0
    assert run.visible is not None
    return replace(
        run, bold=np.where(even, run.bold, noise).astype(np.float32), visible=np.where(even, run.visible, 0.0)
    )


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> MaskedNet:
    """Trained on others, in whom all parcels are coupled."""
    train = [film_run(f"sub-{20 + number}", 10 + number, number) for number in range(6)]
    moments = Moments(train)
    held_out = Moments([film_run("sub-30", 30, 30)], moments.units)
    torch.manual_seed(0)
    shape = VaeShape(len(moments.units.power), len(moments.units.bold), len(moments.units.embedding), 8, 16, 8)
    vae = Vae(shape)
    settings = VaeFitSettings(n_moments=12_000, batch=64, learning_rate=0.01)
    fit_vae(vae, moments, held_out, BOLD, settings, tmp_path_factory.mktemp("fit"), lambda _: None)
    return of_model(vae, moments.units)


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    return [half_coupled(film_run(f"sub-{number:02d}", 1, number)) for number in range(1, N_SUBJECTS + 1)]


def test_what_is_coupled_is_told_from_what_is_not(net: MaskedNet, runs: list[Run], tmp_path: Path) -> None:
    explainer = Explainer([of_parcels(run) for run in runs], {"fmri": net}, HOW, tmp_path)
    explainer.mask()
    of_film, brain = sides(explainer)
    found = detection(brain, "fmri", coupled(runs[0]), np.ones(300, bool))
    assert found.auroc > 0.9
    assert found.found > 0.3
    assert found.found_wrongly <= 0.05
    checked = brain.maps["fmri"].checked
    assert not checked.of_population
    assert checked.agreement is not None
    assert checked.agreement > 0.6
    assert all(each.passed for each in checked.deletion.values())
    assert len(checked.deletion) == len(OPERATORS)
    assert checked.random_weights_r is not None
    assert abs(checked.random_weights_r) < 0.3
    assert checked.agreement_by_chance is not None
    assert checked.agreement_by_chance < checked.agreement
    assert of_film.maps["fmri"].z.mean() > 0.2


def test_with_the_bold_of_another_film_nothing_is_found(net: MaskedNet, runs: list[Run], tmp_path: Path) -> None:
    others = [film_run(run.subject, film, 20 * film + number) for number, run in enumerate(runs) for film in (2, 3)]
    nothing = nothing_to_find([*runs, *others], {"fmri": net}, HOW, tmp_path, 2, lambda *_: None)
    assert nothing == Uncoupled(reports=2, with_findings=0, found=0.0)


def test_uncoupled_are_eeg_bold_and_stimulus_of_three_films(runs: list[Run]) -> None:
    other, third = (film_run("sub-01", film, 20 * film) for film in (2, 3))
    short = replace(other, bold=other.bold[:, :-3], hops=other.hops[:-3], visible=None)
    mixed = uncoupled(runs[0], short, third)
    assert np.array_equal(mixed.power, runs[0].power)
    assert np.array_equal(mixed.hops, runs[0].hops[:-3])
    assert np.array_equal(mixed.bold, short.bold)
    assert mixed.stimulus is not None
    assert third.stimulus is not None
    assert np.array_equal(mixed.stimulus.embedding, third.stimulus.embedding[:-3], equal_nan=True)


def test_the_drivers_of_the_benchmark_are_when_something_is_seen(runs: list[Run]) -> None:
    settings = BenchmarkSettings(film_s=300)
    film = audience(settings).film(1)
    hops = np.arange(0, 1000)
    driven = driving(settings, runs[0], hops)
    # The window of a hop ends with it and has a second; the film begins with the first volume.
    middle = (hops + runs[0].hops[0] + 1) * HOP_S - 0.5 - audience(settings).recording.lead_s
    scene = np.searchsorted(film.onsets, middle, side="right") - 1
    inside = (middle >= 0) & (middle < film.duration_s)
    np.testing.assert_array_equal(driven[inside], film.labels[scene[inside]] >= 0)
    assert not driven[~inside].any()
    assert 0 < driven.mean() < 1
    counts = judged_hops(runs[0], np.arange(-20, 1100))
    assert 0 < counts.sum() < len(counts)


def test_curves_fall_fastest_in_the_right_order() -> None:
    """A game in which ten of a hundred units hold all there is to tell."""
    rng = np.random.default_rng(0)
    worth = (rng.permutation(100) < 10).astype(float)

    def told(masked: np.ndarray) -> float:
        return 3.0 + float(worth[~masked].sum())

    right, wrong = (curves(told, order + 1e-3 * rng.random(100)) for order in (worth, -worth))
    assert right.deletion[1] == 3.0
    assert right.insertion[-2] == 13.0
    np.testing.assert_allclose(right.random[:, [0, -1]], [[13.0, 3.0]] * 19)
    assert min(right.areas) > 3.0
    assert right.passed
    assert not wrong.passed
    # In an order that knows nothing, however smooth, no oftener than as the best of 20 at both.
    smooth = gaussian_filter1d(rng.standard_normal((40, 100)), 5.0, axis=1, mode="wrap")
    assert np.mean([curves(told, order).passed for order in smooth]) < 0.25


def test_agreement_is_that_of_the_two_that_agree_least() -> None:
    one = np.arange(50.0)
    assert agreement([one, one**3, np.exp(one / 10)]) == pytest.approx(1.0)
    assert agreement([one, one, -one]) == pytest.approx(-1.0)
    assert agreement([one, one, 0 * one]) is None
