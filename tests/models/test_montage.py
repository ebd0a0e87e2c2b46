"""Any headset of eight electrodes maps to the canonical montage, by name or by place."""

from __future__ import annotations

import numpy as np
import pytest
from factories import CAP
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cortexcast_models.montage import Montage, MontageError, standard_name, standard_positions

CANONICAL = (*CAP, "AF3", "AF4", "FC1", "FC2", "CP1", "CP2", "PO3", "PO4", "Oz", "FT9", "TP10")
POSITIONS = [standard_positions()[name.upper()] for name in CANONICAL]


def smooth_potential(names: list[str]) -> NDArray[np.float64]:
    """A potential that varies over the whole head, as scalp EEG does, at these electrodes."""
    x, y, z = np.array([standard_positions()[name.upper()] for name in names]).T / 0.1
    return np.asarray(1.0 + 2 * x - y + 0.5 * z + x * y)


def by_name(names: list[str]) -> Montage:
    return Montage(names, [None] * len(names), CANONICAL, POSITIONS)


@given(st.lists(st.sampled_from(sorted(standard_positions())), min_size=8, max_size=80, unique=True))
@settings(max_examples=40, deadline=None)
def test_a_reference_drops_out_and_common_electrodes_are_taken_over(names: list[str]) -> None:
    mapping = by_name(names).mapping(np.ones(len(names), bool))
    np.testing.assert_allclose(mapping.matrix @ np.ones(len(names)), 0, atol=1e-9)
    np.testing.assert_allclose(mapping.matrix.sum(axis=0), 0, atol=1e-9)
    shared = [name.upper() in names for name in CANONICAL]
    assert not mapping.interpolated[shared].any()


def test_a_smooth_field_is_interpolated_well() -> None:
    names = list(CAP)
    mapping = by_name(names).mapping(np.ones(len(names), bool))
    expected = smooth_potential(list(CANONICAL))
    got = mapping.matrix @ smooth_potential(names)
    assert mapping.interpolated.sum() == len(CANONICAL) - len(CAP)
    residual = got - (expected - expected.mean())
    assert np.sqrt((residual**2).mean()) < 0.1 * expected.std()


@pytest.mark.parametrize("scale", [1.0, 100.0, 1000.0])
def test_places_serve_where_names_do_not(scale: float) -> None:
    """Metres, centimetres and millimetres are told apart; another origin and a bigger head do not matter."""
    places = [tuple(1.1 * scale * np.array(standard_positions()[name.upper()])) for name in CAP]
    unnamed = [f"EEG{number:03}" for number in range(len(CAP))]
    good = np.ones(len(CAP), bool)
    by_place = Montage(unnamed, places, CANONICAL, POSITIONS).mapping(good)
    named = by_name(list(CAP)).mapping(good)
    values = smooth_potential(list(CAP))
    assert np.corrcoef(by_place.matrix @ values, named.matrix @ values)[0, 1] > 0.98


def test_a_bad_channel_is_interpolated_and_has_no_influence() -> None:
    names = list(CAP)
    good = np.array([name != "Cz" for name in names])
    mapping = by_name(names).mapping(good)
    assert mapping.interpolated[CANONICAL.index("Cz")]
    assert not mapping.matrix[:, names.index("Cz")].any()


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("Fp1", "FP1"), ("fp1.", "FP1"), ("EEG Fp1-REF", "FP1"), ("EEG CZ-LE", "CZ"), ("T3", "T3"), ("A1", "A1"),
        ("Fc5.", "FC5"), ("C3-M2", "C3"), ("EEG 001", None), ("EEG001", None), ("", None), ("Trigger", None),
    ],
)  # fmt: skip
def test_labels_as_headsets_write_them(label: str, name: str | None) -> None:
    assert standard_name(label) == name


def test_old_names_of_the_temporal_row_are_the_same_places() -> None:
    names = [{"T7": "T3", "T8": "T4", "P7": "T5", "P8": "T6"}.get(name, name) for name in CAP]
    mapping = by_name(names).mapping(np.ones(len(names), bool))
    assert not mapping.interpolated[: len(CAP)].any()


def test_too_few_placed_electrodes_are_refused_with_their_names() -> None:
    names = ["Fz", "Cz", "Pz", "ch4", "ch5", "ch6", "ch7", "ch8"]
    with pytest.raises(MontageError, match=r"3 of 8 EEG channels.*ch4, ch5"):
        by_name(names)


def test_locations_of_no_head_are_refused() -> None:
    places = [(0.001 * k, 0.0005, 0.001) for k in range(1, 11)]
    with pytest.raises(MontageError, match="no head"):
        Montage([f"e{k}" for k in range(10)], places, CANONICAL, POSITIONS)


def test_too_few_good_electrodes_are_refused() -> None:
    with pytest.raises(MontageError, match="7 good"):
        by_name(list(CAP)).mapping(np.arange(len(CAP)) < 7)
