"""The lead fields obey physics, the estimator is the Gaussian's, and the shipped bundle is what both make."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mne.transforms import apply_trans
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import k1

from cortexcast_models.bundle import SHIPPED, Infer, read_bundle
from cortexcast_models.montage import standard_positions
from cortexcast_server.inference import load
from cortexcast_training.leadfield import (
    CAP,
    Cortex,
    LeadFields,
    electrode_positions,
    head_to_mri,
    helmet,
    is_magnetometer,
    lead_fields,
    scalp,
)
from cortexcast_training.leadfield_bundle import NAME, export
from cortexcast_training.minimum_norm import SNR, Estimator, Fields, fit, random_fields
from cortexcast_training.standard_positions import write

Floats = NDArray[np.float64]

IS_MAG = is_magnetometer()


@pytest.fixture(scope="module")
def lead() -> LeadFields:
    return lead_fields()


@pytest.fixture(scope="module")
def fields(lead: LeadFields) -> Fields:
    return random_fields(lead)


@pytest.fixture(scope="module")
def estimator(fields: Fields) -> Estimator:
    return fit(fields)


@pytest.fixture(scope="module")
def infer() -> Infer:
    return load(read_bundle(NAME))


def in_head(positions: Floats, *, move: bool = True) -> Floats:
    return np.asarray(apply_trans(np.linalg.inv(head_to_mri()["trans"]), positions, move=move))


def distance_to_scalp(points: Floats) -> Floats:
    return np.asarray(cKDTree(in_head(scalp())).query(points)[0])


def coils() -> tuple[Floats, Floats]:
    """Positions and outward normals of the 306 coils in the head frame."""
    info = helmet()
    locations = np.array([channel["loc"] for channel in info["chs"]])
    to_head = info["dev_head_t"]["trans"]
    return apply_trans(to_head, locations[:, :3]), apply_trans(to_head, locations[:, 9:], move=False)


def correlation(a: Floats, b: Floats) -> Floats:
    """Of each column of ``a`` with each of ``b``."""
    unit_a, unit_b = ((x - x.mean(axis=0)) / x.std(axis=0) for x in (a, b))
    return np.asarray(unit_a.T @ unit_b / len(a))


class TestHelmet:
    def test_magnetometers_have_their_coil_type(self) -> None:
        assert [channel["coil_type"] == 3024 for channel in helmet()["chs"]] == IS_MAG.tolist()

    def test_a_coil_is_as_far_from_the_scalp_as_the_dewar_wall_is_thick(self) -> None:
        distance = distance_to_scalp(coils()[0])
        assert 0.017 < distance.min() < 0.020
        assert distance.max() < 0.040

    def test_over_the_vertex_the_distance_is_two_to_four_centimetres(self) -> None:
        above = coils()[0][coils()[0][:, 2] > 0.14]
        distance = distance_to_scalp(above)
        assert len(above) > 20
        assert 0.02 < distance.min() <= distance.max() < 0.04

    def test_head_and_electrodes_are_inside(self) -> None:
        positions, outward = coils()
        electrodes = electrode_positions()
        for points in (in_head(scalp()), np.array([electrodes[name] for name in CAP])):
            _, nearest = cKDTree(positions).query(points)
            assert (((points - positions[nearest]) * outward[nearest]).sum(axis=1) < -0.015).all()


class TestLeadFields:
    def test_electrodes_lie_on_the_outermost_shell(self) -> None:
        electrodes = electrode_positions()
        distance = distance_to_scalp(np.array([electrodes[name] for name in CAP]))
        assert np.median(distance) < 0.003
        assert distance.max() < 0.012

    def test_shapes_and_reference(self, lead: LeadFields) -> None:
        n = len(lead.cortex.positions)
        assert lead.eeg.shape == (70, n)
        assert lead.meg.shape == (306, n)
        assert np.abs(lead.eeg.mean(axis=0)).max() < 1e-9 * np.abs(lead.eeg).max()

    def test_a_radial_dipole_lifts_the_electrode_above_it_and_hardly_shows_in_meg(self, lead: LeadFields) -> None:
        electrodes = np.array([electrode_positions()[name] for name in CAP])
        positions, normals = in_head(lead.cortex.positions), in_head(lead.cortex.normals, move=False)
        radius = positions - positions.mean(axis=0)
        outward = (normals * radius).sum(axis=1) / np.linalg.norm(radius, axis=1)
        shallow = cKDTree(electrodes).query(positions)[0] < 0.03
        radial, tangential = shallow & (outward > 0.95), shallow & (np.abs(outward) < 0.2)

        highest = electrodes[lead.eeg[:, radial].argmax(axis=0)]
        distance = np.linalg.norm(highest - positions[radial], axis=1)
        assert np.quantile(distance, 0.99) < 0.045
        magnetic = np.linalg.norm(lead.meg[IS_MAG], axis=0) / np.linalg.norm(lead.eeg, axis=0)
        assert np.median(magnetic[radial]) < 0.4 * np.median(magnetic[tangential])

    def test_a_tangential_dipole_shows_opposite_magnetic_poles_beside_it(self, lead: LeadFields) -> None:
        """By the right-hand rule: field out of the head on the left of the current, into it on the right."""
        places, outward = coils()
        positions, normals = in_head(lead.cortex.positions), in_head(lead.cortex.normals, move=False)
        radius = positions - positions.mean(axis=0)
        radius /= np.linalg.norm(radius, axis=1, keepdims=True)
        shallow = cKDTree(places).query(positions)[0] < 0.05
        tangential = np.flatnonzero(shallow & (np.abs((normals * radius).sum(axis=1)) < 0.2) & (positions[:, 2] > 0.06))
        left = np.cross(radius[tangential], normals[tangential])
        gradient = [
            np.polyfit((places[IS_MAG] - positions[source]) @ direction, field, 1)[0]
            for source, direction, field in zip(tangential, left, lead.meg[IS_MAG][:, tangential].T, strict=True)
        ]
        assert (outward[IS_MAG] * (places[IS_MAG] - positions.mean(axis=0))).sum(axis=1).min() > 0
        assert len(gradient) > 200
        assert np.mean(np.array(gradient) > 0) > 0.95


class TestPrior:
    def test_on_a_plane_the_correlation_is_matern(self) -> None:
        """Against the closed form κr K₁(κr), of which the mesh knows nothing."""
        step, n, reach = 0.002, 81, 0.02
        x, y = np.meshgrid(np.arange(n) * step, np.arange(n) * step, indexing="ij")
        corner = (np.arange(n - 1)[:, None] * n + np.arange(n - 1)).ravel()
        faces = np.vstack(
            [
                np.stack([corner, corner + n, corner + n + 1], axis=1),
                np.stack([corner, corner + n + 1, corner + 1], axis=1),
            ]
        )
        plane = np.stack([x.ravel(), y.ravel(), np.zeros(n * n)], axis=1)
        centre = n // 2 * n + n // 2
        probes = np.zeros((16, n * n))  # each reads one vertex, at growing distance from the centre
        probes[np.arange(16), centre + np.arange(16)] = 1.0
        sheet = Cortex(plane, np.tile([0.0, 0.0, 1.0], (n * n, 1)), faces)
        drawn = random_fields(LeadFields(sheet, probes, probes), reach)
        covariance = drawn.eeg @ drawn.eeg.T
        found = covariance[0] / np.sqrt(covariance[0, 0] * np.diag(covariance))
        scaled = np.sqrt(8) / reach * np.arange(1, 16) * step
        np.testing.assert_allclose(found[1:], scaled * k1(scaled), atol=0.03)


class TestEstimator:
    def test_on_draws_from_the_prior_error_and_standard_deviation_are_as_stated(
        self, fields: Fields, estimator: Estimator
    ) -> None:
        rng = np.random.default_rng(1)
        n_draws, amplitude = 2000, 2e-5
        source = amplitude * rng.standard_normal((fields.eeg.shape[1], n_draws))
        noise = amplitude / SNR * rng.standard_normal((len(CAP), n_draws))
        eeg = fields.eeg @ source + noise - noise.mean(axis=0)
        meg = fields.meg @ source
        error = estimator.weights @ eeg - meg

        for sensors in (IS_MAG, ~IS_MAG):
            explained = 1 - (error[sensors] ** 2).sum() / (meg[sensors] ** 2).sum()
            assert explained == pytest.approx(estimator.explained_variance(sensors), abs=0.03)
        scale = np.sqrt(np.mean((estimator.whitener @ eeg) ** 2, axis=0))
        deviations = error / (estimator.unit_std[:, None] * scale)
        assert np.mean(scale) == pytest.approx(amplitude, rel=0.03)
        assert np.mean(np.abs(deviations) < 1.645) == pytest.approx(0.90, abs=0.02)

    def test_noise_free_eeg_of_a_patch_finds_that_patch_in_meg(self, lead: LeadFields, estimator: Estimator) -> None:
        """The patch is no draw from the prior. Two patches may look alike, so the right one must also win over 199."""
        rng = np.random.default_rng(2)
        centres = rng.choice(len(lead.cortex.positions), 200, replace=False)
        away = np.linalg.norm(lead.cortex.positions - lead.cortex.positions[centres, None], axis=2)
        same_bank = lead.cortex.normals @ lead.cortex.normals[centres].T > 0
        patches = np.exp(-0.5 * (away.T / 0.007) ** 2) * same_bank
        truth, estimate = lead.meg @ patches, estimator.weights @ (lead.eeg @ patches)
        for sensors in (IS_MAG, ~IS_MAG):
            match = correlation(truth[sensors], estimate[sensors])
            assert np.median(np.diag(match)) > 0.5
            found = np.mean(match.argmax(axis=1) == np.arange(len(centres)))
            assert found > 0.1, "chance is 0.005"

    def test_more_noise_explains_less(self, fields: Fields, estimator: Estimator) -> None:
        assert fit(fields, SNR / 3).explained_variance(IS_MAG) < estimator.explained_variance(IS_MAG)
        assert fit(fields, SNR * 3).explained_variance(IS_MAG) > estimator.explained_variance(IS_MAG)


def window(seed: int, microvolts: float) -> NDArray[np.float32]:
    eeg = np.random.default_rng(seed).normal(0, microvolts * 1e-6, (len(CAP), 8))
    return np.asarray(eeg - eeg.mean(axis=0), np.float32)


SEEDS = st.integers(0, 2**32 - 1)


class TestShippedBundle:
    def test_a_rebuild_gives_the_same_bytes(self, lead: LeadFields, tmp_path: Path) -> None:
        rebuilt = export(tmp_path / NAME, lead)
        for name in ("manifest.json", *rebuilt.manifest.files):
            assert (rebuilt.directory / name).read_bytes() == (SHIPPED / NAME / name).read_bytes(), name

    def test_manifest(self) -> None:
        manifest = read_bundle(NAME).manifest
        assert tuple(electrode.name for electrode in manifest.montage) == CAP
        assert [channel.type for channel in manifest.channels].count("mag") == 102
        assert [channel.type == "mag" for channel in manifest.channels] == IS_MAG.tolist()
        assert all(len(channel.location) == 12 for channel in manifest.channels)
        assert all("prior" in metric.name and "not measured" in metric.name for metric in manifest.metrics)
        assert all(0 < metric.value < 1 for metric in manifest.metrics)

    @given(seed=SEEDS, offset=st.floats(-2e-5, 2e-5))
    def test_a_constant_on_all_electrodes_changes_nothing(self, infer: Infer, seed: int, offset: float) -> None:
        eeg = window(seed, 20.0)
        plain, shifted = infer({"eeg": eeg}), infer({"eeg": eeg + np.float32(offset)})
        for name in ("meg", "meg_std"):
            rms = np.sqrt(np.mean(plain[name] ** 2, dtype=np.float64))
            np.testing.assert_allclose(shifted[name], plain[name], rtol=0, atol=2e-3 * rms)

    @given(seed=SEEDS, microvolts=st.sampled_from([0.01, 1.0, 30.0, 1e4]), factor=st.floats(-8, 8))
    def test_estimate_and_std_scale_with_the_eeg(
        self, infer: Infer, seed: int, microvolts: float, factor: float
    ) -> None:
        eeg = window(seed, microvolts)
        once, scaled = infer({"eeg": eeg}), infer({"eeg": eeg * np.float32(factor)})
        assert (scaled["meg_std"] >= 0).all()
        for name, expected in (("meg", factor * once["meg"]), ("meg_std", abs(factor) * once["meg_std"])):
            rms = np.sqrt(np.mean(once[name] ** 2, dtype=np.float64))
            np.testing.assert_allclose(scaled[name], expected, rtol=0, atol=1e-4 * rms)

    def test_flat_eeg_gives_zero(self, infer: Infer) -> None:
        outputs = infer({"eeg": np.zeros((len(CAP), 8), np.float32)})
        assert not outputs["meg"].any()
        assert not outputs["meg_std"].any()


class TestStandardPositions:
    def test_the_shipped_table_is_the_exported_one(self, tmp_path: Path) -> None:
        assert write(tmp_path / "table.tsv") == len(standard_positions())
        assert (tmp_path / "table.tsv").read_bytes() == SHIPPED.with_name("standard_1005.tsv").read_bytes()

    def test_the_bundle_and_the_table_mean_the_same_place(self) -> None:
        for electrode in read_bundle(NAME).manifest.montage:
            assert electrode.position == standard_positions()[electrode.name.upper()]
