"""The model card: Markdown and plots, of nothing but ``Results``."""

from __future__ import annotations

from collections.abc import Collection

from cortexcast_training.card_plots import AMOUNTS, PLOTS, kind, plots
from cortexcast_training.evaluate import BASELINE, EVOKED, MODEL, NULL
from cortexcast_training.held_out import BAYES, OWN_WIENER, STATE_KNOWN
from cortexcast_training.markdown import figure, interval, percent, table
from cortexcast_training.metrics import BANDS_HZ, gap_closed
from cortexcast_training.results import Results

CARD = "card.md"
FILES = frozenset({CARD, *PLOTS})
"""What a card may be made of."""

_EXPLAINED = {
    "zero": "no estimate",
    EVOKED: "the mean response of the other subjects at each picture: what timing alone explains, without EEG",
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
_MEANING = "The model estimates the part of MEG that EEG predicts, and holds no more information than the EEG."


def card(results: Results) -> dict[str, bytes]:
    """The card's files by name: ``card.md`` and the plots that it shows."""
    files = plots(results)
    return {CARD: _markdown(results, files).encode(), **files}


def _markdown(results: Results, shown: Collection[str]) -> str:
    ours = results.methods[MODEL]
    label = f"{results.data} data" if results.data == "recorded" else "SIMULATED data"
    parts = [f"# {results.model}, evaluated on {label}"]
    if results.data == "simulated":
        parts.append(_NOT_RECORDED)
    n = len(results.subjects)
    parts += [
        f"{_MEANING} {_TRAINED_ON[results.trained_on]}",
        f"{n} held-out {results.data} subjects ({', '.join(results.subjects)}), {results.judged_s:.0f} s in all, "
        f"{results.judged_s * results.rate_hz:.0f} samples of each of 306 sensors. In brackets: 95 % confidence "
        f"intervals over subjects. Made by `{results.command}`; the sha256 of the model's graph begins "
        f"with `{results.graph_sha256[:16]}`.",
        "## Explained variance\n\n" + _methods(results),
    ]
    if ours.gap_closed is not None:
        parts.append(
            f"The model closes {percent(ours.gap_closed)} of the gap between the training subjects' FIR-Wiener filter "
            "and the Bayes oracle, which knows each subject's own head."
        )
    parts.append("## Subject by subject\n\n" + _by_subject(results))
    parts.append("## Sensors, bands, responses\n\n" + _details(results))
    parts += figure(shown, "traces.png", f"MEG of one subject and its estimate, with 90 % intervals, {results.data}")
    parts += figure(shown, "topographies.png", f"Mean fields over subjects at the evoked responses, {results.data}")
    if results.decoding:
        rows = [[source, interval(auc)] for source, auc in results.decoding.items()]
        parts.append(
            "## Faces against scrambled faces\n\nArea under the ROC curve of single trials, by a linear discriminant "
            "that was fitted to the other subjects.\n\n" + table(["from", "AUC"], rows)
        )
    if results.calibration:
        parts.append("## Intervals\n\n" + _coverage(results))
        parts += figure(shown, "calibration.png", f"How many values lie inside the intervals, {results.data}")
    if results.headsets:
        rows = [[str(h.electrodes), interval(h.model), interval(h.baseline)] for h in results.headsets]
        parts.append("## Fewer electrodes\n\n" + table(["electrodes", "model", "FIR-Wiener for these"], rows))
        parts += figure(shown, "headsets.png", f"Explained variance by number of electrodes, {results.data}")
    if results.shifts:
        parts.append("## Subjects unlike the training data\n\n" + _shifts(results))
    if results.own_recordings:
        parts.append("## Calibrated to a subject's own recording\n\n" + _calibrated(results))
        parts += figure(shown, "own_recordings.png", f"Calibration curve against ridge, {results.data}")
    if results.learning:
        parts.append("## Learning curves\n\n" + _learning(results))
        parts += figure(shown, "learning.png", f"More heads, more parameters, {results.data}")
    parts.append("## Size and speed\n\n" + _speed(results))
    return "\n\n".join(part for part in parts if part) + "\n"


def _methods(results: Results) -> str:
    rows = []
    for name in sorted(results.methods, key=lambda name: list(_EXPLAINED).index(name)):
        method = results.methods[name]
        gap = method.gap_closed
        closed = percent(gap) if gap is not None and (gap.value >= 0 or name == MODEL) else ""
        shown = f"**{name}**" if name == MODEL else name
        rows.append([shown, interval(method.metrics["explained"]), closed, _EXPLAINED[name]])
    return table(["method", "explained variance", "gap closed", "what it is"], rows)


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
    return table(columns, [row[: len(columns)] for row in rows])


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
        "r of mean responses to those recorded in other trials": "responses",
        "the noise ceiling: the same of an estimate without error": "responses ceiling",
        "power of the empty room in proportion: not to be explained": "noise",
    }
    rows = []
    for what, metric in metrics.items():
        if ours := results.methods[MODEL].metrics.get(metric):
            of_some = f" (n = {ours.n})" if ours.n < len(results.subjects) else ""
            values = [interval(results.methods[name].metrics.get(metric)) for name in names]
            rows.append([what + of_some, *values])
    return table(["", *names], rows)


def _coverage(results: Results) -> str:
    metrics = results.methods[MODEL].metrics
    true = f", and {percent(metrics['coverage'])} of the noise-free MEG" if results.judged_by_truth else ""
    return (
        f"90 % intervals hold {percent(metrics['coverage recorded'])} of the MEG as recorded, sensor noise included, "
        f"which they are made for{true}."
    )


def _shifts(results: Results) -> str:
    rows = [
        [
            name,
            interval(shift.model),
            interval(shift.baseline),
            interval(shift.oracle),
            f"{shift.worst_difference:+.3f}",
            "" if shift.novel is None else percent(shift.novel),
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
    return f"{said}\n\n{table(columns, rows)}"


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
                interval(point.model),
                interval(point.calibrated),
                interval(point.ridge),
                "" if point.gap_closed is None else percent(point.gap_closed),
                f"{point.refused} of {point.model.n}",
            ]
            for point in curve
        ]
        parts += [f"{kind(shift, curve)}:", table(columns, rows)]
    return "\n\n".join(parts)


def _learning(results: Results) -> str:
    rows = [
        [
            f"{point.amount:,} {AMOUNTS[point.of]}",
            interval(point.explained),
            "" if point.gap_closed is None else percent(point.gap_closed),
        ]
        for point in results.learning
    ]
    return table(["of models alike in all else", "explained variance", "gap closed"], rows)
