"""A small simulated copy of OpenNeuro's ds000117, in its layout: sidecars that runs share lie above them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import mne
import numpy as np

from cortexcast_models.simulation import SIMULATED
from cortexcast_training.leadfield import helmet, is_magnetometer

DAY = "20090409"
EMPTY_ROOM = Path("sub-emptyroom", f"ses-{DAY}", "meg", f"sub-emptyroom_ses-{DAY}_task-noise_meg.fif")
DERIVATIVES = Path("derivatives", "meg_derivatives")
RATE_HZ = 1100.0
NOISE_MAG, NOISE_GRAD = 3e-14, 4e-13
"""Of the empty room, standard deviations in T and T/m."""
SSS_GAIN = 0.5
"""What stands for SSS: less of all MEG."""


def lay_out(simulated: Path, to: Path) -> Path:
    """What ``cortexcast simulate meg`` wrote, as OpenNeuro has it: as recorded, and as SSS would leave it."""
    shutil.copytree(simulated, to, ignore=shutil.ignore_patterns("derivatives"))
    for session in sorted(to.glob("sub-*/ses-meg")):
        stem = f"{session.parent.name}_ses-meg_task-facerecognition"
        first, *others = sorted(session.glob("meg/*_channels.tsv"))
        first.rename(session / f"{stem}_channels.tsv")
        for other in others:
            other.unlink()
        about, *others = sorted(session.glob("meg/*_meg.json"))
        fields = json.loads(about.read_text()) | {"AssociatedEmptyRoom": EMPTY_ROOM.as_posix()}
        (session / f"{stem}_meg.json").write_text(json.dumps(fields))
        for json_file in (about, *others):
            json_file.unlink()
        scans = [f"meg/{path.name}\t2009-04-09T11:04:14" for path in sorted(session.glob("meg/*_meg.fif"))]
        lines = ["filename\tacq_time", *scans]
        (session / f"{session.parent.name}_ses-meg_scans.tsv").write_text("\n".join(lines) + "\n")
    write_empty_room(to / EMPTY_ROOM)
    for path in to.glob("sub-*/ses-*/meg/*_meg.fif"):
        _write_sss(path, to / DERIVATIVES / path.relative_to(to))
    return to


def _write_sss(path: Path, to: Path) -> None:
    raw = mne.io.read_raw_fif(path, preload=True, verbose="error")
    raw.apply_function(lambda meg: SSS_GAIN * meg, picks="meg", channel_wise=False, verbose="error")
    to.parent.mkdir(parents=True, exist_ok=True)
    raw.save(to.with_name(to.name.replace("_meg.fif", "_proc-sss_meg.fif")), fmt="single", verbose="error")


def write_empty_room(path: Path, seconds: float = 20.0) -> None:
    """White noise of known strength."""
    path.parent.mkdir(parents=True)
    scale = np.where(is_magnetometer(), NOISE_MAG, NOISE_GRAD)[:, np.newaxis]
    data = scale * np.random.default_rng(0).standard_normal((306, round(seconds * RATE_HZ)))
    info = helmet().copy()
    with info._unlock():
        info["sfreq"] = RATE_HZ
        info["lowpass"] = RATE_HZ / 2
    info["description"] = SIMULATED
    mne.io.RawArray(data, info, verbose="error").save(path, fmt="single", verbose="error")
