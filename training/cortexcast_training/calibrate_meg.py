"""From a wearer's own recordings to a bundle for that head."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from cortexcast_models.bundle import Bundle, BundleError, read_bundle
from cortexcast_models.manifest import BundleName, Metric
from cortexcast_training.calibration import Calibrated, CalibrationError, Gain, Say, calibrate, material
from cortexcast_training.head_modes import N_HEADS, draw_shown, head_modes
from cortexcast_training.manifest_fields import About
from cortexcast_training.prepare import PrepareSettings, prepare
from cortexcast_training.recording import Recording
from cortexcast_training.recording_file import read_recording
from cortexcast_training.train_meg import BUNDLE
from cortexcast_training.trained import FILE, Trained, export_trained, load_trained
from cortexcast_training.transformer_bundle import Hop


def calibrate_bundle(
    recordings: Sequence[Path],
    model: str,
    out: Path,
    name: str | None,
    command: str,
    say: Say = lambda _what, _done, _of: None,
    n_heads: int = N_HEADS,
) -> tuple[Bundle, Calibrated, float]:
    """Calibrate a model to the head of these recordings, and write the bundle.

    Args:
        recordings: simultaneous EEG and MEG of one wearer, .fif.
        model: a bundle that holds what it was trained as: the name of a shipped one, or a folder; or the folder of
            `cortexcast train`.
        out: the new bundle's folder.
        name: of the new bundle; None takes the model's and ``-calibrated``.
        command: that leads here, for the manifest.
        say: hears how far it is.
        n_heads: to draw, to learn how heads vary.

    Returns:
        The bundle, what came of the calibration, and how many seconds of good data it is of.

    Raises:
        CalibrationError: the recordings are too short, or calibration gains nothing: no bundle is written.
        RecordingError: a recording cannot be used.
        BundleError: there is no such model, or it cannot be calibrated, or ``out`` holds something else.
    """
    bundle, trained = _open(model)
    manifest = bundle.manifest
    name = _checked(name or f"{manifest.name}-calibrated")
    settings = PrepareSettings(preprocessing=manifest.preprocessing, hop=manifest.hop)
    read, prepared = [], []
    for done, path in enumerate(recordings):
        say("reading", done, len(recordings))
        read.append(_described(recording := read_recording(path)))
        prepared.append(prepare(recording, settings))
    net, units = trained.hop.net, trained.units
    own = material(net, prepared, units)
    heads = draw_shown(n_heads, lambda done, of: say("drawing heads", done, of))
    calibrated = calibrate(net, own, head_modes(heads, net.basis.double().numpy(), units), say)
    gain = calibrated.gain
    if not gain.is_sure:
        raise CalibrationError(
            f"calibration gains nothing that is sure: by cross-validation it explains {gain.before.mean():.3f} of the "
            f"variance before and {gain.after.mean():.3f} after: use {manifest.name} as it is, or record longer"
        )
    is_simulated = all(was_simulated for _, was_simulated in read)
    subjects = tuple(sorted({f"{each.subject} (calibrated to)" for each in prepared}))
    novelty = deepcopy(trained.hop.novelty)
    novelty.know(own.context)
    mine = replace(
        trained,
        hop=Hop(calibrated.net, novelty, units),
        train_subjects=(*trained.train_subjects, *subjects),
        simulated=trained.simulated and is_simulated,
    )
    good_s = float(sum(each.good.sum() * each.hop / each.rate_hz for each in prepared))
    about = About(
        name=name,
        version=manifest.version,
        description=f"{manifest.description}; calibrated to one head",
        trained_on="simulated" if mine.simulated else "recorded",
        data=(*(manifest.training.data if manifest.training else ()), *(f"calibrated on {file}" for file, _ in read)),
        train_subjects=mine.train_subjects,
        held_out_subjects=mine.validation_subjects,
        built_by="cortexcast calibrate",
        licence=manifest.licence if is_simulated else "that of the recordings",
        intended_use=f"For the wearer that it was calibrated to. {manifest.intended_use}",
        metrics=_metrics(gain, command),
    )
    written, _ = export_trained(out, mine, manifest.preprocessing, about)
    return written, calibrated, good_s


def _open(model: str) -> tuple[Bundle, Trained]:
    run = Path(model)
    bundle = read_bundle(run / BUNDLE if (run / FILE).is_file() and (run / BUNDLE).is_dir() else model)
    for folder in (bundle.directory, run):
        if (folder / FILE).is_file():
            return bundle, load_trained(folder)
    raise BundleError(
        f"{bundle.manifest.name} holds no {FILE} and cannot be calibrated: give a model of 'cortexcast train'"
    )


def _checked(name: str) -> str:
    try:
        return TypeAdapter(BundleName).validate_python(name)
    except ValidationError:
        raise CalibrationError(f"{name!r} cannot name a bundle: use lower-case letters, digits and hyphens") from None


def _described(recording: Recording) -> tuple[str, bool]:
    """What the manifest says of it, and whether it is simulated."""
    simulated = " (simulated)" if recording.simulated else ""
    return f"{Path(recording.name).name}{simulated}, {recording.duration_s:.0f} s", recording.simulated


def _metrics(gain: Gain, command: str) -> list[Metric]:
    return [
        Metric(
            name=f"explained variance of the wearer's recorded MEG, cross-validated, {what}",
            value=round(float(values.mean()), 4),
            n=len(values),
            command=command,
        )
        for what, values in (("calibrated", gain.after), ("before", gain.before), ("ridge on the same", gain.ridge))
    ]
