"""BOLD has the variances that are set, and its visible part is what cortex outside the deep networks makes."""

from __future__ import annotations

import numpy as np
import pytest

from cortexcast_training.eegfmri.film import FilmSettings, draw_film
from cortexcast_training.eegfmri.networks import Networks, NetworkSettings, draw_activity, draw_networks
from cortexcast_training.eegfmri.parcel_bold import WARM_UP_S, BoldSettings, ParcelBold, draw_parcel_bold

N_VOLUMES = 428


@pytest.fixture(scope="module")
def networks() -> Networks:
    return draw_networks(NetworkSettings(driven_share=0.0, other_share=0.0))


def run(networks: Networks, seed: int, **settings: float) -> ParcelBold:
    film = draw_film(FilmSettings(), 900, seed)
    activity = draw_activity(networks, film, -WARM_UP_S, 900, seed)
    return draw_parcel_bold(networks, activity, BoldSettings(**settings), N_VOLUMES, seed)


def variance(runs: list[np.ndarray]) -> np.ndarray:
    """Of each parcel, over runs."""
    return np.asarray(np.mean(np.concatenate(runs, axis=1) ** 2, axis=1))


def test_there_is_a_volume_every_tr(networks: Networks) -> None:
    given = run(networks, 0, tr_s=2.1)
    np.testing.assert_allclose(np.diff(given.times), 2.1)
    assert given.signal.shape == given.neural.shape == given.visible.shape == (300, N_VOLUMES)
    assert given.course.shape == (300, 3600)


def test_variances_are_as_set(networks: Networks) -> None:
    runs = [run(networks, seed, neural_percent=2.0, snr=0.5, private_share=0.3) for seed in range(6)]
    neural = variance([each.neural for each in runs])
    noise = variance([each.signal - each.neural for each in runs])
    assert neural.mean() == pytest.approx(4.0, rel=0.1)
    assert noise.mean() == pytest.approx(8.0, rel=0.05)
    shared = variance([each.visible for each in runs])
    expected = 0.7 * (networks.to_bold[:, ~networks.is_deep] ** 2).sum(axis=1)
    assert np.corrcoef(shared / neural, expected)[0, 1] > 0.9
    assert (shared / neural).mean() == pytest.approx(expected.mean(), rel=0.1)


def test_without_private_activity_and_deep_networks_all_is_visible(networks: Networks) -> None:
    given = run(networks, 0, private_share=0.0)
    no_deep = networks.to_bold[:, networks.is_deep]
    cortical = np.abs(no_deep).max(axis=1) < 0.02
    assert cortical.any()
    np.testing.assert_allclose(given.visible[cortical], given.neural[cortical], atol=0.15)


def test_noise_is_correlated_from_volume_to_volume_as_set(networks: Networks) -> None:
    given = run(networks, 0, noise_autocorrelation=0.5)
    noise = given.signal - given.neural
    assert np.mean(noise[:, 1:] * noise[:, :-1]) / noise.var() == pytest.approx(0.5, abs=0.02)


def test_in_parcels_that_are_not_coupled_nothing_is_visible_and_all_others_are_as_they_were(networks: Networks) -> None:
    whole, half = (run(networks, 0, coupled_share=share) for share in (1.0, 0.5))
    coupled = half.visible.any(axis=1)
    assert coupled.sum() == 150
    np.testing.assert_array_equal(half.signal[coupled], whole.signal[coupled])
    assert half.neural[~coupled].std() == pytest.approx(whole.neural[~coupled].std(), rel=0.1)
    own = [np.corrcoef(*pair)[0, 1] for pair in zip(half.neural[~coupled], whole.visible[~coupled], strict=True)]
    assert np.abs(np.mean(own)) < 0.05
