"""Networks are as active as set, and show where they belong."""

from __future__ import annotations

import numpy as np
import pytest

from cortexcast_training.eegfmri.film import FilmSettings, draw_film
from cortexcast_training.eegfmri.hemodynamics import EARLIEST_S, LATEST_S
from cortexcast_training.eegfmri.networks import (
    ACTIVITY_HZ,
    DEEP,
    DRIVEN,
    Networks,
    NetworkSettings,
    draw_activity,
    draw_networks,
)
from cortexcast_training.eegfmri.parcels import parcels
from cortexcast_training.leadfield import coarse_vertices, cortex


@pytest.fixture(scope="module")
def networks() -> Networks:
    return draw_networks(NetworkSettings())


def test_every_network_of_the_atlas_is_there(networks: Networks) -> None:
    assert set(networks.names) == set(parcels().networks) - {"unassigned"}
    assert {name for name, deep in zip(networks.names, networks.is_deep, strict=True) if deep} == set(DEEP)
    assert ((networks.peaks_s >= EARLIEST_S) & (networks.peaks_s <= LATEST_S)).all()


def test_a_parcel_shows_its_own_network_most(networks: Networks) -> None:
    own = np.array([networks.names.index(name) if name in networks.names else -1 for name in parcels().networks])
    strongest = np.abs(networks.to_bold).argmax(axis=1)
    assert np.mean(strongest[own >= 0] == own[own >= 0]) > 0.98


def test_patches_lie_in_the_cortex_of_their_network(networks: Networks) -> None:
    """Within 2 cm of one of its parcels: the template's cortex and the atlas's brain are not the same."""
    places = 1000 * cortex().positions[coarse_vertices()]
    assert not set(networks.network_of) & set(np.flatnonzero(networks.is_deep))
    for patch, network in enumerate(networks.network_of):
        centre = places[networks.moments[:, patch].argmax()]
        away = np.linalg.norm(parcels().centres[parcels().of(networks.names[network])] - centre, axis=1)
        assert away.min() < 20


def test_activity_is_driven_by_the_film_as_far_as_set(networks: Networks) -> None:
    """Of many runs of the same film the mean is what the film drives."""
    film = draw_film(FilmSettings(), 600, 0)
    runs = np.array([draw_activity(networks, film, 0, 600, seed).values for seed in range(60)])
    driven = runs.mean(axis=0)
    spontaneous = (runs - driven).var(axis=(0, 2))
    share = np.where(np.isin(networks.names, DRIVEN), 0.6, 0.2)
    np.testing.assert_allclose(spontaneous, 1 - share, rtol=0.1)
    expected = np.sqrt(share)[:, None] * (
        networks.by_film @ film.embedding[film.scene(np.arange(2400) / ACTIVITY_HZ)].T
    )
    assert np.corrcoef(driven.ravel(), expected.ravel())[0, 1] > 0.95


def test_spontaneous_activity_fades_as_fast_as_set() -> None:
    networks = draw_networks(NetworkSettings(driven_share=0.0, other_share=0.0, timescale_s=3.0))
    film = draw_film(FilmSettings(), 600, 0)
    runs = np.concatenate([draw_activity(networks, film, 0, 600, seed).values for seed in range(20)])
    lag = round(3.0 * ACTIVITY_HZ)
    assert runs.var() == pytest.approx(1, rel=0.05)
    assert np.mean(runs[:, lag:] * runs[:, :-lag]) == pytest.approx(np.exp(-1), abs=0.03)


def test_in_darkness_nothing_is_driven(networks: Networks) -> None:
    film = draw_film(FilmSettings(), 60, 0)
    first, second = (draw_activity(networks, each, -20, 80, 0) for each in (film, draw_film(FilmSettings(), 60, 1)))
    assert (first.times[0], first.times[-1]) == (-20, 80 - 1 / ACTIVITY_HZ)
    dark = (first.times < 0) | (first.times >= 60)
    np.testing.assert_array_equal(first.values[:, dark], second.values[:, dark])
    assert not np.isclose(first.values[:, ~dark], second.values[:, ~dark]).all(axis=0).any()
