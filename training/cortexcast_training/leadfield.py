"""Lead fields: what one dipole in the cortex shows to the electrodes and to the helmet, in a template head.

The head is FreeSurfer's fsaverage, from files that MNE-Python and nilearn ship. Everything is deterministic and
offline. Method: Hämäläinen et al., *Reviews of Modern Physics* 65 (1993); boundary elements by MNE-Python.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import mne
import numpy as np
from mne.transforms import Transform, apply_trans
from nilearn import datasets, surface
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CAP = (
    "Fp1", "Fpz", "Fp2", "AF7", "AF3", "AFz", "AF4", "AF8",
    "F7", "F5", "F3", "F1", "Fz", "F2", "F4", "F6", "F8",
    "FT9", "FT7", "FC5", "FC3", "FC1", "FCz", "FC2", "FC4", "FC6", "FT8", "FT10",
    "T9", "T7", "C5", "C3", "C1", "Cz", "C2", "C4", "C6", "T8", "T10",
    "TP9", "TP7", "CP5", "CP3", "CP1", "CPz", "CP2", "CP4", "CP6", "TP8", "TP10",
    "P9", "P7", "P5", "P3", "P1", "Pz", "P2", "P4", "P6", "P8", "P10",
    "PO7", "PO3", "POz", "PO4", "PO8", "O1", "Oz", "O2", "Iz",
)  # fmt: skip
"""The canonical montage: the 70-channel cap made for MEG (MNE's ``mgh70``), in its order, by extended 10-20 names."""

ELECTRODES = "fsaverage_1005"
"""MNE's 10-05 montage on fsaverage's scalp. Its fiducials define the head frame here."""

HELMET_PITCH_DEG = -10.0
HELMET_OFFSET_M = (0.0, -0.003, 0.052)
"""The helmet's pose on the head: pitched back as people sit under it, then as far down as leaves 18 mm between every
coil and the scalp, which is the thickness of the dewar's wall. fsaverage is a large head and fills the helmet."""

SKULL_M = 0.007
SCALP_M = 0.007
"""Shell thicknesses. MNE ships fsaverage's inner skull alone; 14 mm outside it the scalp's shell passes within 3 mm of
half the electrodes, and MNE moves each onto it."""

CONDUCTIVITY = (0.3, 0.006, 0.3)
"""Brain, skull and scalp in S/m: MNE-Python's defaults."""

ICO = 3
"""Grade of the boundary meshes: 642 vertices a shell. At grade 4 the three shells alone take a minute."""

_MNE_FSAVERAGE = Path(mne.__file__).parent / "data" / "fsaverage"


@dataclass(frozen=True)
class Cortex:
    """The cortical sheet of both hemispheres without the medial wall, FreeSurfer's white surface.

    Attributes:
        positions: ``(n, 3)`` in metres, MRI surface coordinates.
        normals: ``(n, 3)`` unit vectors out of the white matter, the direction of the pyramidal cells.
        faces: ``(n_faces, 3)`` vertex indices.
    """

    positions: Floats
    normals: Floats
    faces: Ints


@dataclass(frozen=True)
class LeadFields:
    """Fields of unit dipoles along the cortex's normals.

    Attributes:
        cortex: where the dipoles are.
        eeg: ``(70, n)`` in V per A·m, average referenced, rows in the order of ``CAP``.
        meg: ``(306, n)`` in T or T/m per A·m, rows in the order of ``helmet()``.
    """

    cortex: Cortex
    eeg: Floats
    meg: Floats


def lead_fields() -> LeadFields:
    """Compute both lead fields: EEG in three shells of conductivity, MEG inside the inner skull alone."""
    sheet = cortex()
    with tempfile.TemporaryDirectory() as folder:
        _write_shells(Path(folder))
        eeg = _forward(cap(), sheet, _conductor(folder, CONDUCTIVITY))
        meg = _forward(helmet(), sheet, _conductor(folder, CONDUCTIVITY[:1]))
    return LeadFields(sheet, eeg - eeg.mean(axis=0), meg)


def cortex() -> Cortex:
    """fsaverage5: 10 242 vertices a hemisphere, 3 mm apart, less the medial wall, where thickness is not positive."""
    files = datasets.fetch_surf_fsaverage("fsaverage5")
    positions, faces, is_cortex = [], [], []
    offset = 0
    for side in ("left", "right"):
        mesh = surface.load_surf_mesh(files[f"white_{side}"])
        positions.append(np.asarray(mesh.coordinates, np.float64) / 1e3)
        faces.append(np.asarray(mesh.faces, np.int64) + offset)
        is_cortex.append(np.asarray(surface.load_surf_data(files[f"thick_{side}"])) > 0)
        offset += len(positions[-1])
    return _cut(np.vstack(positions), np.vstack(faces), np.concatenate(is_cortex))


def electrode_positions() -> dict[str, Floats]:
    """Every 10-05 electrode of ``ELECTRODES`` by name: ``(3,)`` in metres, head frame."""
    montage = mne.channels.make_standard_montage(ELECTRODES)
    to_head = mne.channels.compute_native_head_t(montage)
    return {name: apply_trans(to_head, at) for name, at in montage.get_positions()["ch_pos"].items()}


def cap() -> Any:
    """The 70 electrodes as an ``mne.Info``."""
    info = mne.create_info(list(CAP), 200.0, "eeg")
    info.set_montage(mne.channels.make_standard_montage(ELECTRODES))
    return info


def helmet() -> Any:
    """The 306 sensors of a Neuromag helmet, placed over the head, as an ``mne.Info``."""
    info = mne.channels.read_meg_canonical_info("neuromag")
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("x", HELMET_PITCH_DEG, degrees=True).as_matrix()
    pose[:3, 3] = HELMET_OFFSET_M
    with info._unlock():  # MNE offers no public way to place sensors that no machine has measured
        info["dev_head_t"] = Transform("meg", "head", pose)
    return info


def head_to_mri() -> Any:
    """The ``mne.Transform`` from the head frame to fsaverage's MRI surface coordinates."""
    # The montage calls its frame "unknown", but its coordinates are fsaverage's.
    to_head = mne.channels.compute_native_head_t(mne.channels.make_standard_montage(ELECTRODES))
    return Transform("head", "mri", np.linalg.inv(to_head["trans"]))


def scalp() -> Floats:
    """The outermost shell: ``(10242, 3)`` in metres, MRI surface coordinates."""
    return _shells()["outer_skin"]


def _cut(positions: Floats, faces: Ints, keep: NDArray[np.bool_]) -> Cortex:
    inside = faces[keep[faces].all(axis=1)]
    used = np.unique(inside)
    renumbered = np.searchsorted(used, inside)
    return Cortex(positions[used], _normals(positions, faces)[used], renumbered)


def _normals(positions: Floats, faces: Ints) -> Floats:
    """Vertex normals: the mean of the adjacent faces' normals, weighted by area."""
    corners = positions[faces]
    doubled_area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(positions)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], doubled_area)
    return np.asarray(normals / np.linalg.norm(normals, axis=1, keepdims=True), np.float64)


@cache
def _inner_skull() -> tuple[Floats, Ints]:
    (mesh,) = mne.read_bem_surfaces(_MNE_FSAVERAGE / "fsaverage-inner_skull-bem.fif", verbose="error")
    return np.asarray(mesh["rr"], np.float64), np.asarray(mesh["tris"], np.int64)


def _shells() -> dict[str, Floats]:
    """The inner skull, and the two surfaces outside it, moved outwards from its centre, which keeps them nested."""
    inner, _ = _inner_skull()
    outwards = inner - (inner.max(axis=0) + inner.min(axis=0)) / 2
    outwards /= np.linalg.norm(outwards, axis=1, keepdims=True)
    thickness = {"inner_skull": 0.0, "outer_skull": SKULL_M, "outer_skin": SKULL_M + SCALP_M}
    return {name: inner + distance * outwards for name, distance in thickness.items()}


def _write_shells(subjects_dir: Path) -> None:
    """Lay the shells where ``mne.make_bem_model`` looks for a subject's, so that it checks and decimates them."""
    folder = subjects_dir / "fsaverage" / "bem"
    folder.mkdir(parents=True)
    for name, positions in _shells().items():
        mne.write_surface(folder / f"{name}.surf", positions * 1e3, _inner_skull()[1])


def _conductor(subjects_dir: str, conductivity: tuple[float, ...]) -> Any:
    model = mne.make_bem_model("fsaverage", ICO, conductivity, subjects_dir, verbose="error")
    return mne.make_bem_solution(model, verbose="error")


def _forward(info: Any, sheet: Cortex, conductor: Any) -> Floats:
    """The field of unit dipoles along the normals, ``(n_channels, n)``."""
    dipoles = {"rr": sheet.positions, "nn": sheet.normals}
    sources = mne.setup_volume_source_space(pos=dipoles, verbose="error")
    forward = mne.make_forward_solution(info, head_to_mri(), sources, conductor, mindist=0.0, verbose="error")
    assert forward["nsource"] == len(sheet.positions), "a source lies outside the inner skull"
    assert forward["sol"]["row_names"] == info["ch_names"]
    # By hand, since MNE's conversion to fixed orientation rounds to float32. The three columns of a source are the
    # head frame's axes.
    gain = np.asarray(forward["sol"]["data"], np.float64).reshape(-1, len(sheet.positions), 3)
    normals = apply_trans(np.linalg.inv(head_to_mri()["trans"]), sheet.normals, move=False)
    return np.asarray(np.einsum("cnk,nk->cn", gain, normals), np.float64)
