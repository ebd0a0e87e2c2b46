"""Films are cut into scenes that cover them, and scenes of one label are alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cortexcast_training.eegfmri.film import LABELS, FilmSettings, draw_film

SETTINGS = FilmSettings()


@given(st.floats(1, 900), st.integers(0, 99))
def test_scenes_cover_the_film(duration_s: float, seed: int) -> None:
    film = draw_film(SETTINGS, duration_s, seed)
    assert film.onsets[0] == 0
    assert film.onsets[-1] < duration_s
    lengths = np.diff(np.r_[film.onsets, duration_s])
    assert (lengths[:-1] >= SETTINGS.scene_min_s).all()
    assert (lengths <= SETTINGS.scene_max_s).all()
    assert film.scene(film.onsets).tolist() == list(range(len(film.onsets)))
    assert film.scene(np.array([-1.0, duration_s + 1])).tolist() == [0, len(film.onsets) - 1]


@given(st.integers(0, 99))
def test_every_seed_is_a_film_of_its_own(seed: int) -> None:
    first, again, other = (draw_film(SETTINGS, 60, each) for each in (seed, seed, seed + 1))
    assert np.array_equal(first.embedding, again.embedding)
    assert np.array_equal(first.onsets, again.onsets)
    assert not np.array_equal(first.onsets, other.onsets)


def test_scenes_of_one_label_are_alike() -> None:
    films = [draw_film(SETTINGS, 900, seed) for seed in range(20)]
    labels = np.concatenate([film.labels for film in films])
    embedding = np.concatenate([film.embedding for film in films])
    assert np.unique(labels).tolist() == list(range(len(LABELS)))
    within = np.mean([embedding[labels == label].var(axis=0).mean() for label in range(len(LABELS))])
    assert within == pytest.approx(0.5**2 / (1 + 0.5**2), rel=0.05)
    assert embedding.var() == pytest.approx(1, rel=0.3)


def test_a_shortest_scene_longer_than_the_longest_is_an_error() -> None:
    with pytest.raises(ValidationError, match="scene_max_s must not be less than scene_min_s"):
        FilmSettings(scene_min_s=5, scene_max_s=4)


def test_in_the_dark_nothing_is_seen_and_the_rest_is_as_it_was() -> None:
    light, half = (draw_film(FilmSettings(dark_share=share), 900, 3) for share in (0.0, 0.5))
    dark = half.labels < 0
    assert 0.35 < dark.mean() < 0.65
    assert not half.embedding[dark].any()
    np.testing.assert_array_equal(half.embedding[~dark], light.embedding[~dark])
    np.testing.assert_array_equal(half.labels[~dark], light.labels[~dark])
    np.testing.assert_array_equal(half.onsets, light.onsets)
