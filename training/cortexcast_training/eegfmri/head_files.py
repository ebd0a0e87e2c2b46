"""A head as FreeSurfer lays it out: a subject's own, or the template's, made of what MNE-Python and nilearn ship."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import mne
import numpy as np
from nilearn import datasets, surface
from numpy.typing import NDArray

from cortexcast_training.leadfield import shell_faces, template

Floats = NDArray[np.float64]

TEMPLATE = "fsaverage"

_HEMISPHERES = {"lh": "left", "rh": "right"}


@dataclass(frozen=True)
class HeadFiles:
    """Where a head's files are.

    Attributes:
        subjects_dir: FreeSurfer's folder of subjects.
        subject: the folder in it, with ``surf/?h.{white,sphere}``, ``label/?h.cortex.label``, ``mri/orig.mgz``,
            ``mri/transforms/talairach.xfm`` and ``bem/{inner_skull,outer_skull,outer_skin}.surf``.
    """

    subjects_dir: Path
    subject: str

    def missing(self) -> list[Path]:
        """Those of its files that are not there."""
        folder = self.subjects_dir / self.subject
        names = [f"bem/{shell}.surf" for shell in template().shells]
        names += ["mri/orig.mgz", "mri/transforms/talairach.xfm"] if self.subject != TEMPLATE else []
        for side in _HEMISPHERES:
            names += [f"surf/{side}.white", f"surf/{side}.sphere"]
        return [path for path in (*(folder / name for name in names), *self.cortex_labels()) if not path.is_file()]

    def cortex_labels(self) -> list[Path]:
        """Those that tell cortex from the medial wall, left and right."""
        return [self.subjects_dir / self.subject / "label" / f"{side}.cortex.label" for side in _HEMISPHERES]

    def to_mni(self) -> Floats:
        """The affine map from MRI surface coordinates to MNI's, in m, ``(4, 4)``."""
        if self.subject == TEMPLATE:
            return np.eye(4)
        return np.asarray(mne.read_talxfm(self.subject, self.subjects_dir, verbose="error")["trans"], np.float64)


@contextmanager
def template_files() -> Iterator[HeadFiles]:
    """The template's, for as long as they are needed."""
    with TemporaryDirectory(prefix="cortexcast-head-") as folder:
        write_template(Path(folder, TEMPLATE))
        yield HeadFiles(Path(folder), TEMPLATE)


def write_template(folder: Path) -> None:
    """Write the template's surfaces: fsaverage5's cortex and the shells of ``leadfield``."""
    for name in ("bem", "surf", "label"):
        (folder / name).mkdir(parents=True)
    for shell, positions in template().shells.items():
        mne.write_surface(folder / "bem" / f"{shell}.surf", positions * 1e3, shell_faces())
    files = datasets.fetch_surf_fsaverage("fsaverage5")
    for side, hemisphere in _HEMISPHERES.items():
        for kind in ("white", "sphere"):
            mesh = surface.load_surf_mesh(files[f"{kind}_{hemisphere}"])
            mne.write_surface(folder / "surf" / f"{side}.{kind}", mesh.coordinates, mesh.faces)
        # The medial wall is no cortex, so it has no thickness.
        vertices = np.flatnonzero(np.asarray(surface.load_surf_data(files[f"thick_{hemisphere}"])) > 0)
        label = mne.Label(vertices, np.zeros((len(vertices), 3)), hemi=side, name="cortex", subject=folder.name)
        with mne.utils.use_log_level("error"):
            label.save(folder / "label" / f"{side}.cortex.label")
