"""What masking found, to look at: one HTML page that needs no other file, and a few lines for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import mne
import numpy as np
from matplotlib.figure import Figure
from nibabel.nifti1 import Nifti1Image
from nilearn.plotting import plot_stat_map
from numpy.typing import NDArray

from cortexcast_training.eegfmri.bands import BANDS
from cortexcast_training.eegfmri.parcels import parcels
from cortexcast_training.eegfmri.runs import HOP_S, Run
from cortexcast_training.eegfmri.simulator import ELECTRODES
from cortexcast_training.leadfield import electrode_positions
from cortexcast_training.masking.checks import SHARES
from cortexcast_training.masking.context import UNKNOWN, Context
from cortexcast_training.masking.explain import film_hops
from cortexcast_training.masking.operators import OPERATORS
from cortexcast_training.masking.results import Checked, Results, Side

Floats = NDArray[np.float64]

_CUTS = (-30, -10, 10, 30, 50)
_IN_TABLES = 10
_AS_LABELS = 3
"""Labels that are named as the ones that findings are of most."""


def summary(results: Results, films: Mapping[str, tuple[Side, Context]], brain: Side) -> list[str]:
    """What was found, how sure it is, and what was checked: lines for a terminal, and the page's beginning."""
    kind = "parcels" if results.resolution == "parcel" else "voxels"
    lines = [
        f"{len(results.runs)} runs of {max(each.subjects for each in results.checked)} subjects, "
        f"{results.data.upper() if results.data == 'simulated' else results.data}; "
        + ", ".join(f"{product}: {model}" for product, model in results.models.items()),
        f"Where there is nothing, {1 - results.level:.0%} of reports find nothing; of what a map finds, "
        f"{results.level:.0%} is there by chance on average.",
        "What EEG and BOLD both owe to the film counts, too: nothing here tells that from what they owe to each other.",
    ]
    for each in results.checked:
        where = f"timestamps of {each.film}" if each.side == "eeg" else kind
        holds = "of subjects like these" if each.of_population else "of these recordings alone"
        of_any = f"that any does: p = {each.p_of_any:.3g}"
        lines.append(f"{each.product}: {each.found} of {each.units} {where} matter, {holds} ({of_any})")
        lines.append(f"  checked: {_checks(each)}")
    for film, (_, known) in films.items():
        if missing := known.missing:
            lines.append(f"Nothing is known of {', '.join(missing)} during {film}.")
    lines += [f"  {line}" for line in _where(films, brain)] if len(results.models) > 1 else []
    lines.append(
        f"In both models: {results.timestamps_in_both} timestamps, {results.regions_in_both} {kind}"
        if len(results.models) > 1
        else "One model alone was asked."
    )
    return lines


def write_report(
    path: Path,
    results: Results,
    lines: Sequence[str],
    films: Mapping[str, tuple[Side, Context]],
    runs: Sequence[Run],
    brain: Side,
    parcel: NDArray[np.int64],
    images: Mapping[str, Nifti1Image],
) -> None:
    """Write the page.

    Args:
        path: of the page; what is there is replaced.
        results: in numbers.
        lines: of ``summary``.
        films: timestamps, and what is known of them.
        runs: of all films.
        brain: parcels or voxels.
        parcel: ``(n,)``, that each of these belongs to.
        images: evidence in the brain by product, zero where nothing was found.
    """
    of_what = f", {results.data.upper()}" if results.data == "simulated" else ""
    report = mne.Report(title=f"Which moments of EEG and which parts of the brain matter{of_what}", verbose="error")
    report.add_html(_lines(lines), "What was found")
    for film, (side, known) in films.items():
        report.add_figure(_timeline(side, known), f"Timestamps of {film}", caption="Evidence over time; found: shaded")
        names = {"s": [f"{hop * HOP_S:.2f}" for hop in side.units], "seen": known.labels, "event": known.events}
        report.add_html(_strongest(side, names), f"Timestamps of {film} that matter most")
        if len(side.maps) > 1 and side.in_both.any():
            some = [run for run in runs if run.film == film]
            report.add_figure(
                _topographies(side, some), f"EEG of {film}", caption="Power when found in both, less the rest"
            )
    for product, image in images.items():
        caption = "Evidence, standard deviations of chance, where it was found"
        if np.asarray(image.dataobj).any():
            report.add_figure(_brain(image), f"Brain, {product}", caption=caption)
    known_parcels = parcels()
    names = {
        "number": [str(unit) for unit in brain.units],
        "parcel": [known_parcels.names[own] for own in parcel],
        "area": [known_parcels.regions[own] for own in parcel],
    }
    report.add_html(_strongest(brain, names), "Parts of the brain that matter most")
    for name, side in (*((film, side) for film, (side, _) in films.items()), ("brain", brain)):
        report.add_figure(_curves(side), f"Deletion and insertion, {name}", caption="In the order of others' evidence")
    report.add_html(_checked_table(results.checked), "Checks")
    report.add_html(_lines([results.command, results.settings, *results.runs]), "How it was made")
    report.save(path, open_browser=False, overwrite=True, verbose="error")


def _lines(lines: Sequence[str]) -> str:
    return "<pre style='white-space: pre-wrap'>" + "\n".join(escape(line) for line in lines) + "</pre>"


def _where(films: Mapping[str, tuple[Side, Context]], brain: Side) -> list[str]:
    lines = []
    for film, (side, known) in films.items():
        labels = np.array(known.labels)[side.in_both]
        if len(labels):
            every = np.array(known.labels)
            names, counts = np.unique(labels, return_counts=True)
            most = ", ".join(
                f"{names[at]} ({counts[at]} of {(every == names[at]).sum()})" for at in np.argsort(-counts)[:_AS_LABELS]
            )
            lines.append(
                f"in both, {film}: most of them show {most}; {known.outlying[side.in_both].mean():.0%} outlying"
            )
    strongest = np.argsort(-np.mean([each.z for each in brain.maps.values()], axis=0))
    strongest = strongest[brain.in_both[strongest]][:_AS_LABELS]
    if len(strongest) and len(brain.units) <= len(parcels().names):
        lines.append("in both, most of all: " + ", ".join(parcels().names[brain.units[at]] for at in strongest))
    return lines


def _checks(each: Checked) -> str:
    passed = sum(curves.passed for curves in each.deletion.values())
    of_order = f"with {passed} of {len(OPERATORS)} operators the order that others tell beats all by chance"
    return "; ".join(
        [
            f"operators agree by r = {_number(each.agreement)} ({_number(each.agreement_by_chance)} by chance)",
            of_order if each.deletion else "nobody else has the same units, to tell an order by",
            f"with random weights r = {_number(each.random_weights_r)} and {each.random_weights_found} found",
        ]
    )


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.2f}"


def _timeline(side: Side, known: Context) -> Figure:
    figure = Figure(figsize=(12, 2.2 * (len(side.maps) + 1) + 1), layout="constrained")
    heights = [*[2.2] * len(side.maps), 0.7, 2.2]
    *rows, seen, bands = figure.subplots(len(heights), sharex=True, height_ratios=heights)
    times = side.units * HOP_S
    for axes, (product, each) in zip(rows, side.maps.items(), strict=True):
        axes.plot(times, each.z, color="black", lw=0.7)
        axes.fill_between(times, *axes.get_ylim(), where=each.found, color="tab:orange", alpha=0.4, lw=0)
        axes.set_ylabel(f"{product}, SD")
        axes.margins(x=0)
    span = float(times[0]), float(times[-1])
    _, codes = np.unique(known.labels, return_inverse=True)
    seen.imshow(codes[np.newaxis], aspect="auto", cmap="tab20", interpolation="nearest", extent=(*span, 0, 1))
    for name, there, colour in (
        ("event", np.array(known.events) != UNKNOWN, "black"),
        ("moved or outlying", (known.moved > 0) | (known.outlying > 0), "red"),
    ):
        seen.plot(times[there], np.full(there.sum(), 1.2), "|", color=colour, label=name, clip_on=False)
    seen.set(yticks=(), ylabel="seen")
    seen.legend(loc="lower right", bbox_to_anchor=(1, 1.1), ncols=2, fontsize=7, frameon=False)
    bands.imshow(
        known.power.T, aspect="auto", origin="lower", cmap="RdBu_r", vmin=-2, vmax=2,
        extent=(*span, -0.5, len(BANDS) - 0.5),
    )  # fmt: skip
    bands.set(yticks=range(len(BANDS)), yticklabels=list(BANDS), xlabel="time since the film began, s")
    return figure


def _topographies(side: Side, runs: Sequence[Run]) -> Figure:
    places = electrode_positions()
    info = mne.create_info(list(ELECTRODES), 1.0, "eeg")
    info.set_montage(mne.channels.make_dig_montage({name: places[name] for name in ELECTRODES}), verbose="error")
    difference = np.mean([_difference(side, run) for run in runs], axis=0)
    figure = Figure(figsize=(12, 2), layout="constrained")
    limit = float(np.abs(difference).max())
    for axes, band, values in zip(figure.subplots(1, len(BANDS)), BANDS, difference.T, strict=True):
        mne.viz.plot_topomap(values, info, axes=axes, show=False, vlim=(-limit, limit), contours=0)
        axes.set_title(band, fontsize=8)
    return figure


def _difference(side: Side, run: Run) -> Floats:
    """Of log power between timestamps found in both nets and all others, ``(n_electrodes, n_bands)``, in its SD."""
    power = run.power[np.searchsorted(film_hops(run), side.units)]
    found = side.in_both
    return np.asarray((power[found].mean(axis=0) - power[~found].mean(axis=0)) / power.std(axis=0), np.float64)


def _brain(image: Nifti1Image) -> Figure:
    figure = Figure(figsize=(12, 3))
    largest = float(np.abs(np.asarray(image.dataobj)).max()) or 1.0
    plot_stat_map(
        image, figure=figure, display_mode="z", cut_coords=_CUTS, draw_cross=False, threshold=1e-3, vmax=largest
    )
    return figure


def _curves(side: Side) -> Figure:
    figure = Figure(figsize=(12, 2.6 * len(side.maps)), layout="constrained")
    grid = figure.subplots(len(side.maps), len(OPERATORS), sharex=True, squeeze=False)
    for row, (product, each) in zip(grid, side.maps.items(), strict=True):
        for axes, operator in zip(row, OPERATORS, strict=True):
            axes.set_title(f"{product}, {operator}", fontsize=9)
            curves = each.curves.get(operator)
            if curves is None:
                axes.text(0.5, 0.5, "no other has the same units", ha="center", transform=axes.transAxes)
                continue
            for name, colour in (("deletion", "tab:red"), ("insertion", "tab:blue"), ("random", "grey")):
                axes.plot(SHARES, vars(curves)[name].T, color=colour, lw=0.5 if name == "random" else 1.5)
        row[0].set_ylabel("told, nats a volume")
    figure.suptitle("red: deletion; blue: insertion; grey: orders by chance", fontsize=9)
    grid[-1, 1].set_xlabel("share of units that are masked")
    return figure


def _checked_table(checked: Sequence[Checked]) -> str:
    head = ["model", "masked", "units", "found", "p that any matters", "holds of", "operators agree, r", "by chance"]
    head += ["of found", "random weights, r", "found"]
    rows = [
        [
            each.product,
            each.film or "brain",
            str(each.units),
            str(each.found),
            f"{each.p_of_any:.3g}",
            "population" if each.of_population else "these recordings",
            _number(each.agreement),
            _number(each.agreement_by_chance),
            _number(each.agreement_of_found),
            _number(each.random_weights_r),
            str(each.random_weights_found),
        ]
        for each in checked
    ]
    return _table(head, rows)


def _strongest(side: Side, names: Mapping[str, Sequence[str]]) -> str:
    """Those that matter most, of all that any net finds."""
    mean = np.mean([each.z for each in side.maps.values()], axis=0)
    found = np.any([each.found for each in side.maps.values()], axis=0)
    most = [at for at in np.argsort(-mean) if found[at]][:_IN_TABLES]
    rows = [
        [
            *(values[at] for values in names.values()),
            *(f"{each.z[at]:.2f} (q = {each.q[at]:.3g})" for each in side.maps.values()),
            *(["yes" if side.in_both[at] else "no"] if len(side.maps) > 1 else []),
        ]
        for at in most
    ]
    if not rows:
        return "<p>None is found.</p>"
    both = ["found in both"] if len(side.maps) > 1 else []
    return _table([*names, *(f"evidence of {product}, SD" for product in side.maps), *both], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    heads = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    return f"<table class='table'><tr>{heads}</tr>" + "".join(f"<tr>{row}</tr>" for row in cells) + "</table>"
