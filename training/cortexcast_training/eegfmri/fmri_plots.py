"""The plots of an autoencoder's card."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from matplotlib.figure import Figure
from nibabel.nifti1 import Nifti1Image
from nilearn.plotting import plot_stat_map

from cortexcast_training.eegfmri.fmri_methods import CEILING, MODEL, RIDGE
from cortexcast_training.eegfmri.fmri_results import FmriResults
from cortexcast_training.eegfmri.parcels import parcel_image
from cortexcast_training.pictures import png, titled

_CUTS = (-16, 0, 16, 32, 48, 64)


def plots(results: FmriResults) -> dict[str, bytes]:
    """PNG files by name, of those of ``PLOTS`` that the results have anything to show for."""
    return {name: png(draw(results)) for name, (has, draw) in PLOTS.items() if has(results)}


def _titled(results: FmriResults, title: str, size: tuple[float, float], n_subjects: int | None = None) -> Figure:
    return titled(f"{results.model}: {title}", results.data, n_subjects or len(results.subjects), size)


def _methods(results: FmriResults) -> Figure:
    names = sorted(results.methods, key=lambda name: results.methods[name].metrics["r"].value)
    figure = _titled(results, "r, mean over outputs, with 95 % intervals", (7, 0.35 * len(names) + 1.2))
    axes = figure.subplots()
    for at, name in enumerate(names):
        r = results.methods[name].metrics["r"]
        low, high = r.ci95 or (r.value, r.value)
        colour = "tab:orange" if name == MODEL else "tab:blue"
        axes.errorbar(r.value, at, xerr=[[r.value - low], [high - r.value]], marker="o", capsize=3, color=colour)
    axes.set(yticks=range(len(names)), yticklabels=names, xlabel="r")
    axes.grid(axis="x", alpha=0.3)
    return figure


def _map(results: FmriResults) -> Figure:
    figure = _titled(results, "r of each parcel that is significant", (12, 3))
    parcels = parcel_image()
    labels = np.asarray(parcels.dataobj)
    r = np.array([0.0, *(output.r if output.r is not None and output.significant else 0 for output in results.outputs)])
    image = Nifti1Image(r[labels].astype(np.float32), parcels.affine)
    axes = figure.subplots()
    plot_stat_map(
        image,
        axes=axes,
        display_mode="z",
        cut_coords=_CUTS,
        draw_cross=False,
        threshold=1e-3,
        vmin=0,
        vmax=r.max(),
        cmap="YlOrRd",
    )
    return figure


def _against_ceiling(results: FmriResults) -> Figure:
    figure = _titled(results, "r of each parcel", (4.5, 4.5))
    axes = figure.subplots()
    points = [(each.ceiling_r, each.r) for each in results.outputs if each.ceiling_r is not None and each.r is not None]
    ceiling, r = zip(*points, strict=True)
    end = max(ceiling) + 0.05
    axes.plot([0, end], [0, end], color="grey", lw=1, ls=":")
    axes.scatter(ceiling, r, s=8)
    axes.set(xlabel="r of what electrodes can see", ylabel="r of the estimate")
    return figure


def _traces(results: FmriResults) -> Figure:
    unit = "%" if results.product == "fmri" else ""
    title = "recorded and estimated, from the best output to the worst"
    figure = _titled(results, title, (9, 1.6 * len(results.traces) + 1), 1)
    for axes, trace in zip(np.ravel(figure.subplots(len(results.traces), sharex=True)), results.traces, strict=True):
        times = trace.tr_s * np.arange(len(trace.recorded))
        mean, reach = np.array(trace.estimated), 1.645 * np.array(trace.std)
        axes.fill_between(
            times, mean - reach, mean + reach, color="tab:orange", alpha=0.25, lw=0, label="90 % interval"
        )
        axes.plot(times, trace.recorded, color="black", lw=1, label="recorded")
        axes.plot(times, mean, color="tab:orange", lw=1, label="estimated")
        axes.set_ylabel(f"{trace.name}\n{unit}", fontsize=8)
        axes.margins(x=0)
    axes.set_xlabel("time, s")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _intervals(results: FmriResults) -> Figure:
    figure = _titled(results, "intervals of the estimate", (4.5, 4.2))
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="grey", lw=1, ls=":")
    axes.plot([float(level) for level in results.intervals], [i.value for i in results.intervals.values()], marker="o")
    axes.set(xlabel="level of the interval", ylabel="share of values inside")
    return figure


def _subjects(results: FmriResults) -> Figure:
    figure = _titled(results, "r of each subject", (6, 4))
    axes = figure.subplots()
    for name in (CEILING, MODEL, RIDGE):
        if name in results.methods:
            r = results.methods[name].r
            axes.plot([r[subject] for subject in results.subjects], marker="o", ls="", label=name)
    axes.set(xlabel="subject", ylabel="r", xticks=range(len(results.subjects)))
    axes.legend()
    return figure


PLOTS: Mapping[str, tuple[Callable[[FmriResults], object], Callable[[FmriResults], Figure]]] = {
    "methods.png": (lambda _: True, _methods),
    "map.png": (
        lambda results: results.product == "fmri" and any(output.significant for output in results.outputs),
        _map,
    ),
    "ceiling.png": (lambda results: results.ceiling_share is not None, _against_ceiling),
    "subjects.png": (lambda _: True, _subjects),
    "traces.png": (lambda results: results.traces, _traces),
    "intervals.png": (lambda results: results.intervals, _intervals),
}
"""By file: what of the results it shows, and what draws it."""
