"""Sources are found where they are, on the template and on heads that are not the template's."""

from __future__ import annotations

from pathlib import Path

import mne
import nibabel
import numpy as np
import pytest
from nibabel.freesurfer import MGHImage
from scanned import Scanned

from cortexcast_training.eegfmri.bands import BANDS
from cortexcast_training.eegfmri.eeg_cleaning import CleanEeg
from cortexcast_training.eegfmri.electrode_places import digitised
from cortexcast_training.eegfmri.head_files import HeadFiles, write_template
from cortexcast_training.eegfmri.parcels import parcels
from cortexcast_training.eegfmri.simulator import BRAIN_HZ, ELECTRODES, REFERENCE
from cortexcast_training.eegfmri.source_localisation import Method, SourceError, SourceMap, parcel_map, source_map
from cortexcast_training.head import Head, HeadSettings, draw_head, template_head
from cortexcast_training.leadfield import CAP, coarse_vertices, cortex, electrode_positions, template

ICO = 2
NAMES = [*ELECTRODES, REFERENCE]
TRUE_MM = 1e3 * cortex().positions[coarse_vertices()]
TRIED = np.random.default_rng(0).choice(len(TRUE_MM), 100, replace=False)
STRETCHED = HeadSettings(scale_sd=0.12, brain_rotation_sd_deg=0.0, ico=ICO)
"""Electrodes lie elsewhere on it, and its skull conducts otherwise; only what turns the brain no surface shows here."""


def info() -> mne.Info:
    placed = mne.create_info(NAMES, BRAIN_HZ, "eeg")
    placed.set_montage(digitised({name: electrode_positions()[name] for name in NAMES}))
    return placed


@pytest.fixture(scope="module")
def maps() -> dict[Method, SourceMap]:
    return {method: source_map(info(), method, ico=ICO) for method in ("eLORETA", "dSPM")}


def away_mm(sources: SourceMap, head: Head, noise: float = 0.1) -> np.ndarray:
    """How far the strongest source is from the one that is active, for each of those tried."""
    fields = head.eeg[[CAP.index(name) for name in NAMES]][:, TRIED]
    fields /= np.sqrt(np.mean(fields**2, axis=0))
    fields += noise * np.random.default_rng(1).standard_normal(fields.shape)
    strongest = np.abs(sources.weights @ (fields - fields.mean(axis=0))).argmax(axis=0)
    return np.asarray(np.linalg.norm(sources.places[strongest] - TRUE_MM[TRIED], axis=1))


@pytest.mark.parametrize(("method", "worst"), [("eLORETA", 12), ("dSPM", 18)])
def test_sources_are_found_where_they_are(maps: dict[Method, SourceMap], method: Method, worst: float) -> None:
    away = away_mm(maps[method], template_head(ICO))
    assert np.median(away) < 1
    assert away.max() < worst


@pytest.fixture(scope="module")
def stretched() -> Head:
    return draw_head(STRETCHED, 4)


def test_a_head_that_is_not_the_templates_blurs_but_little(maps: dict[Method, SourceMap], stretched: Head) -> None:
    away = away_mm(maps["eLORETA"], stretched)
    assert np.median(away) < 5
    assert away.max() < 25


def test_the_map_is_of_all_electrodes_and_of_cortex_alone(maps: dict[Method, SourceMap]) -> None:
    for sources in maps.values():
        assert sources.electrodes == tuple(NAMES)
        assert sources.weights.shape == (len(sources.places), len(NAMES))
        assert abs(len(sources.places) - len(TRUE_MM)) < 5
        # Of a potential that all electrodes share there are no sources.
        np.testing.assert_allclose(sources.weights.sum(axis=1), 0, atol=1e-3 * np.abs(sources.weights).sum(1).max())


def test_a_parcel_shows_what_is_active_in_it(maps: dict[Method, SourceMap]) -> None:
    of_parcels = parcel_map(maps["eLORETA"])
    atlas = parcels()
    assert 200 < len(of_parcels.names) < 300
    assert {name for name in atlas.names if name not in of_parcels.names} >= {
        name for name, region in zip(atlas.names, atlas.regions, strict=True) if not region.startswith("cortex")
    }
    inside = np.linalg.norm(TRUE_MM[TRIED, None] - of_parcels.places, axis=2).min(axis=1) < 10
    assert inside.sum() > 30
    away = away_mm(of_parcels, template_head(ICO))[inside]
    # As near as parcels lie to each other.
    assert np.median(away) < 20
    assert np.percentile(away, 90) < 40


def test_sources_of_cleaned_eeg_follow_those_of_the_brain(
    maps: dict[Method, SourceMap], cleaned: CleanEeg, scanned: Scanned
) -> None:
    of_parcels = parcel_map(maps["eLORETA"])
    brain = mne.io.RawArray(scanned.brain, info(), verbose="error")
    given, true = (of_parcels.log_band_power(raw)[40:-40] for raw in (cleaned.raw, brain))
    assert given.shape[1:] == (len(of_parcels.names), len(BANDS))
    for number, name in enumerate(BANDS):
        r = [np.corrcoef(given[:, each, number], true[:, each, number])[0, 1] for each in range(given.shape[1])]
        assert np.median(r) > 0.7, name


def test_power_of_many_sources_is_that_of_each(maps: dict[Method, SourceMap], scanned: Scanned) -> None:
    brain = mne.io.RawArray(scanned.brain[:, : round(10 * BRAIN_HZ)], info(), verbose="error")
    sources = maps["eLORETA"]
    some = np.array([0, 255, 256, 257, 1000])
    few = SourceMap(sources.weights[some], sources.electrodes, sources.places[some])
    np.testing.assert_allclose(sources.log_band_power(brain)[:, some], few.log_band_power(brain), atol=1e-3)


def write_own(folder: Path, head: Head) -> HeadFiles:
    """A head that is the template stretched along each axis, as a subject of its own."""
    files = HeadFiles(folder, "sub-01")
    subject = folder / files.subject
    write_template(subject)
    inner = 1e3 * template().shells["inner_skull"]
    centre = (inner.max(axis=0) + inner.min(axis=0)) / 2
    for path in [*(subject / "bem").glob("*.surf"), *(subject / "surf").glob("*.white")]:
        positions, faces = mne.read_surface(path)
        mne.write_surface(path, centre + head.scale * (positions - centre), faces, overwrite=True)
    (subject / "mri/transforms").mkdir(parents=True)
    # Voxels whose coordinates in the scanner are those of the surfaces.
    to_surface = np.array([[-32.0, 0, 0, 128], [0, 0, 32, -128], [0, -32, 0, 128], [0, 0, 0, 1]])
    nibabel.save(MGHImage(np.zeros((8, 8, 8), np.uint8), to_surface), subject / "mri/orig.mgz")
    to_mni = np.c_[np.diag(1 / head.scale), centre - centre / head.scale]
    rows = "\n".join(" ".join(map(str, row)) for row in to_mni)
    header = "MNI Transform File\n\nTransform_Type = Linear;\nLinear_Transform =\n"
    (subject / "mri/transforms/talairach.xfm").write_text(f"{header}{rows};\n", encoding="utf-8")
    return files


def test_a_heads_own_surfaces_tell_more_than_the_templates(
    maps: dict[Method, SourceMap], stretched: Head, tmp_path: Path
) -> None:
    own = source_map(info(), files=write_own(tmp_path, stretched), ico=ICO)
    assert np.abs(stretched.scale - 1).max() > 0.1
    np.testing.assert_allclose(own.places, maps["eLORETA"].places, atol=0.1)
    by_own, by_template = (away_mm(sources, stretched) for sources in (own, maps["eLORETA"]))
    assert by_own.mean() < by_template.mean()
    assert by_own.max() < 15


def test_files_that_are_missing_are_named(tmp_path: Path) -> None:
    files = write_own(tmp_path, template_head(ICO))
    (tmp_path / "sub-01/bem/outer_skull.surf").unlink()
    with pytest.raises(SourceError, match=r"outer_skull\.surf is not there: run FreeSurfer's recon-all"):
        source_map(info(), files=files, ico=ICO)


def test_an_electrode_without_a_place_is_named() -> None:
    with pytest.raises(SourceError, match="electrode Fp1 has no place"):
        source_map(mne.create_info(NAMES, BRAIN_HZ, "eeg"), ico=ICO)
