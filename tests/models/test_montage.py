"""Any headset of eight electrodes maps to the canonical montage, by name or by place."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from factories import CAP
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cortexcast_models.manifest import Absent
from cortexcast_models.montage import MIN_ELECTRODES, Montage, MontageError, standard_name, standard_positions

CANONICAL = (*CAP, "AF3", "AF4", "FC1", "FC2", "CP1", "CP2", "PO3", "PO4", "Oz", "FT9", "TP10")
POSITIONS = [standard_positions()[name.upper()] for name in CANONICAL]


def smooth_potential(names: list[str]) -> NDArray[np.float64]:
    """A potential that varies over the whole head, as scalp EEG does, at these electrodes."""
    x, y, z = np.array([standard_positions()[name.upper()] for name in names]).T / 0.1
    return np.asarray(1.0 + 2 * x - y + 0.5 * z + x * y)


def by_name(names: list[str], absent: Absent = "interpolated") -> Montage:
    return Montage(names, [None] * len(names), CANONICAL, POSITIONS, absent)


@given(
    st.lists(st.sampled_from([name.upper() for name in CANONICAL]), min_size=8, unique=True),
    st.lists(st.sampled_from(sorted(standard_positions())), max_size=60),
    st.sampled_from(["interpolated", "zero"]),
)
@settings(max_examples=60, deadline=None)
def test_a_reference_drops_out_and_common_electrodes_are_taken_over(
    core: list[str], others: list[str], absent: Absent
) -> None:
    names = core + others
    mapping = by_name(names, absent).mapping(np.ones(len(names), bool))
    np.testing.assert_allclose(mapping.matrix @ np.ones(len(names)), 0, atol=1e-9)
    np.testing.assert_allclose(mapping.matrix.sum(axis=0), 0, atol=1e-9)
    shared = [name.upper() in names for name in CANONICAL]
    assert not mapping.interpolated[shared].any()


def test_where_the_model_wants_it_what_the_headset_lacks_is_zero() -> None:
    names = list(CAP)[::2]
    mapping = by_name(names, "zero").mapping(np.ones(len(names), bool))
    values = smooth_potential(names)
    got = mapping.matrix @ values
    assert not got[mapping.interpolated].any()
    np.testing.assert_allclose(np.sort(got[~mapping.interpolated]), np.sort(values - values.mean()))


def test_where_nothing_is_interpolated_an_electrode_counts_for_the_place_nearest_to_it_alone() -> None:
    names = list(CAP)
    directions = by_name(names).directions
    askew = directions + 0.07 * np.random.default_rng(0).standard_normal(directions.shape)
    unnamed = [f"e{number}" for number in range(len(names))]
    mapping = Montage(unnamed, list(map(tuple, askew)), CANONICAL, POSITIONS, "zero").mapping(np.ones(len(names), bool))
    shown = np.abs(mapping.matrix) > 0.5
    assert shown.sum(axis=0).max() == 1
    assert shown.sum() == (~mapping.interpolated).sum() > 0.8 * len(names)


def test_of_electrodes_between_those_of_a_model_that_interpolates_nothing_is_made() -> None:
    own = {standard_name(name) for name in CANONICAL}
    names = [name for name in sorted(standard_positions()) if name not in own and name.endswith("H")][:20]
    good = np.ones(len(names), bool)
    assert by_name(names).mapping(good).interpolated.sum() > len(CANONICAL) - MIN_ELECTRODES
    with pytest.raises(MontageError, match="take a model that interpolates"):
        by_name(names, "zero").mapping(good)


def test_a_smooth_field_is_interpolated_well() -> None:
    names = list(CAP)
    mapping = by_name(names).mapping(np.ones(len(names), bool))
    expected = smooth_potential(list(CANONICAL))
    got = mapping.matrix @ smooth_potential(names)
    assert mapping.interpolated.sum() == len(CANONICAL) - len(CAP)
    residual = got - (expected - expected.mean())
    assert np.sqrt((residual**2).mean()) < 0.1 * expected.std()


@pytest.mark.parametrize("scale", [1.0, 100.0, 1000.0, 9.3])
def test_places_serve_where_names_do_not(scale: float) -> None:
    """Neither the unit nor the size of the head matters."""
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


WHOLE_CAP = CAP
RING = ("Fp1", "Fpz", "Fp2", "F8", "FT8", "T8", "TP8", "P8", "O2", "O1", "T7", "F7")
FOREHEAD = ("Fp1", "Fp2", "AF7", "AF8", "F7", "F3", "F4", "F8")


def head_coordinates(names: tuple[str, ...]) -> NDArray[np.float64]:
    return np.array([standard_positions()[name.upper()] for name in names])


def idealised(names: tuple[str, ...]) -> NDArray[np.float64]:
    """On the unit sphere about the head's centre, as vendors' caps are drawn."""
    return by_name(list(names)).directions


def degrees_off(names: tuple[str, ...], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Per electrode, how far its place puts it from where its name does."""
    unnamed = [f"e{number}" for number in range(len(names))]
    placed = Montage(unnamed, list(map(tuple, places)), CANONICAL, POSITIONS)
    cosine = (placed.directions * idealised(names)).sum(axis=1)
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


@pytest.mark.parametrize(("names", "bound"), [(WHOLE_CAP, 2.5), (RING, 3.0), (FOREHEAD, 5.0)])
def test_a_headset_in_head_coordinates_is_placed(names: tuple[str, ...], bound: float) -> None:
    """Also one that covers the head so little that its positions do not tell where the centre is."""
    assert degrees_off(names, head_coordinates(names)).max() < bound


@pytest.mark.parametrize("names", [WHOLE_CAP, RING, FOREHEAD])
def test_a_headset_centred_on_the_head_is_placed(names: tuple[str, ...]) -> None:
    assert degrees_off(names, idealised(names)).max() < 0.1


@pytest.mark.parametrize("frame", [head_coordinates, lambda names: 0.1 * idealised(names)])
@pytest.mark.parametrize(("names", "bound"), [(WHOLE_CAP, 4.5), (RING, 5.0), (FOREHEAD, 6.5)])
def test_four_millimetres_of_noise_move_electrodes_little(
    frame: Callable[[tuple[str, ...]], NDArray[np.float64]], names: tuple[str, ...], bound: float
) -> None:
    """Seen from the true centre such noise is 3 degrees on average."""
    noise = np.random.default_rng(0).normal(0, 0.004, (20, len(names), 3))
    off = [degrees_off(names, frame(names) + each) for each in noise]
    assert np.mean(off) < bound


def test_a_whole_cap_is_placed_when_its_origin_is_elsewhere() -> None:
    assert degrees_off(WHOLE_CAP, head_coordinates(WHOLE_CAP) + np.array([0, 0.01, 0.02])).max() < 3.0


@pytest.mark.parametrize(
    "places",
    [
        [(0.001 * k, 0.0005, 0.001) for k in range(1, 11)],
        [(0.09, 0.008 * k, 0.04) for k in range(-5, 5)],
        [(float(x), float(y), float(z)) for x in (1, 9) for y in (2, 5) for z in (1, 4, 8)],
    ],
)
def test_locations_that_lie_about_no_head_are_refused(places: list[tuple[float, float, float]]) -> None:
    with pytest.raises(MontageError, match="can be placed"):
        Montage([f"e{k}" for k in range(len(places))], places, CANONICAL, POSITIONS)


def test_names_suffice_whatever_the_locations() -> None:
    places = [(0.001 * k, 0.0, 0.0) for k in range(len(CAP))]
    located = Montage(CAP, list(places), CANONICAL, POSITIONS)
    np.testing.assert_array_equal(located.directions, by_name(list(CAP)).directions)


def test_electrodes_in_one_place_are_one() -> None:
    with pytest.raises(MontageError, match="10 EEG channels lie at 1 places"):
        by_name(["Cz"] * 10)
    with pytest.raises(MontageError, match="0 of 10 EEG channels can be placed"):
        Montage([f"e{k}" for k in range(10)], [(0.0, 0.0, 0.1)] * 10, CANONICAL, POSITIONS)


def test_good_channels_in_too_few_places_are_refused() -> None:
    names = [*CAP[:8], CAP[0]]
    with pytest.raises(MontageError, match="8 EEG channels lie at 7 places"):
        by_name(names).mapping(np.arange(len(names)) != 3)


def test_a_canonical_electrode_without_a_place_is_refused() -> None:
    with pytest.raises(MontageError, match="does not place mystery"):
        Montage(CAP, [None] * len(CAP), [*CANONICAL, "mystery"], [*POSITIONS, (np.nan,) * 3])


def test_too_few_good_electrodes_are_refused() -> None:
    with pytest.raises(MontageError, match="7 good"):
        by_name(list(CAP)).mapping(np.arange(len(CAP)) < 7)
