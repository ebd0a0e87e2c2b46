"""Which files of a BIDS data set make up each run of simultaneous EEG and fMRI."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from cortexcast_training.eegfmri.fmriprep import fmriprep_runs
from cortexcast_training.eegfmri.natview_layout import STIMULI
from cortexcast_training.simulated_dataset import DESCRIPTION

_BOLD = "_bold.nii"


class LayoutError(Exception):
    """A data set has not what is looked for. The message says what, and what to do."""


@dataclass(frozen=True)
class RunFiles:
    """The files of a run.

    Attributes:
        stem: of their names, such as ``sub-01_ses-01_task-dme_run-01``.
        subject: such as ``sub-01``.
        task: such as ``dme``: the film.
        take: the other entities, such as ``ses-01_run-01``.
        eeg: the files of EEG up to their suffix.
        bold: as recorded, or as fMRIPrep preprocessed it.
        anatomy: the T1 of the subject, if there is one; of this session, or else of another.
        stimuli: the folder that may say what is seen.
        preprocessed: whether ``bold`` is fMRIPrep's.
        simulated: whether nobody recorded it, by the data set's description.
    """

    stem: str
    subject: str
    task: str
    take: str
    eeg: Path
    bold: Path
    anatomy: Path | None
    stimuli: Path
    preprocessed: bool
    simulated: bool

    @property
    def stimulus(self) -> Path | None:
        """What is seen, volume by volume, if it is known."""
        path = self.stimuli / f"{self.task}.npz"
        return path if path.is_file() else None

    def inputs(self) -> list[Path]:
        """The files that it is made of: EEG and its tables, BOLD, T1 and what is seen."""
        of_eeg = [path for path in self.eeg.parent.glob(f"{self.eeg.name}_*") if "_recording-" not in path.name]
        others = [*self.eeg.parent.glob("*_electrodes.tsv"), self.bold, self.anatomy, self.stimulus]
        return sorted({*of_eeg, *(path for path in others if path is not None)})


def find_runs(
    dataset: Path,
    fmriprep: Path | None = None,
    stimuli: Path | None = None,
    subjects: Collection[str] = (),
    tasks: Collection[str] = (),
) -> list[RunFiles]:
    """All runs that have BOLD and EEG, by name.

    Args:
        dataset: in NATVIEW's layout.
        fmriprep: derivatives, to be taken instead of the BOLD as recorded.
        stimuli: folder of ``<task>.npz``; the data set's own where None.
        subjects: those alone; none takes all.
        tasks: likewise.

    Raises:
        LayoutError: there are none.
        BoldError: there are no derivatives.
    """
    if not dataset.is_dir():
        raise LayoutError(f"there is no folder {dataset}")
    dataset = dataset.absolute()
    fmriprep, stimuli = (path and path.absolute() for path in (fmriprep, stimuli))
    recorded = [] if fmriprep else sorted(dataset.glob(f"sub-*/**/func/*{_BOLD}*"))
    bold = {path: path.name.split(_BOLD)[0] for path in recorded}
    if fmriprep:
        bold = {path: path.name.split("_space-")[0] for path in fmriprep_runs(fmriprep)}
        _check_once(bold)
    found = [
        _run(dataset, stem, path, stimuli or dataset / STIMULI, preprocessed=fmriprep is not None)
        for path, stem in bold.items()
    ]
    wanted = [
        run
        for run in found
        if (not subjects or run.subject in subjects) and (not tasks or run.task in tasks) and _has_eeg(run.eeg)
    ]
    if not found:
        raise LayoutError(
            f"{fmriprep or dataset} holds no BOLD (sub-*/**/func/*{_BOLD}.gz), and no MEG either (sub-*/**/*_meg.fif)"
        )
    if not wanted:
        looked = f" of {', '.join([*subjects, *tasks])}" if subjects or tasks else ""
        raise LayoutError(
            f"{fmriprep or dataset} has {len(found)} runs of BOLD and none{looked} with EEG beside it: looked for "
            f"{dataset}/sub-*/ses-*/eeg/*_eeg.set or .vhdr of the same names"
        )
    return wanted


def _run(dataset: Path, stem: str, bold: Path, stimuli: Path, *, preprocessed: bool) -> RunFiles:
    entities = dict(part.split("-", 1) for part in stem.split("_") if "-" in part)
    subject, task = f"sub-{entities.pop('sub')}", entities.pop("task", "")
    session = Path(subject, f"ses-{entities['ses']}") if "ses" in entities else Path(subject)
    own, others = (sorted(folder.glob(pattern)) for folder, pattern in (
        (dataset / session, "anat/*_T1w.nii*"), (dataset / subject, "**/anat/*_T1w.nii*"),
    ))  # fmt: skip
    return RunFiles(
        stem=stem,
        subject=subject,
        task=task,
        take="_".join(f"{key}-{value}" for key, value in entities.items()),
        eeg=dataset / session / "eeg" / stem,
        bold=bold,
        anatomy=next(iter([*own, *others]), None),
        stimuli=stimuli,
        preprocessed=preprocessed,
        simulated=_is_simulated(dataset),
    )


def _check_once(bold: Mapping[Path, str]) -> None:
    stems = list(bold.values())
    for path, stem in bold.items():
        if stems.count(stem) > 1:
            same = [str(other) for other, its in bold.items() if its == stem]
            raise LayoutError(
                f"{stem} is there in several spaces ({', '.join(same)}): leave one, {path.name} or another"
            )


def _is_simulated(dataset: Path) -> bool:
    """Whether `cortexcast simulate` wrote the data set."""
    try:
        made_by = json.loads((dataset / DESCRIPTION).read_text(encoding="utf-8")).get("GeneratedBy", [])
    except (OSError, ValueError, AttributeError):
        return False
    return any(
        str(each.get("Name", "")).startswith("cortexcast simulate") for each in made_by if isinstance(each, dict)
    )


def _has_eeg(stem: Path) -> bool:
    return any(Path(f"{stem}_eeg.{end}").is_file() for end in ("set", "vhdr"))
