"""The plots of a model card."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import mne
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cortexcast_training.held_out import NO_SHIFT
from cortexcast_training.leadfield import helmet, is_magnetometer
from cortexcast_training.metrics import Interval
from cortexcast_training.pictures import png, titled
from cortexcast_training.results import CurvePoint, Results

AMOUNTS = {"heads": "heads that were trained on", "parameters": "parameters"}
"""What a learning curve is over."""


def plots(results: Results) -> dict[str, bytes]:
    """PNG files by name, of those of ``PLOTS`` that the results have anything to show for."""
    return {name: png(draw(results)) for name, (has, draw) in PLOTS.items() if has(results)}


def kind(shift: str, curve: Sequence[CurvePoint]) -> str:
    """Whose curve it is."""
    what = "heads like those of the training data" if shift == NO_SHIFT else shift
    return f"{what[:1].upper()}{what[1:]} ({curve[0].model.n})"


def _target(results: Results) -> str:
    """What an estimate is judged against: the noise-free MEG of a simulation, or the recording."""
    return "true" if results.judged_by_truth else "recorded"


def _titled(results: Results, title: str, size: tuple[float, float], n_subjects: int | None = None) -> Figure:
    return titled(f"{results.model}: {title}", results.data, n_subjects or len(results.subjects), size)


def _traces(results: Results) -> Figure:
    figure = _titled(results, f"estimated and {_target(results)} MEG", (9, 1.5 * len(results.traces) + 1), 1)
    for axes, trace in zip(np.ravel(figure.subplots(len(results.traces), sharex=True)), results.traces, strict=True):
        is_mag = trace.channel.endswith("1")
        scale, unit = (1e15, "fT") if is_mag else (1e13, "fT/cm")
        times = np.arange(len(trace.true)) / trace.rate_hz
        estimated = scale * np.array(trace.estimated)
        if trace.std is not None:
            reach = 1.645 * scale * np.array(trace.std)
            axes.fill_between(
                times, estimated - reach, estimated + reach, color="tab:orange", alpha=0.25, lw=0, label="90 % interval"
            )
        axes.plot(times, scale * np.array(trace.true), color="black", lw=1, label=_target(results))
        axes.plot(times, estimated, color="tab:orange", lw=1, label="estimated")
        axes.set_ylabel(f"{trace.channel}\n{unit}")
        axes.margins(x=0)
    axes.set_xlabel("time, s")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _topographies(results: Results) -> Figure:
    info = mne.pick_info(helmet(), np.flatnonzero(is_magnetometer()))
    figure = _titled(results, "mean fields of magnetometers, fT", (6, 3 * len(results.topographies) + 0.5))
    grid = figure.subplots(len(results.topographies), 2, squeeze=False)
    for row, topography in zip(grid, results.topographies, strict=True):
        fields = {_target(results): topography.true, "estimated": topography.estimated}
        limit = 1e15 * max(np.abs(field).max() for field in fields.values())
        for axes, (what, field) in zip(row, fields.items(), strict=True):
            image, _ = mne.viz.plot_topomap(
                1e15 * np.array(field), info, axes=axes, show=False, vlim=(-limit, limit), contours=4
            )
            axes.set_title(f"{topography.name}, {what}")
        figure.colorbar(image, ax=row, shrink=0.7)
    return figure


def _calibration(results: Results) -> Figure:
    figure = _titled(results, "intervals of the estimate", (4.5, 4.2))
    axes = figure.subplots()
    levels = [level.level for level in results.calibration]
    axes.plot([0, 1], [0, 1], color="grey", lw=1, ls=":")
    axes.plot(levels, [each.recorded.value for each in results.calibration], marker="o", label="MEG as recorded")
    if results.judged_by_truth:
        axes.plot(levels, [each.true.value for each in results.calibration], marker="o", label="noise-free MEG")
    axes.set(xlabel="level of the interval", ylabel="share of values inside")
    axes.legend()
    return figure


def _headsets(results: Results) -> Figure:
    figure = _titled(results, "fewer electrodes, with 95 % intervals", (5.5, 4))
    axes = figure.subplots()
    electrodes = [headset.electrodes for headset in results.headsets]
    _curve(axes, electrodes, [headset.model for headset in results.headsets], "model")
    _curve(axes, electrodes, [headset.baseline for headset in results.headsets], "FIR-Wiener for these")
    axes.set(xlabel="electrodes", ylabel="explained variance")
    axes.legend()
    return figure


def _own_recordings(results: Results) -> Figure:
    curves = results.own_recordings
    n = sum(curve[0].model.n for curve in curves.values())
    figure = _titled(results, "calibration curve against ridge, with 95 % intervals", (4.5 * len(curves), 4), n)
    for axes, (shift, curve) in zip(figure.subplots(1, len(curves), squeeze=False)[0], curves.items(), strict=True):
        seconds = [point.seconds for point in curve]
        _curve(axes, seconds, [point.calibrated for point in curve], "model, calibrated")
        _curve(axes, seconds, [point.ridge for point in curve], "ridge on the same seconds")
        axes.axhline(curve[0].model.value, color="grey", lw=1, ls=":", label="model, uncalibrated")
        axes.set_title(kind(shift, curve), fontsize=9)
        axes.set(
            xlabel="own recording, s",
            ylabel="explained variance",
            xscale="log",
            xticks=seconds,
            xticklabels=map("{:g}".format, seconds),
        )
        axes.minorticks_off()
        axes.legend()
    return figure


def _learning(results: Results) -> Figure:
    """The headline against the effort of training: share of the gap, where there is an oracle."""
    kinds = sorted({point.of for point in results.learning})
    figure = _titled(results, "learning curves, with 95 % intervals", (4.5 * len(kinds), 4))
    for axes, kind in zip(figure.subplots(1, len(kinds), squeeze=False)[0], kinds, strict=True):
        points = [point for point in results.learning if point.of == kind]
        closed = [_as_percent(point.gap_closed) for point in points if point.gap_closed is not None]
        _curve(axes, [point.amount for point in points], closed or [point.explained for point in points], "model")
        what = "% of the gap closed, FIR-Wiener to Bayes" if closed else "explained variance"
        amounts = [point.amount for point in points]
        axes.set(
            xlabel=AMOUNTS[kind], ylabel=what, xscale="log", xticks=amounts, xticklabels=map("{:,}".format, amounts)
        )
        axes.minorticks_off()
    return figure


def _as_percent(interval: Interval) -> Interval:
    low_high = None if interval.ci95 is None else (100 * interval.ci95[0], 100 * interval.ci95[1])
    return Interval(value=100 * interval.value, ci95=low_high, n=interval.n)


def _curve(axes: Axes, at: Sequence[float], values: Sequence[Interval], label: str) -> None:
    middle = np.array([value.value for value in values])
    ends = np.array([value.ci95 or (value.value, value.value) for value in values])
    axes.errorbar(at, middle, yerr=np.abs(ends.T - middle), marker="o", capsize=3, label=label)


PLOTS: Mapping[str, tuple[Callable[[Results], object], Callable[[Results], Figure]]] = {
    "traces.png": (lambda results: results.traces, _traces),
    "topographies.png": (lambda results: results.topographies, _topographies),
    "calibration.png": (lambda results: results.calibration, _calibration),
    "headsets.png": (lambda results: results.headsets, _headsets),
    "own_recordings.png": (lambda results: results.own_recordings, _own_recordings),
    "learning.png": (lambda results: results.learning, _learning),
}
"""By file: what of the results it shows, and what draws it."""
