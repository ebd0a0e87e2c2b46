"""The model card: Markdown and plots, of nothing but ``Results``."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

import mne
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from cortexcast_training.evaluate import BASELINE, EVOKED, MODEL, NULL
from cortexcast_training.held_out import BAYES, NO_SHIFT, OWN_WIENER, STATE_KNOWN
from cortexcast_training.leadfield import helmet, is_magnetometer
from cortexcast_training.metrics import BANDS_HZ, Interval, gap_closed
from cortexcast_training.results import CurvePoint, Results

CARD = "card.md"
FILES = frozenset(
    {CARD, "traces.png", "topographies.png", "calibration.png", "headsets.png", "own_recordings.png", "learning.png"}
)
"""What a card may be made of."""

_COLOURS = 64

_EXPLAINED = {
    "zero": "no estimate",
    EVOKED: "the mean response of the other subjects at each picture; sees no EEG: more than nothing is leakage",
    "minimum norm": "lead fields of a template head; nothing was fitted",
    "ridge": "of the training subjects, one sample",
    "reduced-rank ridge": "likewise, ± 100 ms, of the rank that serves other subjects best",
    "FIR-Wiener, causal": "likewise, 100 ms back",
    BASELINE: "likewise, ± 100 ms: the baseline of the gap",
    "own ridge": "fitted to the first half of the subject's own recording, which has MEG",
    "own FIR-Wiener": "likewise, ± 100 ms",
    OWN_WIENER: "± 100 ms; from the simulation's parameters, EEG without artefacts",
    BAYES: "from the simulation's parameters, EEG without artefacts: the end of the gap",
    STATE_KNOWN: "likewise, and the true states",
    MODEL: "never saw this subject",
    NULL: "the model on EEG of another time; more than nothing is leakage",
}
"""What each method is, in the order of the table."""

_NOT_RECORDED = (
    "**Simulated.** Every number and every plot of this card comes from simulated subjects. "
    "Real brains are not simulations: expect less."
)
_TRAINED_ON = {
    "physics": "Nothing in it was fitted: it follows from a template head.",
    "simulated": "It was trained on simulated data.",
    "recorded": "It was trained on recorded data.",
}
_AMOUNTS = {"heads": "heads that were trained on", "parameters": "parameters"}
_MEANING = "The model estimates the part of MEG that EEG predicts, and holds no more information than the EEG."


def card(results: Results) -> dict[str, bytes]:
    """The card's files by name: ``card.md`` and the plots that it shows."""
    plots = {
        "traces.png": _traces(results) if results.traces else None,
        "topographies.png": _topographies(results) if results.topographies else None,
        "calibration.png": _calibration(results) if results.calibration else None,
        "headsets.png": _headsets(results) if results.headsets else None,
        "own_recordings.png": _own_recordings(results) if results.own_recordings else None,
        "learning.png": _learning(results) if results.learning else None,
    }
    files = {name: _png(figure) for name, figure in plots.items() if figure is not None}
    return {CARD: _markdown(results, files).encode(), **files}


def _markdown(results: Results, plots: Iterable[str]) -> str:
    ours = results.methods[MODEL]
    shown = set(plots)
    label = f"{results.data} data" if results.data == "recorded" else "SIMULATED data"
    parts = [f"# {results.model}, evaluated on {label}"]
    if results.data == "simulated":
        parts.append(_NOT_RECORDED)
    n = len(results.subjects)
    parts += [
        f"{_MEANING} {_TRAINED_ON[results.trained_on]}",
        f"{n} held-out {results.data} subjects ({', '.join(results.subjects)}), {results.judged_s:.0f} s in all, "
        f"{results.judged_s * results.rate_hz:.0f} samples of each of 306 sensors. In brackets: 95 % confidence "
        f"intervals over subjects (bootstrap). Made by `{results.command}`; the sha256 of the model's graph begins "
        f"with `{results.graph_sha256[:16]}`.",
        "## Explained variance\n\n" + _methods(results),
    ]
    if ours.gap_closed is not None:
        parts.append(
            f"The model closes {_percent(ours.gap_closed)} of the gap between the training subjects' FIR-Wiener filter "
            "and the Bayes oracle, which knows each subject's own head."
        )
    parts.append("## Subject by subject\n\n" + _by_subject(results))
    parts.append("## Sensors, bands, responses\n\n" + _details(results))
    parts += _figure(shown, "traces.png", "MEG of one subject and its estimate, with 90 % intervals", results)
    parts += _figure(shown, "topographies.png", "Mean fields over subjects at the evoked responses", results)
    if results.decoding:
        rows = [[source, _interval(auc)] for source, auc in results.decoding.items()]
        parts.append(
            "## Faces against scrambled faces\n\nArea under the ROC curve of single trials, by a linear discriminant "
            "that was fitted to the other subjects.\n\n" + _table(["from", "AUC"], rows)
        )
    if results.calibration:
        parts.append("## Intervals\n\n" + _coverage(results))
        parts += _figure(shown, "calibration.png", "How many values lie inside the intervals", results)
    if results.headsets:
        rows = [[str(h.electrodes), _interval(h.model), _interval(h.baseline)] for h in results.headsets]
        parts.append("## Fewer electrodes\n\n" + _table(["electrodes", "model", "FIR-Wiener for these"], rows))
        parts += _figure(shown, "headsets.png", "Explained variance by number of electrodes", results)
    if results.shifts:
        parts.append("## Subjects unlike the training data\n\n" + _shifts(results))
    if results.own_recordings:
        parts.append("## Calibrated to a subject's own recording\n\n" + _calibrated(results))
        parts += _figure(shown, "own_recordings.png", "Calibration curve against ridge", results)
    if results.learning:
        parts += ["## Learning curves", *_figure(shown, "learning.png", "More heads, more parameters", results)]
    parts.append("## Size and speed\n\n" + _speed(results))
    return "\n\n".join(part for part in parts if part) + "\n"


def _methods(results: Results) -> str:
    rows = []
    for name in sorted(results.methods, key=lambda name: list(_EXPLAINED).index(name)):
        method = results.methods[name]
        gap = method.gap_closed
        closed = _percent(gap) if gap is not None and (gap.value >= 0 or name == MODEL) else ""
        shown = f"**{name}**" if name == MODEL else name
        rows.append([shown, _interval(method.metrics["explained"]), closed, _EXPLAINED[name]])
    return _table(["method", "explained variance", "gap closed", "what it is"], rows)


def _by_subject(results: Results) -> str:
    """Explained variance of each, and on how many the model explains less than what it must beat."""
    names = [name for name in (BASELINE, "own FIR-Wiener", OWN_WIENER, BAYES, MODEL) if name in results.methods]
    explained = {name: results.methods[name].explained for name in names}
    rows = []
    for subject in results.subjects:
        row = [f"{explained[name][subject]:.3f}" for name in names]
        if BAYES in explained:
            row.append(f"{100 * gap_closed(*(explained[name][subject] for name in (MODEL, BASELINE, BAYES))):.1f} %")
        rows.append([subject, *row])
    below = {
        name: sum(explained[MODEL][subject] < explained[name][subject] for subject in results.subjects)
        for name in names
        if name not in {MODEL, BAYES}
    }
    n = len(results.subjects)
    rows.append(
        ["**model explains less on**", *(f"{below[name]} of {n}" if name in below else "" for name in names), ""]
    )
    columns = ["", *names, *(["gap closed"] if BAYES in explained else [])]
    return _table(columns, [row[: len(columns)] for row in rows])


def _speed(results: Results) -> str:
    effort, speed = results.effort, results.streaming
    trained = "" if effort.windows_per_s is None else f", at {effort.windows_per_s:.0f} windows a second"
    return (
        f"{effort.parameters:,} parameters; heads trained on: {effort.heads}{trained}. A hop in ONNX Runtime on one "
        f"thread: {speed.p50_ms:.2f} ms (p50), {speed.p99_ms:.2f} ms (p99); {speed.windows_per_s:.0f} windows a "
        "second, of processor time on the machine that evaluated. ONNX Runtime deviates from PyTorch by "
        f"{speed.parity:.1g} of an output's RMS at most."
    )


def _details(results: Results) -> str:
    names = [name for name in (MODEL, BASELINE, "own FIR-Wiener", BAYES) if name in results.methods]
    metrics = {
        "explained variance, magnetometers": "explained mag",
        "explained variance, gradiometers": "explained grad",
        "median r, magnetometers": "r mag",
        "median r, gradiometers": "r grad",
        **{
            f"explained variance, {band} ({low:g} to {high:g} Hz)": f"explained {band}"
            for band, (low, high) in BANDS_HZ.items()
        },
        "explained variance, trial-locked mean removed": "explained without trial mean",
        "r of the field at M100": "topography M100",
        "r of the field at M170": "topography M170",
    }
    rows = [
        [what, *(_interval(results.methods[name].metrics.get(metric)) for name in names)]
        for what, metric in metrics.items()
        if metric in results.methods[MODEL].metrics
    ]
    return _table(["", *names], rows)


def _coverage(results: Results) -> str:
    metrics = results.methods[MODEL].metrics
    true = f", and {_percent(metrics['coverage'])} of the noise-free MEG" if results.data == "simulated" else ""
    return (
        f"90 % intervals hold {_percent(metrics['coverage recorded'])} of the MEG as recorded, sensor noise included, "
        f"which they are made for{true}."
    )


def _shifts(results: Results) -> str:
    rows = [
        [
            name,
            _interval(shift.model),
            _interval(shift.baseline),
            _interval(shift.oracle),
            f"{shift.worst_difference:+.3f}",
            "" if shift.novel is None else _percent(shift.novel),
        ]
        for name, shift in results.shifts.items()
    ]
    worst = min(shift.worst_difference for shift in results.shifts.values())
    said = (
        "Explained variance, on subjects that differ from the training data in one respect each. Where the model does "
        f"worst, it explains {abs(worst):.3f} {'less' if worst < 0 else 'more'} than FIR-Wiener."
    )
    columns = [
        "shift",
        "model",
        "FIR-Wiener",
        "Bayes oracle",
        "model less FIR-Wiener, worst subject",
        "hops flagged as novel",
    ]
    return f"{said}\n\n{_table(columns, rows)}"


def _calibrated(results: Results) -> str:
    """A table for each kind of subjects."""
    parts = [
        "Explained variance after so many seconds of each subject's own EEG and MEG, by another recording than the one "
        "that all methods are judged on: the model, calibrated and not, and ridge regression fitted to the same "
        "seconds. Where calibration refuses, the model counts as it was. "
        f"The gap is the one from {BASELINE} to the {BAYES}."
    ]
    columns = ["own recording", "model", "model, calibrated", "ridge on the same", "gap closed, calibrated", "refused"]
    for shift, curve in results.own_recordings.items():
        rows = [
            [
                f"{point.seconds:g} s",
                _interval(point.model),
                _interval(point.calibrated),
                _interval(point.ridge),
                "" if point.gap_closed is None else _percent(point.gap_closed),
                f"{point.refused} of {point.model.n}",
            ]
            for point in curve
        ]
        parts += [f"{_kind(shift, curve)}:", _table(columns, rows)]
    return "\n\n".join(parts)


def _kind(shift: str, curve: Sequence[CurvePoint]) -> str:
    """Whose curve it is."""
    what = "heads like those of the training data" if shift == NO_SHIFT else shift
    return f"{what[:1].upper()}{what[1:]} ({curve[0].model.n})"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _interval(interval: Interval | None) -> str:
    if interval is None:
        return ""
    spread = "" if interval.ci95 is None else f" [{interval.ci95[0]:.3f}, {interval.ci95[1]:.3f}]"
    return f"{interval.value:.3f}{spread}"


def _percent(interval: Interval) -> str:
    spread = "" if interval.ci95 is None else f" [{100 * interval.ci95[0]:.1f}, {100 * interval.ci95[1]:.1f}]"
    return f"{100 * interval.value:.1f} %{spread}"


def _figure(shown: set[str], name: str, caption: str, results: Results) -> list[str]:
    return [f"![{caption}, {results.data}]({name})"] if name in shown else []


def _target(results: Results) -> str:
    """What an estimate is judged against: the noise-free MEG of a simulation, or the recording."""
    return "true" if results.data == "simulated" else "recorded"


def _titled(results: Results, title: str, size: tuple[float, float], n_subjects: int | None = None) -> Figure:
    n = n_subjects or len(results.subjects)
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(f"{results.model}: {title}\n({results.data}, {n} subject{'s' if n > 1 else ''})", fontsize=10)
    return figure


def _png(figure: Figure) -> bytes:
    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=85)
    # With a palette it takes a third of the bytes: the card lies in the bundle.
    Image.open(drawn).convert("RGB").quantize(_COLOURS).save(small, "png", optimize=True)
    return small.getvalue()


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
    if results.data == "simulated":
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
        axes.set_title(_kind(shift, curve), fontsize=9)
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
            xlabel=_AMOUNTS[kind], ylabel=what, xscale="log", xticks=amounts, xticklabels=map("{:,}".format, amounts)
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
