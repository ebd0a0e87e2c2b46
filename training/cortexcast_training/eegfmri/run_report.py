"""What preprocessing made of a run's EEG and BOLD, to look at: one HTML page."""

from __future__ import annotations

from pathlib import Path

import mne
import numpy as np
from matplotlib.figure import Figure
from nibabel.nifti1 import Nifti1Image
from nilearn.plotting import plot_anat, plot_carpet, plot_epi
from numpy.typing import NDArray

from cortexcast_training.eegfmri.bold_preprocessing import PreprocessedBold
from cortexcast_training.eegfmri.brain_template import template, template_brain
from cortexcast_training.eegfmri.eeg_cleaning import CleanEeg
from cortexcast_training.eegfmri.parcels import parcels

Singles = NDArray[np.float32]
Mask = NDArray[np.bool_]

_FAR_MM = 0.5
"""Framewise displacement above which Power et al. (2012) leave a volume out."""

_CUTS = (-30, -10, 10, 30, 50)
"""Slices that are shown, in mm above the anterior commissure."""

_OUTLINE_MM = 2
_HIGHEST_HZ = 50.0


def write_report(path: Path, title: str, run: PreprocessedBold, eeg: CleanEeg) -> None:
    """Write the page of a run. It needs no other file.

    Args:
        path: of the page; what is there is replaced.
        title: of the run.
        run: its BOLD: displacement, carpet, registration and tSNR.
        eeg: what was removed, and spectra.
    """
    report = mne.Report(title=title, verbose="error")
    report.add_html(_table(_of_eeg(eeg)), "EEG")
    report.add_figure(_spectra(eeg), "Spectra", caption="Every line is an electrode, cleaned, against the average")
    report.add_html(_table(_of_bold(run)), "BOLD")
    report.add_figure(_movement(run), "Motion", caption="Framewise displacement, and where the head is")
    report.add_figure(_carpet(run), "Carpet", caption="Every row is a voxel of the brain")
    report.add_figure(_overlay(_mean(run)), "Registration of BOLD", caption="The template's brain, outlined, on BOLD")
    if run.anatomy is not None:
        report.add_figure(_overlay(run.anatomy), "Registration of the anatomical scan", caption="Likewise")
    report.add_figure(_steadiness(run), "tSNR", caption="Mean over time in proportion to standard deviation")
    report.save(path, open_browser=False, overwrite=True, verbose="error")


def tsnr(run: PreprocessedBold) -> Singles:
    """Mean over time of each voxel in proportion to its standard deviation, ``(x, y, z)``; zero outside the brain."""
    values = np.asarray(run.volumes.dataobj, np.float32)
    spread = values.std(axis=3)
    steady = np.divide(values.mean(axis=3), spread, out=np.zeros_like(spread), where=spread > 0)
    return np.asarray(steady, np.float32)


def _of_eeg(eeg: CleanEeg) -> list[tuple[str, str]]:
    beats = len(eeg.heartbeats)
    return [
        ("gradients", f"{eeg.gradient_db:.0f} dB of the EEG's power went with them"),
        ("heart", f"{beats} beats, {60 / np.median(np.diff(eeg.heartbeats)):.0f} a minute"),
        (
            "pulse",
            f"{100 * np.median(eeg.pulse_before):.1f} % of an electrode's variance before, "
            f"{100 * np.median(eeg.pulse_after):.1f} % after, the median; {eeg.removed.pulse} components",
        ),
        ("eyes", f"{eeg.removed.eyes} components"),
        ("interpolated", ", ".join(eeg.bads) or "none"),
    ]


def _spectra(eeg: CleanEeg) -> Figure:
    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.subplots()
    spectrum = eeg.raw.compute_psd(picks="eeg", fmax=_HIGHEST_HZ, verbose="error")
    density = 10 * np.log10(1e12 * spectrum.get_data())
    axes.plot(spectrum.freqs, density.T, color="black", lw=0.5, alpha=0.4)
    axes.set(xlabel="frequency, Hz", ylabel="dB of µV²/Hz")
    axes.margins(x=0)
    return figure


def _table(rows: list[tuple[str, str]]) -> str:
    return "<table>" + "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows) + "</table>"


def _of_bold(run: PreprocessedBold) -> list[tuple[str, str]]:
    far = int((run.displacement > _FAR_MM).sum())
    scanned = int(np.isfinite(run.parcels).all(axis=1).sum())
    rows = [
        ("volumes", f"{len(run.times)}, one every {run.tr_s:g} s"),
        ("time of the first", f"{run.times[0]:.3f} s after it began"),
        ("framewise displacement", f"{run.displacement.mean():.2f} mm on average, above {_FAR_MM} mm in {far} volumes"),
        ("parcels scanned", f"{scanned} of {len(parcels().names)}"),
        ("tSNR", f"{np.median(tsnr(run)[run.brain]):.0f}, the median of voxels"),
    ]
    if run.registration is None:
        rows.append(("registration", "fMRIPrep's"))
    else:
        by = "affine, of the mean volume: there is no anatomical scan"
        if run.registration.in_anatomy is not None:
            by = f"of the anatomical scan, affine and {run.registration.warp_mm:.1f} mm of warp"
        rows.append(
            ("registration", f"{by}; BOLD's brain and the template's overlap by {run.registration.overlap:.2f}")
        )
    return rows


def _movement(run: PreprocessedBold) -> Figure:
    figure = Figure(figsize=(10, 6), layout="constrained")
    far, shift, turn = figure.subplots(3, sharex=True)
    far.plot(run.times, run.displacement, color="black", lw=1)
    far.axhline(_FAR_MM, color="tab:red", lw=1, ls="--")
    far.set_ylabel("displacement, mm")
    for axes, values, unit in ((shift, run.motion[:, :3], "mm"), (turn, np.degrees(run.motion[:, 3:]), "°")):
        for axis, course in zip("xyz", values.T, strict=True):
            axes.plot(run.times, course, lw=1, label=axis)
        axes.set_ylabel(f"{'shift' if unit == 'mm' else 'turn'}, {unit}")
    shift.legend(loc="upper right", ncols=3)
    turn.set_xlabel("time, s")
    turn.margins(x=0)
    return figure


def _carpet(run: PreprocessedBold) -> Figure:
    figure = Figure(figsize=(10, 5), layout="constrained")
    plot_carpet(run.volumes, _image(run, run.brain), t_r=run.tr_s, figure=figure, axes=figure.subplots())
    return figure


def _overlay(image: Nifti1Image) -> Figure:
    figure = Figure(figsize=(12, 3))
    display = plot_anat(image, figure=figure, display_mode="z", cut_coords=_CUTS, draw_cross=False, dim=0)
    outline = Nifti1Image(template_brain(_OUTLINE_MM).astype(np.float32), template(_OUTLINE_MM).affine)
    display.add_contours(outline, levels=[0.5], colors="red", linewidths=1)
    return figure


def _steadiness(run: PreprocessedBold) -> Figure:
    figure = Figure(figsize=(12, 3))
    values = tsnr(run)
    plot_epi(
        _image(run, values), figure=figure, display_mode="z", cut_coords=_CUTS, draw_cross=False, colorbar=True,
        vmin=0, vmax=float(np.percentile(values[run.brain], 98)), cmap="viridis",
    )  # fmt: skip
    return figure


def _mean(run: PreprocessedBold) -> Nifti1Image:
    return _image(run, np.asarray(run.volumes.dataobj).mean(axis=3))


def _image(run: PreprocessedBold, values: Singles | Mask) -> Nifti1Image:
    return Nifti1Image(np.asarray(values, np.float32), run.volumes.affine)
