"""A drawn head is the template where nothing varies, obeys its settings, and fits under its helmet."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from mne.transforms import apply_trans
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from cortexcast_training import head as head_module
from cortexcast_training.head import TEMPLATE, WALL_M, Head, HeadSettings, draw_head, template_head
from cortexcast_training.leadfield import (
    CAP,
    HeadModel,
    LeadFields,
    cap,
    coarse_vertices,
    cortex,
    head_to_mri,
    helmet,
    is_magnetometer,
    lead_fields,
    template,
)

Floats = NDArray[np.float64]


@pytest.fixture(scope="module")
def drawn() -> Head:
    return draw_head(HeadSettings(), 3)


@pytest.fixture
def geometry_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lead fields of ones, where a test is about places alone: boundary elements take seconds."""

    def ones(model: HeadModel) -> LeadFields:
        n = len(model.cortex.positions)
        return LeadFields(model.cortex, np.ones((70, n)), np.ones((306, n)))

    monkeypatch.setattr(head_module, "lead_fields", ones)


def in_head(model: HeadModel, points: Floats) -> Floats:
    return np.asarray(apply_trans(np.linalg.inv(head_to_mri(model)["trans"]), points), np.float64)


def distance(surface: Floats, points: Floats) -> Floats:
    """Of each point from the surface's nearest vertex."""
    return np.asarray(cKDTree(surface).query(points)[0])


def similarity(a: Floats, b: Floats) -> Floats:
    """The correlation of each column of ``a`` with the same one of ``b``."""
    unit_a, unit_b = ((x - x.mean(axis=0)) / x.std(axis=0) for x in (a, b))
    return np.asarray((unit_a * unit_b).mean(axis=0), np.float64)


class TestTemplate:
    def test_without_spread_every_seed_gives_the_template(self, geometry_only: None) -> None:
        expected, drawn = template(), draw_head(TEMPLATE, 5)
        coarse = coarse_vertices()
        np.testing.assert_allclose(drawn.model.cortex.positions, expected.cortex.positions[coarse], atol=1e-12)
        np.testing.assert_allclose(drawn.model.cortex.normals, expected.cortex.normals[coarse], atol=1e-12)
        np.testing.assert_allclose(drawn.model.electrodes, expected.electrodes, atol=1e-12)
        np.testing.assert_allclose(drawn.dev_head_t, expected.dev_head_t, atol=1e-12)
        places = [channel["loc"][:3] for channel in cap(expected)["chs"]]
        np.testing.assert_allclose(drawn.electrodes, places, atol=1e-12)
        assert drawn.model.conductivity == expected.conductivity
        assert drawn.pushed_m == 0.0
        assert (drawn.eeg_gain == 1).all()
        assert (drawn.meg_gain == 1).all()

    def test_coarse_vertices_spread_over_the_whole_cortex(self) -> None:
        positions = cortex().positions
        away = distance(positions[coarse_vertices()], positions)
        assert len(coarse_vertices()) == pytest.approx(len(positions) / 4, rel=0.01)
        assert away.max() < 0.008


class TestDrawnHead:
    def test_shapes_and_reference(self, drawn: Head) -> None:
        n = len(coarse_vertices())
        assert drawn.eeg.shape == (70, n)
        assert drawn.meg.shape == (306, n)
        assert np.abs(drawn.eeg.mean(axis=0)).max() < 1e-9 * np.abs(drawn.eeg).max()

    def test_it_is_a_head_like_the_template_and_not_the_template(self, drawn: Head) -> None:
        """Topographies of the same dipoles are alike but not the same."""
        is_mag = is_magnetometer()
        reference = template_head(2)
        for ours, theirs in ((drawn.eeg, reference.eeg), (drawn.meg[is_mag], reference.meg[is_mag])):
            alike = np.median(similarity(ours, theirs))
            assert 0.7 < alike < 0.999
            assert 0.4 < np.sqrt((ours**2).mean() / (theirs**2).mean()) < 2.5

    def test_the_same_seed_gives_the_same_bits(self, drawn: Head) -> None:
        again = draw_head(HeadSettings(), 3)
        for name in ("eeg", "meg", "electrodes", "eeg_gain", "meg_gain", "dev_head_t"):
            assert np.array_equal(getattr(drawn, name), getattr(again, name)), name

    def test_a_more_conducting_skull_lets_more_through_to_the_eeg_and_leaves_the_meg(self) -> None:
        base = HeadSettings(skull_log_sd=0.0)
        seed = next(s for s in range(20) if conductivity(HeadSettings(skull_log_sd=0.5), s) > 0.007)
        plain, leaky = draw_head(base, seed), draw_head(HeadSettings(skull_log_sd=0.5), seed)
        assert (leaky.eeg**2).mean() > 1.02 * (plain.eeg**2).mean()
        np.testing.assert_allclose(leaky.meg, plain.meg, rtol=1e-9, atol=1e-9 * np.abs(plain.meg).max())


def conductivity(settings: HeadSettings, seed: int) -> float:
    return head_module._draw_anatomy(settings, seed)[0].conductivity[1]


@pytest.mark.usefixtures("geometry_only")
class TestPlaces:
    def test_each_ingredient_changes_only_itself(self) -> None:
        base = draw_head(HeadSettings(), 11)
        for change, changed in {
            "digitisation_sd_m": {"electrodes"},
            "eeg_gain_sd": {"eeg", "eeg_gain"},
            "meg_gain_sd": {"meg", "meg_gain"},
            "helmet_shift_sd_m": {"dev_head_t"},
            "helmet_rotation_sd_deg": {"dev_head_t"},
            "electrode_sd_m": {"electrodes"},
            "skull_log_sd": set(),
        }.items():
            other = draw_head(HeadSettings().model_copy(update={change: 0.0}), 11)
            names = ("eeg", "meg", "eeg_gain", "meg_gain", "electrodes", "dev_head_t")
            assert {n for n in names if not np.array_equal(getattr(base, n), getattr(other, n))} == changed, change
            assert (base.model.conductivity != other.model.conductivity) == (change == "skull_log_sd")

    def test_over_many_heads_the_spread_is_as_set(self) -> None:
        settings = HeadSettings()
        heads = [draw_head(settings, seed) for seed in range(60)]
        scales = np.array([head.scale for head in heads])
        assert scales.mean() == pytest.approx(settings.scale_mean, abs=0.01)
        assert scales.std() == pytest.approx(settings.scale_sd, rel=0.2)
        skull = np.log([head.model.conductivity[1] / 0.006 for head in heads])
        assert skull.std() == pytest.approx(settings.skull_log_sd, rel=0.3)
        errors = np.array([head.electrodes - in_head(head.model, head.model.electrodes) for head in heads])
        assert errors.std() == pytest.approx(settings.digitisation_sd_m, rel=0.05)
        gains = np.array([head.eeg_gain for head in heads])
        assert gains.std() == pytest.approx(settings.eeg_gain_sd, rel=0.05)

    def test_electrodes_move_along_the_scalp_and_stay_on_it(self) -> None:
        plain = draw_head(HeadSettings(electrode_sd_m=0.0), 2).model
        moved = draw_head(HeadSettings(), 2).model
        moves = np.linalg.norm(moved.electrodes - plain.electrodes, axis=1)
        assert np.sqrt(np.mean(moves**2) / 2) == pytest.approx(HeadSettings().electrode_sd_m, rel=0.25)
        away = [distance(model.shells["outer_skin"], model.electrodes) for model in (template(), moved)]
        assert np.abs(away[0] - away[1]).max() < 0.003

    def test_no_coil_comes_nearer_than_the_wall_is_thick(self) -> None:
        pushed = []
        for seed in range(40):
            head = draw_head(HeadSettings(), seed)
            coils = apply_trans(head.dev_head_t, np.array([channel["loc"][:3] for channel in helmet()["chs"]]))
            gap = distance(in_head(head.model, head.model.shells["outer_skin"]), coils)
            assert gap.min() > WALL_M - 0.0011
            assert gap.min() < 0.05, "nor does the helmet float away"
            pushed.append(head.pushed_m)
        assert 0.1 < np.mean(np.array(pushed) > 0) < 0.8
        assert np.median(pushed) < 0.01

    def test_the_widest_head_finds_its_place_in_the_helmet(self, geometry_only: None) -> None:
        """Between walls that push it to both sides, it once never came free."""
        wide = {**TEMPLATE.model_dump(), "scale_mean": 1.15, "helmet_shift_sd_m": 0.005, "helmet_rotation_sd_deg": 4.0}
        heads = [draw_head(HeadSettings(**wide), seed) for seed in range(20)]
        assert 0 < max(head.pushed_m for head in heads) < 0.1

    def test_every_dipole_is_inside_the_inner_skull(self) -> None:
        for seed in range(5):
            model = draw_head(HeadSettings(), seed).model
            inner = model.shells["inner_skull"]
            centre = inner.mean(axis=0)
            nearest = cKDTree(inner).query(model.cortex.positions)[1]
            outwards = inner[nearest] - centre
            outwards /= np.linalg.norm(outwards, axis=1, keepdims=True)
            assert (((inner[nearest] - model.cortex.positions) * outwards).sum(axis=1) > 0).all()


def test_a_helmet_at_another_pose_sees_another_field_of_the_same_head(drawn: Head) -> None:
    """The pose is where the sensors are, and nothing else."""
    few = replace(
        drawn.model.cortex, positions=drawn.model.cortex.positions[:50], normals=drawn.model.cortex.normals[:50]
    )
    here = lead_fields(replace(drawn.model, cortex=few))
    there = lead_fields(replace(drawn.model, cortex=few, dev_head_t=template().dev_head_t))
    np.testing.assert_allclose(here.meg * drawn.meg_gain[:, None], drawn.meg[:, :50], rtol=1e-6, atol=1e-12)
    np.testing.assert_array_equal(here.eeg, there.eeg)
    assert np.median(similarity(here.meg[is_magnetometer()], there.meg[is_magnetometer()])) < 0.999


def test_there_are_as_many_electrodes_as_in_the_cap(drawn: Head) -> None:
    assert drawn.electrodes.shape == (len(CAP), 3)
