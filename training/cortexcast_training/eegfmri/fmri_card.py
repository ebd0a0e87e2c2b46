"""The card of an autoencoder: Markdown, a table of its outputs and plots, of nothing but ``FmriResults``."""

from __future__ import annotations

from collections.abc import Collection

from cortexcast_training.eegfmri.fmri_methods import (
    ALPHA,
    CEILING,
    GROUP,
    MODEL,
    NULL,
    REDUCED,
    RIDGE,
    WITH_BOLD,
    ZERO,
)
from cortexcast_training.eegfmri.fmri_plots import PLOTS, plots
from cortexcast_training.eegfmri.fmri_results import FmriResults
from cortexcast_training.eegfmri.moments import STIMULUS_LAG_S
from cortexcast_training.markdown import figure, interval, percent, table

CARD, OUTPUTS = "card.md", "outputs.tsv"
FILES = frozenset({CARD, OUTPUTS, *PLOTS})
"""What a card may be made of."""

_EXPLAINED = {
    ZERO: "no change at all",
    GROUP: "the mean of others who watched the same film; sees no EEG",
    ALPHA: "over all electrodes, through the canonical hemodynamic response",
    RIDGE: "the EEG finger-print: power of every electrode and band over 20 s, fitted to the training subjects",
    REDUCED: "likewise, of rank 16",
    MODEL: "from EEG alone; never saw this subject",
    NULL: "turned in time, the mean over 20 turns; more than nothing is leakage",
    WITH_BOLD: "what the latent keeps of the BOLD itself: reconstruction, not prediction",
    CEILING: "what electrodes can see of it, from the simulation: the end of what EEG can tell",
}
"""What each method is, in the order of the table."""

_OF_STIMULUS = {WITH_BOLD: "as with a scanner: from EEG and the BOLD itself"}

_NOT_RECORDED = (
    "**Simulated.** Every number and every plot of this card comes from simulated subjects. "
    "Real brains are not simulations: expect less. On real recordings, honest values of R² are 0.03 to 0.08."
)
_WHAT = {
    "fmri": "the part of BOLD that EEG predicts, parcel by parcel",
    "stimulus": f"what was seen {STIMULUS_LAG_S:g} s before, as a point in a semantic space",
}
_METRICS = {
    "r": "r",
    "r2": "R²",
    "r without global signal": "r, global signal removed",
    "connectivity error": "connectivity error",
    "crps": "CRPS, %",
    "two-way identification": "two-way identification",
    "two against two": "two against two",
    "top 1": "label seen is the likeliest",
    "top 3": "label seen is among three",
}


def card(results: FmriResults) -> dict[str, bytes]:
    """The card's files by name."""
    files = {OUTPUTS: _outputs(results).encode(), **plots(results)}
    return {CARD: _markdown(results, files).encode(), **files}


def _markdown(results: FmriResults, shown: Collection[str]) -> str:
    n = len(results.subjects)
    label = "SIMULATED data" if results.data == "simulated" else "recorded data"
    unseen = (
        "films that no training subject watched" if results.unseen_films else "films that training subjects watched"
    )
    parts = [
        f"# {results.model}, evaluated on {label}",
        *([_NOT_RECORDED] if results.data == "simulated" else []),
        f"The model estimates {_WHAT[results.product]}, from EEG alone, and holds no more information than the EEG.",
        f"{n} held-out {results.data} subjects ({', '.join(results.subjects)}) who watched {unseen} "
        f"({', '.join(results.films)}): {results.n_volumes} volumes in all, one every {results.tr_s:g} s. In brackets: "
        f"95 % confidence intervals over subjects. Made by `{results.command}`; the sha256 of the model's "
        f"graph begins with `{results.graph_sha256[:16]}`.",
        "## Against everything else\n\n" + _methods(results),
        *figure(shown, "methods.png", f"r of every method, {results.data}"),
        _headline(results),
        *figure(shown, "subjects.png", f"r of each subject, {results.data}"),
        "## What the latent keeps\n\n" + _reconstruction(results),
        "## Outputs one by one\n\n" + _significant(results),
        *figure(shown, "map.png", f"r of each parcel, {results.data}"),
        *figure(shown, "ceiling.png", f"r of each parcel against its ceiling, {results.data}"),
        *figure(shown, "traces.png", f"Recorded and estimated, with 90 % intervals, {results.data}"),
        "## Intervals\n\n" + f"90 % intervals hold {percent(results.intervals['0.9'])} of what was recorded.",
        *figure(shown, "intervals.png", f"How many values lie inside the intervals, {results.data}"),
    ]
    if results.conditions:
        parts.append("## Otherwise than in training\n\n" + _conditions(results))
    parts.append("## Size and speed\n\n" + _speed(results))
    return "\n\n".join(part for part in parts if part) + "\n"


def _methods(results: FmriResults) -> str:
    metrics = [metric for metric in _METRICS if any(metric in each.metrics for each in results.methods.values())]
    said = _EXPLAINED | (_OF_STIMULUS if results.product == "stimulus" else {})
    rows = []
    for name in (name for name in said if name in results.methods):
        values = [interval(results.methods[name].metrics.get(metric)) for metric in metrics]
        rows.append([f"**{name}**" if name == MODEL else name, *values, said[name]])
    note = (
        "Means over outputs. Two-way identification: of one estimate and two segments of a film, how often the one "
        "that was shown is more like it; two against two: how often two estimates and two segments are matched "
        "rightly. By chance both are 0.5."
        if "two against two" in metrics
        else "Connectivity error: root mean square, over pairs of parcels, of the difference of their correlations; "
        "what an estimate misses counts as noise of each parcel alone, so that of no change at all is what all "
        "correlations amount to."
    )
    return f"{table(['method', *(_METRICS[metric] for metric in metrics), 'what it is'], rows)}\n\n{note}".strip()


def _headline(results: FmriResults) -> str:
    rows = [
        [name, interval(results.more_than[name])]
        for name in (RIDGE, REDUCED, GROUP, ALPHA, NULL)
        if name in results.more_than
    ]
    parts = [table(["r of the model less that of", "difference"], rows)]
    if results.ceiling_share is not None:
        parts.append(
            f"The model reaches {percent(results.ceiling_share)} of the ceiling, r of what electrodes can see. Of the "
            f"variance that this explains it explains {100 * _r2(results, MODEL) / _r2(results, CEILING):.0f} %."
        )
    return "\n\n".join(parts)


def _r2(results: FmriResults, name: str) -> float:
    return results.methods[name].metrics["r2"].value


def _reconstruction(results: FmriResults) -> str:
    """A row for what is seen, a column for what is given back."""
    cells = {tuple(name.split(" from ")): value for name, value in results.reconstruction.items()}
    given_back, seen = (list(dict.fromkeys(cell[side] for cell in cells)) for side in (0, 1))
    rows = [[f"{what}", *(interval(cells[name, what]) for name in given_back)] for what in seen]
    return "Share of each modality's variance that is given back.\n\n" + table(["from", *given_back], rows)


def _significant(results: FmriResults) -> str:
    share = sum(output.significant for output in results.outputs) / len(results.outputs)
    return (
        f"{100 * share:.0f} % of {len(results.outputs)} outputs correlate more than estimates of another time do, at a "
        f"false discovery rate of 5 % (circular shifts of 20 s or more). `{OUTPUTS}` has r and R² of each."
    )


def _conditions(results: FmriResults) -> str:
    rows = [
        [name, str(each.n_subjects), interval(each.model), interval(each.ridge), interval(each.ceiling)]
        for name, each in results.conditions.items()
    ]
    return table(["", "subjects", "r of the model", "r of the lagged ridge", "ceiling"], rows)


def _speed(results: FmriResults) -> str:
    latent, speed = results.latent, results.streaming
    return (
        f"{results.parameters:,} parameters; subjects trained on: {results.train_subjects}; EEG alone moves "
        f"{latent.active} of {latent.dimensions} dimensions of the latent. A hop in ONNX Runtime on one thread: "
        f"{speed.p50_ms:.2f} ms (p50), {speed.p99_ms:.2f} ms (p99), of processor time on the machine that evaluated. "
        f"ONNX Runtime deviates from PyTorch by {speed.parity:.1g} of an output's RMS at most."
    )


def _outputs(results: FmriResults) -> str:
    columns = ["name", "r", "r2", "ceiling_r", "significant"]
    rows = [
        [each.name, *(_number(value) for value in (each.r, each.r2, each.ceiling_r)), str(each.significant).lower()]
        for each in results.outputs
    ]
    return "\n".join("\t".join(row) for row in (columns, *rows)) + "\n"


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.4f}"
