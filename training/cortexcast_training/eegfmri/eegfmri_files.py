"""Which files of a BIDS data set make up each run of simultaneous EEG and fMRI."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cortexcast_training.bids_files import applying, sidecar
from cortexcast_training.eegfmri.fmriprep import confounds_of, fmriprep_runs, mask_of
from cortexcast_training.eegfmri.natview_eeg import eeg_file
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
        dataset: the folder of the data set.
        stimuli: the folder that may say what is seen.
        fmriprep: the folder of derivatives that ``bold`` is of; None: it is as recorded.
        simulated: whether nobody recorded it, by the data set's description.
    """

    stem: str
    subject: str
    task: str
    take: str
    eeg: Path
    bold: Path
    anatomy: Path | None
    dataset: Path
    stimuli: Path
    fmriprep: Path | None
    simulated: bool

    @property
    def stimulus(self) -> Path | None:
        """What is seen, volume by volume, if it is known."""
        path = self.stimuli / f"{self.task}.npz"
        return path if path.is_file() else None

    @property
    def folders(self) -> list[Path]:
        """All that its files lie in."""
        return [folder for folder in (self.dataset, self.fmriprep, self.stimuli) if folder is not None]

    def inputs(self) -> list[Path]:
        """All files that it is made of: EEG, BOLD and the sidecars that apply to them, T1 and what is seen.

        Raises:
            RecordingError: it is not clear which sidecar applies.
        """
        # Where there is none, the name of one that would be.
        eeg = eeg_file(self.eeg) or Path(f"{self.eeg}_eeg.vhdr")
        tables = [sidecar(eeg, suffix, ".tsv") for suffix in ("channels", "events", "electrodes")]
        single = [eeg, *tables, self.bold, self.anatomy, self.stimulus]
        if self.fmriprep is not None:
            single += [mask_of(self.bold), confounds_of(self.bold)]
        return sorted({
            *(path for path in single if path is not None),
            *eeg.parent.glob(f"{eeg.stem}.*"),
            *applying(eeg, "eeg", ".json"),
            *applying(self.bold, "bold", ".json"),
        })  # fmt: skip


def find_runs(
    dataset: Path,
    fmriprep: Path | None = None,
    stimuli: Path | None = None,
    subjects: Collection[str] = (),
    tasks: Collection[str] = (),
) -> list[RunFiles]:
    """All runs that have BOLD, by name; those whose EEG is not there too, where others' is.

    Args:
        dataset: in NATVIEW's layout.
        fmriprep: derivatives, to be taken instead of the BOLD as recorded.
        stimuli: folder of ``<task>.npz``; the data set's own where None.
        subjects: those alone, such as ``sub-01``; empty: all.
        tasks: those alone, such as ``dme``; empty: all.

    Raises:
        LayoutError: there are none, or not of one of those named, or none of them has EEG.
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
    found = [_run(dataset, stem, path, stimuli or dataset / STIMULI, fmriprep) for path, stem in bold.items()]
    if not found:
        raise LayoutError(
            f"{fmriprep or dataset} holds no BOLD (sub-*/**/func/*{_BOLD}.gz), and no MEG either (sub-*/**/*_meg.fif)"
        )
    found = _chosen(found, "subject", "sub", subjects)
    found = _chosen(found, "task", "task", tasks)
    if not any(eeg_file(run.eeg) for run in found):
        raise LayoutError(
            f"{fmriprep or dataset} has {len(found)} runs of BOLD and none with EEG beside it: looked for "
            f"{dataset}/sub-*/ses-*/eeg/*_eeg.set or .vhdr of the same names"
        )
    return found


def _chosen(runs: Sequence[RunFiles], kind: str, entity: str, names: Collection[str]) -> list[RunFiles]:
    """Those of the named subjects or tasks, given with their entity's key or without; all of no names."""
    wanted = {name.removeprefix(f"{entity}-") for name in names}
    of = {run: getattr(run, kind).removeprefix(f"{entity}-") for run in runs}
    if unknown := sorted(wanted - set(of.values())):
        there = sorted(set(of.values()))
        raise LayoutError(f"there is no {kind} {', '.join(unknown)} with BOLD: there are {', '.join(there)}")
    return [run for run in runs if not wanted or of[run] in wanted]


def _run(dataset: Path, stem: str, bold: Path, stimuli: Path, fmriprep: Path | None) -> RunFiles:
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
        dataset=dataset,
        stimuli=stimuli,
        fmriprep=fmriprep,
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
