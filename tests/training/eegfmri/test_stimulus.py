"""A stimulus comes back as it was written; a file that cannot be one says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cortexcast_training.eegfmri.film import LABELS, FilmSettings, draw_film, label_places, stimulus
from cortexcast_training.eegfmri.stimulus import StimulusError, read_stimulus, write_stimulus

SETTINGS = FilmSettings()
TR_S = 2.1


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written = stimulus(draw_film(SETTINGS, 60.0, 3), SETTINGS, TR_S)
    write_stimulus(tmp_path / "film.npz", written)
    read = read_stimulus(tmp_path / "film.npz")
    assert np.array_equal(read.embedding, written.embedding)
    assert np.array_equal(read.places, written.places)
    assert np.array_equal(read.shown, written.shown)
    assert read.labels == LABELS


def test_a_volume_shows_the_mean_over_its_time() -> None:
    film = draw_film(SETTINGS, 60.0, 3)
    shown = stimulus(film, SETTINGS, TR_S)
    assert len(shown.embedding) == np.ceil(60 / TR_S)
    # Many times, all alike, in each volume.
    for number in (0, 7, 28):
        times = np.linspace(TR_S * number, min(TR_S * (number + 1), 60.0), 20_000, endpoint=False)
        np.testing.assert_allclose(shown.embedding[number], film.embedding[film.scene(times)].mean(axis=0), atol=1e-3)
        labels = np.bincount(film.labels[film.scene(times)], minlength=len(LABELS))
        assert labels[shown.shown[number]] >= 0.3 * len(times)


def test_scenes_lie_near_their_labels() -> None:
    film = draw_film(SETTINGS, 1000.0, 0)
    distance = np.linalg.norm(film.embedding[:, np.newaxis] - label_places(SETTINGS), axis=2)
    assert (distance.argmin(axis=1) == film.labels).mean() > 0.9


def test_an_embedding_alone_is_enough(tmp_path: Path) -> None:
    np.savez(tmp_path / "film.npz", embedding=np.ones((5, 3), np.int16))
    read = read_stimulus(tmp_path / "film.npz")
    assert read.embedding.dtype == np.float32
    assert read.labels == ()
    assert read.places.shape == (0, 3)
    assert (read.shown == -1).all()


GOOD = {"embedding": np.zeros((4, 2)), "labels": np.array(["a"]), "places": np.zeros((1, 2)), "shown": np.zeros(4, int)}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"embedding": None}, r"has no array 'embedding', \(volumes, dimensions\); it has labels, places, shown"),
        ({"embedding": np.zeros(4)}, r"must be finite numbers, \(volumes, dimensions\); it is \(4,\)"),
        ({"embedding": np.full((4, 2), np.nan)}, "must be finite numbers"),
        ({"places": np.zeros((1, 3))}, r"'places' is \(1, 3\) of float64, must be finite numbers, \(1, 2\)"),
        ({"places": None}, "has 'labels' and no 'places'"),
        ({"shown": np.zeros(3, int)}, r"'shown' is \(3,\) of int64, must be finite numbers, \(4,\)"),
        ({"shown": np.array([0, 1, 0, 0])}, "'shown' must be numbers of labels, 0 to 0, or -1"),
        ({"places": np.array([["a", "b"]])}, r"'places' is \(1, 2\) of <U1, must be finite numbers"),
        ({"embedding": np.array([[None]])}, "is no .npz of plain arrays"),
    ],
)
def test_a_wrong_file_says_why(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    arrays = {name: array for name, array in (GOOD | changed).items() if array is not None}
    np.savez(tmp_path / "film.npz", **arrays)
    with pytest.raises(StimulusError, match=message):
        read_stimulus(tmp_path / "film.npz")


def test_no_file_and_another_file_say_why(tmp_path: Path) -> None:
    with pytest.raises(StimulusError, match="cannot be read: No such file or directory"):
        read_stimulus(tmp_path / "none.npz")
    for content in ("text", ""):
        (tmp_path / "text.npz").write_text(content)
        with pytest.raises(StimulusError, match=r"is no \.npz of plain arrays"):
            read_stimulus(tmp_path / "text.npz")
    np.save(tmp_path / "array.npy", np.zeros(3))
    with pytest.raises(StimulusError, match="has no array 'embedding'"):
        read_stimulus(tmp_path / "array.npy")
