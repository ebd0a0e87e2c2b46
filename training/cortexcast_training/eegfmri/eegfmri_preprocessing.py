"""From a run's files to what models read, and to what people look at: clean EEG, BOLD in MNI space, a page.

    OUT/dataset_description.json
    OUT/sub-01/ses-01/eeg/sub-01_ses-01_task-film01_run-01_desc-clean_eeg.fif
    OUT/sub-01/ses-01/func/sub-01_ses-01_task-film01_run-01_space-MNI152_{desc-preproc_bold,desc-brain_mask}.nii.gz
    OUT/sub-01/ses-01/func/sub-01_ses-01_task-film01_run-01_{motion,nuisance,parcels}.tsv
    OUT/sub-01/figures/sub-01_ses-01_task-film01_run-01.html
    OUT/sub-01/ses-01/sub-01_ses-01_task-film01_run-01_provenance.json
    OUT/runs/sub-01_film01_ses-01_run-01.run.npz

The last is what `cortexcast train` reads; it is written when all else is.
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel
import numpy as np
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from pydantic import JsonValue

from cortexcast_models.manifest import Strict
from cortexcast_training.eegfmri.bold_file import read_anatomy, read_bold
from cortexcast_training.eegfmri.bold_preprocessing import PreprocessedBold, PreprocessingSettings, preprocess_bold
from cortexcast_training.eegfmri.eeg_cleaning import CleanEeg, CleaningSettings, clean_eeg
from cortexcast_training.eegfmri.eegfmri_files import RunFiles
from cortexcast_training.eegfmri.fmriprep import read_fmriprep
from cortexcast_training.eegfmri.natview_eeg import read_eeg
from cortexcast_training.eegfmri.parcels import parcels
from cortexcast_training.eegfmri.run_file import read_run, run_path, write_run
from cortexcast_training.eegfmri.run_report import write_report
from cortexcast_training.eegfmri.runs import HOP_S, Run, hops_at, run_name
from cortexcast_training.eegfmri.stimulus import Stimulus, StimulusError, read_stimulus
from cortexcast_training.eegfmri.volume_markers import VOLUME
from cortexcast_training.preparing import claim, dataset_name, reason
from cortexcast_training.provenance import InputError, Source, is_of, look, provenance
from cortexcast_training.recording import RecordingError
from cortexcast_training.simulated_dataset import write_table
from cortexcast_training.whole_files import replacing
from cortexcast_training.workers import Workers, in_parallel

RUNS = "runs"

_CLEAN = "_desc-clean_eeg.fif"
_SPACE, _BOLD, _MASK = "_space-MNI152", "_desc-preproc_bold.nii.gz", "_desc-brain_mask.nii.gz"
Floats = NDArray[np.float64]

_LEAST_KNOWN = 0.9
"""Of the volumes, during which it must be known what was seen."""

_SETTINGS = "settings.json"


class EegFmriSettings(Strict):
    """How EEG and BOLD are preprocessed."""

    eeg: CleaningSettings = CleaningSettings()
    bold: PreprocessingSettings = PreprocessingSettings()


def preprocess_all(
    runs: Sequence[RunFiles],
    settings: EegFmriSettings,
    out: Path,
    workers: Workers | None = None,
    say: Callable[[int], None] = lambda _: None,
) -> dict[str, str]:
    """Preprocess those that are not yet, several at a time. What is wrong with one keeps no other from it.

    What was made of files that have changed since is no longer there to train on where it cannot be made again.

    Args:
        runs: all, of one data set.
        settings: how.
        out: where to; it is made.
        workers: who does it; None: a process on each core.
        say: hears how many are done.

    Returns:
        Why a run could not be used, by its stem.

    Raises:
        FolderError: what is there was preprocessed otherwise, or is something else.
        WorkerError: memory does not suffice.
    """
    out = out.absolute()  # a cluster's workers are elsewhere
    claim(out, _SETTINGS, _origin(runs[0]) | settings.model_dump(mode="json"), "EEG and fMRI, preprocessed")
    failed: dict[str, str] = {}
    missing: dict[RunFiles, list[Source]] = {}
    for files in runs:
        try:
            sources = look(files.inputs(), files.folders)
            if not is_done(files, sources, out):
                missing[files] = sources
        except (InputError, RecordingError) as error:  # what was made before may be as good as ever
            failed[files.stem] = str(error)
    n_held = len(runs) - len(missing)
    say(n_held)
    tasks = [(files, sources, settings, out) for files, sources in missing.items()]
    for done, (files, why) in enumerate(in_parallel(_try, tasks, workers), 1):
        if why is not None:
            failed[files.stem] = why
            _run_path(files, out).unlink(missing_ok=True)
        say(n_held + done)
    return dict(sorted(failed.items()))


@dataclass(frozen=True)
class PreprocessedRun:
    """The files of a run that was preprocessed.

    Attributes:
        eeg, bold, mask, nuisance_table, run_file: as above.
    """

    eeg: Path
    bold: Path
    mask: Path
    nuisance_table: Path
    run_file: Path

    def run(self) -> Run:
        """As models see it."""
        return read_run(self.run_file)

    def nuisance(self) -> Floats:
        """What is to be taken out of voxels, ``(n_volumes, n_regressors)``, drift apart."""
        with self.nuisance_table.open(newline="") as table:
            _, *rows = csv.reader(table, delimiter="\t")
        # Where nothing was taken out, lines are empty.
        return np.array([[float(value) for value in row] for row in rows], np.float64).reshape(len(rows), -1)


def preprocessed_runs(out: Path) -> list[PreprocessedRun]:
    """All that are complete, by name."""
    found = []
    for eeg in sorted(out.glob(f"sub-*/**/eeg/*{_CLEAN}")):
        stem, func = eeg.name.removesuffix(_CLEAN), eeg.parents[1] / "func"
        subject, *entities = (part for part in stem.split("_") if not part.startswith("task-"))
        task = next((part.removeprefix("task-") for part in stem.split("_") if part.startswith("task-")), "")
        run_file = run_path(out / RUNS, run_name(subject, task, "_".join(entities)))
        if run_file.exists():
            bold, mask = (func / f"{stem}{_SPACE}{end}" for end in (_BOLD, _MASK))
            found.append(PreprocessedRun(eeg, bold, mask, func / f"{stem}_nuisance.tsv", run_file))
    return found


def preprocess_run(files: RunFiles, sources: Sequence[Source], settings: EegFmriSettings, out: Path) -> None:
    """Preprocess a run and write everything that comes of it.

    Args:
        files: of the run.
        sources: the same, as they were before.
        settings: how.
        out: the folder of all runs.

    Raises:
        InputError: a file has changed meanwhile.
        RecordingError, MarkerError, HeartbeatError, CleaningError, RunError: of the EEG.
        BoldError, MotionError, RegistrationError, NuisanceError: of the BOLD.
        StimulusError: of what was seen.
    """
    recording = read_eeg(files.eeg)
    if files.fmriprep is not None:
        bold = read_fmriprep(files.bold, settings.bold.nuisance, settings.bold.smoothing_mm)
        cleaned = clean_eeg(recording, len(bold.times), bold.tr_s, settings.eeg)
    else:
        scan, anatomy = read_bold(files.bold), files.anatomy and read_anatomy(files.anatomy)
        # The EEG first: its markers tell in a moment whether both belong together.
        cleaned = clean_eeg(recording, scan.volumes.shape[3], scan.tr_s, settings.eeg)
        bold = preprocess_bold(scan, anatomy, settings.bold)
    run = as_run(files, cleaned, bold)
    made_of = provenance(sources, settings)
    # Where there is a run, everything else is there and of the same files: so it goes first and comes last.
    _run_path(files, out).unlink(missing_ok=True)
    folder = _folder(files, out)
    _write_eeg(folder / "eeg", files.stem, cleaned)
    _write_bold(folder / "func", files.stem, bold)
    figures = out / files.subject / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    write_report(figures / f"{files.stem}.html", files.stem, bold, cleaned)
    _provenance_of(files, out).write_text(made_of.text(), encoding="utf-8")
    write_run(out / RUNS, run)


def as_run(files: RunFiles, cleaned: CleanEeg, bold: PreprocessedBold) -> Run:
    """A run as models see it.

    Raises:
        RunError: its electrodes cannot be mapped.
        StimulusError: what was seen is of fewer volumes than the scan.
    """
    power, marked = cleaned.power(files.stem), cleaned.raw.annotations
    of_volumes = marked.description == VOLUME
    begin_s = marked.onset[of_volumes][0]
    event_hops = np.floor(marked.onset[~of_volumes] / HOP_S).astype(int).tolist()
    return Run(
        subject=files.subject,
        film=files.task,
        power=power,
        bold=bold.parcels.astype(np.float32),
        hops=hops_at(begin_s + bold.times, len(power)),
        stimulus=_stimulus(files, len(bold.times)),
        take=files.take,
        late_s=float(bold.times[0]),
        simulated=files.simulated,
        events=tuple(zip(event_hops, marked.description[~of_volumes].tolist(), strict=True)),
        displacement=bold.displacement.astype(np.float32),
    )


def _try(
    files: RunFiles, sources: Sequence[Source], settings: EegFmriSettings, out: Path
) -> tuple[RunFiles, str | None]:
    try:
        preprocess_run(files, sources, settings, out)
    except Exception as error:  # whatever it is, it must not keep other runs from being done
        return files, reason(error)
    return files, None


def is_done(files: RunFiles, sources: Sequence[Source], out: Path) -> bool:
    """Whether the run is there, made of its files as they are now."""
    return _run_path(files, out).exists() and is_of(_provenance_of(files, out), sources)


def _run_path(files: RunFiles, out: Path) -> Path:
    return run_path(out / RUNS, run_name(files.subject, files.task, files.take))


def _provenance_of(files: RunFiles, out: Path) -> Path:
    return _folder(files, out) / f"{files.stem}_provenance.json"


def _folder(files: RunFiles, out: Path) -> Path:
    return out / Path(*(part for part in files.stem.split("_") if part.startswith(("sub-", "ses-"))))


def _origin(files: RunFiles) -> dict[str, JsonValue]:
    """What all runs of a folder have in common beside settings."""
    return {
        "dataset": dataset_name(files.dataset),
        "fmriprep": None if files.fmriprep is None else dataset_name(files.fmriprep),
        "stimuli": files.stimuli.name,
    }


def _stimulus(files: RunFiles, n_volumes: int) -> Stimulus | None:
    if files.stimulus is None:
        return None
    stimulus = read_stimulus(files.stimulus)
    n_known = len(stimulus.embedding)
    if n_known < _LEAST_KNOWN * n_volumes:
        raise StimulusError(
            f"{files.stimulus} is of {n_known} volumes and {files.stem} has {n_volumes}: give what was seen to the end"
        )
    # The scan runs on for some volumes when a film has ended: of these it is not known what was seen.
    missing = max(0, n_volumes - n_known)
    embedding = np.pad(stimulus.embedding, ((0, missing), (0, 0)), constant_values=np.nan)
    shown = np.pad(stimulus.shown, (0, missing), constant_values=-1)
    return replace(stimulus, embedding=embedding[:n_volumes], shown=shown[:n_volumes])


def _write_eeg(folder: Path, stem: str, cleaned: CleanEeg) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / f"{stem}{_CLEAN}") as path:
        cleaned.raw.save(path, verbose="error")


def _write_bold(folder: Path, stem: str, bold: PreprocessedBold) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    mask = Nifti1Image(bold.brain.astype(np.uint8), bold.volumes.affine)
    for image, end in ((bold.volumes, _BOLD), (mask, _MASK)):
        with replacing(folder / f"{stem}{_SPACE}{end}") as path:
            nibabel.save(image, path)
    motion = ["trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z", "framewise_displacement"]
    rows = np.column_stack([bold.motion, bold.displacement])
    write_table(folder / f"{stem}_motion.tsv", motion, [[f"{each:.6f}" for each in row] for row in rows])
    columns = [f"regressor {number + 1}" for number in range(bold.nuisance.shape[1])]
    write_table(folder / f"{stem}_nuisance.tsv", columns, [[f"{each:.6g}" for each in row] for row in bold.nuisance])
    number = functools.partial(np.format_float_positional, precision=4)
    courses = [[number(each) if np.isfinite(each) else "n/a" for each in row] for row in bold.parcels.T]
    write_table(folder / f"{stem}_parcels.tsv", parcels().names, courses)
