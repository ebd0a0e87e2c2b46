"""Checks pass where they should and fail where they should; what matters is found, and nothing in nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from film_runs import film_run

from cortexcast_training.eegfmri.fit_vae import VaeFitSettings, fit_vae
from cortexcast_training.eegfmri.moments import Moments
from cortexcast_training.eegfmri.runs import Run
from cortexcast_training.eegfmri.vae import BOLD, Vae, VaeShape
from cortexcast_training.masking.benchmark import (
    BenchmarkSettings,
    audience,
    coupled,
    detection,
    driving,
    found_in_nothing,
    judged_hops,
    uncoupled,
)
from cortexcast_training.masking.checks import SHARES, agreement, curves
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


def test_in_runs_that_are_uncoupled_nothing_is_found(net: MaskedNet, runs: list[Run], tmp_path: Path) -> None:
    found = found_in_nothing(runs, {"fmri": net}, HOW, tmp_path, seed=0)
    assert found == 0


def test_uncoupling_turns_what_was_recorded_for_all_alike_and_leaves_the_eeg(runs: list[Run]) -> None:
    orders = []
    for run in runs[:2]:
        other = uncoupled(run, 0)
        assert np.array_equal(other.power, run.power)
        order = [int(np.flatnonzero(run.bold[0] == value)[0]) for value in other.bold[0]]
        np.testing.assert_array_equal(other.bold, run.bold[:, order])
        orders.append(order)
    assert orders[0] == orders[1] != sorted(orders[0])


def test_the_drivers_of_the_benchmark_are_when_something_is_seen(runs: list[Run]) -> None:
    settings = BenchmarkSettings(film_s=300)
    film = audience(settings).film(1)
    hops = np.arange(0, 1000)
    driven = driving(settings, runs[0], hops)
    share = np.diff(np.r_[film.onsets, film.duration_s])[film.labels >= 0].sum() / film.duration_s
    assert driven.mean() == pytest.approx(share, abs=0.12)
    counts = judged_hops(runs[0], np.arange(-20, 1100))
    assert 0 < counts.sum() < len(counts)


def test_curves_fall_fastest_in_the_right_order() -> None:
    """A game in which ten of a hundred units hold all there is to tell."""
    worth = np.where(np.arange(100) < 10, 1.0, 0.0)

    def told(masked: np.ndarray) -> float:
        return 3.0 + float(worth[~masked].sum())

    rng = np.random.default_rng(0)
    right, wrong = (curves(told, order, rng) for order in (worth, -worth))
    assert right.deletion[1] == 3.0
    assert right.insertion[-2] == 13.0
    np.testing.assert_allclose(right.random.mean(axis=0), 3 + 10 * (1 - SHARES), atol=1.0)
    assert right.areas == pytest.approx((4.5, 4.5), abs=1.0)
    assert right.passed
    assert not wrong.passed
    # In an order that knows nothing, no oftener than as the best of 20 at both.
    passed = [curves(told, rng.permutation(100).astype(float), rng).passed for _ in range(40)]
    assert np.mean(passed) < 0.25


def test_agreement_is_that_of_the_two_that_agree_least() -> None:
    one = np.arange(50.0)
    assert agreement([one, one**3, np.exp(one / 10)]) == pytest.approx(1.0)
    assert agreement([one, one, -one]) == pytest.approx(-1.0)
    assert agreement([one, one, 0 * one]) is None
