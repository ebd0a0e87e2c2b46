"""The label that an estimate points to is the likeliest, and as likely as it is right."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cortexcast_training.eegfmri.labels import LabelProbabilities, Labels, fit_temperature

RNG = np.random.default_rng(0)
PLACES = RNG.standard_normal((6, 8)).astype(np.float32)
LABELS = Labels(tuple("abcdef"), PLACES)


def estimates(noise: float, n: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    shown = RNG.integers(6, size=n)
    return (PLACES[shown] + noise * RNG.standard_normal((n, 8))).astype(np.float32), shown


def probabilities(labels: Labels, given: np.ndarray) -> np.ndarray:
    return np.asarray(LabelProbabilities(labels)(torch.from_numpy(given)))


def test_each_label_is_the_likeliest_at_its_own_place_however_far_from_the_middle() -> None:
    middle = PLACES.mean(axis=0)
    for size in (0.1, 1.0, 5.0):
        p = probabilities(LABELS, middle + size * (PLACES - middle))
        assert (p.argmax(axis=1) == np.arange(6)).all()
        np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)


def test_what_points_nowhere_is_any_label() -> None:
    np.testing.assert_allclose(probabilities(LABELS, PLACES.mean(axis=0)[np.newaxis]), 1 / 6, atol=1e-3)


@pytest.mark.parametrize("noise", [0.5, 1.5, 4.0])
def test_with_the_fitted_temperature_probabilities_are_as_right_as_they_say(noise: float) -> None:
    labels = Labels(LABELS.names, PLACES, fit_temperature(LABELS, *estimates(noise)))
    given, shown = estimates(noise)
    p = probabilities(labels, given)
    right = np.mean(p.argmax(axis=1) == shown)
    assert p.max(axis=1).mean() == pytest.approx(right, abs=0.08)


def test_where_nothing_is_known_there_is_nothing_to_fit() -> None:
    given, _ = estimates(1.0, 10)
    assert fit_temperature(LABELS, given, np.full(10, -1)) == 1.0
