"""Patches lie where they should and are as strong as set."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from cortexcast_training.head import template_head
from cortexcast_training.leadfield import coarse_vertices, cortex, is_magnetometer
from cortexcast_training.sources import (
    HAND_AREA_M,
    OCCIPITAL_Y_M,
    PatchFields,
    Sources,
    SourceSettings,
    draw_sources,
    patch_fields,
)

BACKGROUND = ("background", "alpha", "beta")


@pytest.fixture(scope="module")
def sources() -> Sources:
    return draw_sources(SourceSettings())


@pytest.fixture(scope="module")
def fields(sources: Sources) -> PatchFields:
    return patch_fields(template_head(2), sources)


def eeg_variance(sources: Sources, fields: PatchFields, name: str) -> float:
    return float((fields.eeg[:, sources.family(name).patches] ** 2).mean(axis=0).sum())


class TestPatches:
    def test_families_cover_all_patches_in_order(self, sources: Sources) -> None:
        stops = [family.patches.stop for family in sources.families]
        assert [family.patches.start for family in sources.families] == [0, *stops[:-1]]
        assert stops[-1] == sources.moments.shape[1] == len(sources.centres)
        columns = np.concatenate([np.arange(276)[sources.of_state(state)] for state in range(16)])
        assert columns.tolist() == list(range(64))

    def test_a_patch_falls_off_with_distance_from_its_centre(self, sources: Sources) -> None:
        """A half at 7 mm and little beyond 3 cm; straight distance is at most that along the cortex."""
        places = cortex().positions[coarse_vertices()]
        for patch in range(0, 264, 20):
            moments = sources.moments[:, patch]
            away = np.linalg.norm(places - sources.centres[patch], axis=1)
            assert (moments >= -1e-9 * moments.max()).all()
            assert moments[away < 0.03].sum() > 0.9 * moments.sum()
            assert 0.003 < np.average(away, weights=moments) < 0.02

    def test_a_patch_does_not_jump_across_a_sulcus(self, sources: Sources) -> None:
        """Of dipoles near its centre, those on the opposite bank, which face it, take little part."""
        sheet, coarse = cortex(), coarse_vertices()
        places, normals = sheet.positions[coarse], sheet.normals[coarse]
        facing, along = [], []
        for patch in range(64):
            nearest = np.linalg.norm(places - sources.centres[patch], axis=1).argsort()[:40]
            share = sources.moments[nearest, patch] / sources.moments[nearest, patch].max()
            opposite = normals[nearest] @ normals[nearest[0]] < -0.7
            facing.extend(share[opposite])
            along.extend(share[~opposite])
        assert len(facing) > 20
        assert np.median(facing) < 0.5 * np.median(along)

    def test_background_covers_the_cortex_and_rhythms_are_where_they_belong(self, sources: Sources) -> None:
        background = np.vstack([sources.centres[sources.family(name).patches] for name in BACKGROUND])
        places = cortex().positions
        away = np.linalg.norm(places[::50, None] - background, axis=2).min(axis=1)
        assert away.max() < 0.03
        assert (sources.centres[sources.family("alpha").patches][:, 1] < OCCIPITAL_Y_M).all()
        hand = np.linalg.norm(sources.centres[sources.family("beta").patches][:, None] - np.array(HAND_AREA_M), axis=2)
        assert (hand.min(axis=1) < 0.03).all()

    def test_strengths_are_as_set(self, sources: Sources, fields: PatchFields) -> None:
        settings = sources.settings
        networks = eeg_variance(sources, fields, "network") / settings.states
        background = sum(eeg_variance(sources, fields, name) for name in BACKGROUND)
        private = eeg_variance(sources, fields, "eeg_only")
        assert background / networks == pytest.approx(settings.background_share)
        assert private / networks == pytest.approx(settings.private_share)
        assert np.sqrt(networks + background + private) == pytest.approx(settings.eeg_rms_v)

    def test_what_one_modality_sees_alone_the_other_does_not_see(self, sources: Sources, fields: PatchFields) -> None:
        assert not fields.eeg[:, sources.family("meg_only").patches].any()
        assert not fields.meg[:, sources.family("eeg_only").patches].any()
        assert fields.meg[:, sources.family("meg_only").patches].all()
        assert fields.eeg[:, sources.family("eeg_only").patches].all()

    def test_magnetometers_show_hundreds_of_femtotesla(self, sources: Sources, fields: PatchFields) -> None:
        mags = fields.meg[is_magnetometer()] ** 2
        variance = (
            mags[:, :64].mean(axis=0).sum() / 16
            + mags[:, 64 : sources.family("evoked").patches.start].mean(axis=0).sum()
        )
        assert 1e-13 < np.sqrt(variance) < 1e-12

    def test_the_anatomy_seed_alone_moves_the_patches(self, sources: Sources) -> None:
        again = draw_sources.__wrapped__(SourceSettings())
        assert np.array_equal(again.moments, sources.moments)
        other = draw_sources(SourceSettings(anatomy_seed=1))
        assert not np.array_equal(other.centres[:64], sources.centres[:64])
        louder = draw_sources(SourceSettings(eeg_rms_v=20e-6))
        evoked = louder.family("evoked").patches
        np.testing.assert_allclose(louder.moments[:, : evoked.start], 2 * sources.moments[:, : evoked.start])
        np.testing.assert_allclose(louder.moments[:, evoked], sources.moments[:, evoked])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dwell_min_s": 1.0}, "dwell_max_s must be greater"),
        ({"transition_s": 0.3}, "transition_s must not be greater"),
        ({"states": 0}, "states"),
        ({"colour": 1}, "colour"),
    ],
)
def test_settings_that_cannot_be_are_refused(fields: dict[str, float], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SourceSettings(**fields)  # type: ignore[arg-type]


class TestDrawnStates:
    """A brain may have fewer or more states than were drawn; all that is drawn stays where and as strong as it was."""

    def test_who_does_not_ask_for_it_has_the_settings_of_before(self) -> None:
        assert "drawn_states" not in SourceSettings().model_dump_json()
        settings = SourceSettings(states=8, drawn_states=16)
        assert SourceSettings.model_validate_json(settings.model_dump_json()) == settings

    def test_fewer_occur(self, sources: Sources) -> None:
        self.is_the_same_but_for_states(sources, draw_sources(SourceSettings(states=8, drawn_states=16)), 8)

    def test_others_join(self, sources: Sources) -> None:
        more = draw_sources(SourceSettings(states=24, drawn_states=16))
        self.is_the_same_but_for_states(sources, more, 16)
        places, n_drawn = more.centres[more.family("network").patches], sources.family("network").patches.stop
        assert len(np.unique(places, axis=0)) == len(places) == 24 * more.settings.patches_per_state > n_drawn

    def is_the_same_but_for_states(self, sources: Sources, other: Sources, n_common: int) -> None:
        assert other.moments.shape[1] == len(other.centres) == other.families[-1].patches.stop
        for state in range(n_common):
            np.testing.assert_allclose(
                other.moments[:, other.of_state(state)],
                sources.moments[:, sources.of_state(state)],
                rtol=1e-9,
                atol=1e-30,
            )
        for family in sources.families[1:]:
            same = other.family(family.name)
            assert same.spectrum == family.spectrum
            np.testing.assert_array_equal(other.centres[same.patches], sources.centres[family.patches])
            np.testing.assert_allclose(
                other.moments[:, same.patches], sources.moments[:, family.patches], rtol=1e-9, atol=1e-30
            )
