"""What goes with what in preprocessed runs: EEG sources with electrodes, rhythms of the EEG with voxels of BOLD.

    OUT/sources_band-<band>_r.nii.gz       4-D, an image for each electrode, and
    OUT/sources.tsv                        electrode, band, parcel, r, p, q
    OUT/voxels_band-<band>_{r,q}.nii.gz    r is 4-D, an image for each delay, and
    OUT/voxels.tsv                         band, cluster, MNI coordinates, parcel, delay, r, q, size

Both are over all runs, against chance by turning EEG in time (``shift_test``), at a false discovery rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import mne
import nibabel
import numpy as np
import pandas as pd
from nibabel.nifti1 import Nifti1Image
from nilearn.reporting import get_clusters_table
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt
from scipy.spatial import cKDTree

from cortexcast_models.manifest import Strict
from cortexcast_training.eegfmri.bands import BANDS
from cortexcast_training.eegfmri.eegfmri_preprocessing import RUNS, PreprocessedRun, preprocessed_runs
from cortexcast_training.eegfmri.head_files import HeadFiles
from cortexcast_training.eegfmri.hemodynamics import EARLIEST_S, LATEST_S
from cortexcast_training.eegfmri.hemodynamics import bold as through_hemodynamics
from cortexcast_training.eegfmri.nuisance import without_nuisance
from cortexcast_training.eegfmri.parcels import parcel_image, parcels
from cortexcast_training.eegfmri.runs import HOP_S, Run
from cortexcast_training.eegfmri.shift_test import Found, ShiftTest
from cortexcast_training.eegfmri.simulator import ELECTRODES
from cortexcast_training.eegfmri.source_localisation import Method, SourceMap, parcel_map, source_map
from cortexcast_training.simulated_dataset import write_table

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Say = Callable[[str, int, int], None]


class CorrelateError(Exception):
    """Runs cannot be correlated. The message says why, and what to do."""


class CorrelateSettings(Strict):
    """How correlation is tested."""

    delays_s: tuple[Annotated[float, Field(ge=EARLIEST_S, le=LATEST_S)], ...] = Field(
        (4.0, 5.0, 6.0, 7.0), min_length=1, strict=False
    )
    """Of the hemodynamic response's peak."""
    permutations: int = Field(100, ge=50)
    level: float = Field(0.05, gt=0, lt=1)
    """The false discovery rate below which a voxel is in a cluster."""
    sources: Method = "eLORETA"
    subjects_dir: str | None = None
    """FreeSurfer's folder of subjects, named as in the data set, with surfaces by ``mne watershed_bem``; without one
    sources are those of the template's head."""
    longest_period_s: float = Field(128.0, gt=0)
    """Slower drift is taken out of voxels."""
    seed: NonNegativeInt = 0


def correlate(folder: Path, out: Path, settings: CorrelateSettings, say: Say) -> tuple[int, int]:
    """Write all maps and tables.

    Args:
        folder: of `cortexcast data prepare`.
        out: where to; it is made, what is there of the same names is replaced.
        settings: how.
        say: hears how far it is.

    Returns:
        How many pairs of electrode and parcel, over bands, and how many voxels, over bands, correlate.

    Raises:
        CorrelateError: there are no runs, or no voxel was scanned in all of them.
        ShiftError: a run is too short.
        RunError, SourceError: see there.
    """
    found = preprocessed_runs(folder)
    if not found:
        raise CorrelateError(f"{folder / RUNS} has no runs: preprocess some there first")
    out.mkdir(parents=True, exist_ok=True)
    n_sources = _sources(found, out, settings, say)
    n_voxels = _voxels(found, out, settings, say)
    return n_sources, n_voxels


def _sources(found: Sequence[PreprocessedRun], out: Path, settings: CorrelateSettings, say: Say) -> int:
    tests: list[ShiftTest] = []
    names: tuple[str, ...] = ()
    maps: dict[bytes, SourceMap] = {}
    for done, each in enumerate(found):
        say("sources", done, len(found))
        run, raw = each.run(), mne.io.read_raw_fif(each.eeg, preload=True, verbose="error")
        # A cap sits alike on everybody whose electrodes nobody measured.
        worn = np.array([channel["loc"][:3] for channel in raw.copy().pick("eeg").info["chs"]]).tobytes()
        own = HeadFiles(Path(settings.subjects_dir), run.subject) if settings.subjects_dir else None
        if own:
            worn += run.subject.encode()
        if worn not in maps:
            maps[worn] = parcel_map(source_map(raw.info, settings.sources, own))
        power, names = maps[worn].log_band_power(raw), maps[worn].names
        n = min(len(power), len(run.power))
        tests = tests or [
            ShiftTest(len(ELECTRODES), 1, len(names), settings.permutations, settings.seed) for _ in BANDS
        ]
        for number, test in enumerate(tests):
            test.add(run.power[:n, :, number].T[:, np.newaxis], power[:n, :, number].T, HOP_S)
    say("sources", len(found), len(found))
    results = {band: test.found() for band, test in zip(BANDS, tests, strict=True)}
    for band, result in results.items():
        _write_sources(out / f"sources_band-{_slug(band)}_r.nii.gz", result, names)
    write_table(out / "sources.tsv", ["electrode", "band", "parcel", "r", "p", "q"], _pairs(results, names))
    return sum(int((result.q < settings.level).sum()) for result in results.values())


def _pairs(results: Mapping[str, Found], names: Sequence[str]) -> Iterator[list[str]]:
    for band, result in results.items():
        values = np.stack([result.best_r, result.p, result.q], axis=2)
        for electrode, of_electrode in zip(ELECTRODES, values, strict=True):
            for name, of_pair in zip(names, of_electrode, strict=True):
                yield [electrode, band, name, *(f"{value:.4g}" for value in of_pair)]


def _write_sources(path: Path, result: Found, names: Sequence[str]) -> None:
    image = parcel_image()
    labels = np.asarray(image.dataobj)
    of_parcel = np.zeros((len(parcels().names) + 1, len(ELECTRODES)), np.float32)
    of_parcel[[parcels().names.index(name) + 1 for name in names]] = result.best_r.T
    nibabel.save(Nifti1Image(of_parcel[labels], image.affine), path)


def _voxels(found: Sequence[PreprocessedRun], out: Path, settings: CorrelateSettings, say: Say) -> int:
    brain = _common_brain(found)
    test = ShiftTest(len(BANDS), len(settings.delays_s), int(brain.sum()), settings.permutations, settings.seed)
    for done, each in enumerate(found):
        say("voxels", done, len(found))
        run = each.run()
        volumes = np.asarray(nibabel.load(each.bold).dataobj, np.float32)[brain].astype(np.float64)
        cleaned = without_nuisance(volumes, each.nuisance(), run.tr_s, settings.longest_period_s)
        test.add(band_regressors(run, settings.delays_s), cleaned, run.tr_s)
    say("voxels", len(found), len(found))
    result, affine = test.found(), nibabel.load(found[0].mask).affine
    rows: list[list[object]] = []
    for number, band in enumerate(BANDS):
        maps = {"r": result.r[number].T, "q": result.q[number].astype(np.float32)}
        for kind, values in maps.items():
            image = np.zeros((*brain.shape, *values.shape[1:]), np.float32) + (kind == "q")
            image[brain] = values
            nibabel.save(Nifti1Image(image, affine), out / f"voxels_band-{_slug(band)}_{kind}.nii.gz")
        rows += _clusters(band, number, result, brain, affine, settings)
    columns = ["band", "cluster", "x", "y", "z", "parcel", "delay_s", "r", "q", "size_mm3"]
    write_table(out / "voxels.tsv", columns, rows)
    return int((result.q < settings.level).sum())


def band_regressors(run: Run, delays_s: Sequence[float]) -> Floats:
    """The power of each band, over all electrodes, through the response of each delay.

    Returns:
        ``(n_bands, n_delays, n_volumes)``.
    """
    power = run.power.mean(axis=1, dtype=np.float64).T
    power -= power.mean(axis=1, keepdims=True)
    hops = run.hops.clip(0)
    return np.stack(
        [through_hemodynamics(power, np.full(len(power), delay), 1 / HOP_S)[:, hops] for delay in delays_s], axis=1
    )


def _common_brain(found: Sequence[PreprocessedRun]) -> Mask:
    masks = [np.asarray(nibabel.load(each.mask).dataobj) > 0 for each in found]
    if len({mask.shape for mask in masks}) > 1:
        raise CorrelateError("runs have different voxels: preprocess all by the same program and settings")
    brain = np.all(masks, axis=0)
    if not brain.any():
        raise CorrelateError("no voxel was scanned in all runs: look at their masks")
    return np.asarray(brain, np.bool_)


def _clusters(
    band: str, number: int, result: Found, brain: Mask, affine: Floats, settings: CorrelateSettings
) -> list[list[object]]:
    """Where neighbours correlate together, by the peak of each place."""
    significant = result.q[number] < settings.level
    if not significant.any():
        return []
    image = np.zeros(brain.shape, np.float32)
    image[brain] = np.where(significant, result.best_r[number], 0)
    peaks: pd.DataFrame = get_clusters_table(Nifti1Image(image, affine), 1e-6, two_sided=True)
    numbers = np.full(brain.shape, -1)
    numbers[brain] = np.arange(brain.sum())
    at = np.linalg.inv(affine)
    rows: list[list[object]] = []
    for peak in peaks.itertuples(index=False):
        place = np.array([peak.X, peak.Y, peak.Z], np.float64)
        voxel = numbers[tuple(np.round(at[:3, :3] @ place + at[:3, 3]).astype(int))]
        nearest = int(cKDTree(parcels().centres).query(place)[1])
        rows.append(
            [
                band,
                peak[0],
                *(f"{axis:g}" for axis in place),
                parcels().names[nearest],
                f"{settings.delays_s[result.delay[number, voxel]]:g}",
                f"{result.best_r[number, voxel]:.3f}",
                f"{result.q[number, voxel]:.2g}",
                peak[-1] if str(peak[-1]).strip() else "n/a",
            ]
        )
    return rows


def _slug(band: str) -> str:
    return band.replace(" ", "-")
