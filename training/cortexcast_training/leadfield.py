"""Lead fields: what one dipole in the cortex shows to the electrodes and to the helmet.

The template head is FreeSurfer's fsaverage, from files that MNE-Python and nilearn ship. Everything is deterministic
and offline. Method: Hämäläinen et al., *Reviews of Modern Physics* 65 (1993); boundary elements by MNE-Python.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import mne
import numpy as np
from mne.transforms import Transform, apply_trans, get_ras_to_neuromag_trans
from nilearn import datasets, surface
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation
from threadpoolctl import threadpool_limits

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
"""Grade of the template's boundary meshes: 642 vertices a shell. At grade 4 the three shells alone take a minute."""

_N_FINE = 10242
"""Vertices a hemisphere of fsaverage4 and fsaverage5. FreeSurfer subdivides: the first of one are all of the other."""

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
class HeadModel:
    """All that lead fields depend on. Places are in the head's own MRI surface coordinates, metres.

    Attributes:
        cortex: where the dipoles are.
        shells: ``(10242, 3)`` each: ``inner_skull``, ``outer_skull`` and ``outer_skin``, on the template's mesh.
        electrodes: ``(70, 3)``, rows in the order of ``CAP``.
        fiducials: ``(3, 3)``: nasion, left and right preauricular point, which define the head frame.
        dev_head_t: ``(4, 4)``, the helmet's pose in the head frame.
        conductivity: brain, skull and scalp in S/m.
        ico: grade of the boundary meshes, 4 at most.
    """

    cortex: Cortex
    shells: dict[str, Floats]
    electrodes: Floats
    fiducials: Floats
    dev_head_t: Floats
    conductivity: tuple[float, float, float]
    ico: int


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


def template() -> HeadModel:
    """The template head at full resolution."""
    places = mne.channels.make_standard_montage(ELECTRODES).get_positions()
    return HeadModel(
        cortex=cortex(),
        shells=_shells(),
        electrodes=np.array([places["ch_pos"][name] for name in CAP]),
        fiducials=np.array([places[name] for name in ("nasion", "lpa", "rpa")]),
        dev_head_t=helmet()["dev_head_t"]["trans"],
        conductivity=CONDUCTIVITY,
        ico=ICO,
    )


def lead_fields(head: HeadModel | None = None) -> LeadFields:
    """Both lead fields of a head: EEG in three shells of conductivity, MEG inside the inner skull alone.

    Args:
        head: the template where None.
    """
    head = head or template()
    dipoles = head.cortex.positions, head.cortex.normals, head_to_mri(head)
    # The systems are small: threads would but wait for each other.
    with threadpool_limits(1):
        eeg = _forward(cap(head), *dipoles, _conductor(head.shells, head.conductivity, head.ico))
    return LeadFields(head.cortex, eeg - eeg.mean(axis=0), meg_fields(head, brain_conductor(head)))


def brain_conductor(head: HeadModel) -> Any:
    """What matters for MEG: the inner skull alone, as MNE's conductor model. A head keeps it wherever the helmet is."""
    with threadpool_limits(1):
        return _conductor(head.shells, head.conductivity[:1], head.ico)


def meg_fields(head: HeadModel, conductor: Any) -> Floats:
    """The MEG of a head's dipoles in its ``brain_conductor``: ``(306, n_dipoles)`` in T or T/m per A·m."""
    with threadpool_limits(1):
        return _forward(
            helmet(head.dev_head_t), head.cortex.positions, head.cortex.normals, head_to_mri(head), conductor
        )


def meg_of_sphere(dev_head_t: Floats, centre: Floats, positions: Floats, directions: Floats) -> Floats:
    """The magnetic field of unit dipoles anywhere in a conducting sphere around ``centre``: ``(306, n)``.

    A sphere's size does not matter (Sarvas, *Phys. Med. Biol.* 32 (1987)), so this serves the eyes, which lie outside
    the inner skull.

    Args:
        dev_head_t: the helmet's pose, ``(4, 4)``.
        centre: ``(3,)``, head frame, as are the others.
        positions: ``(n, 3)``.
        directions: ``(n, 3)``, unit vectors.
    """
    sphere = mne.make_sphere_model(centre, head_radius=None, verbose="error")
    return _forward(helmet(dev_head_t), positions, directions, Transform("head", "mri", np.eye(4)), sphere)


def cortex() -> Cortex:
    """fsaverage5: 10 242 vertices a hemisphere, 3 mm apart, less the medial wall, where thickness is not positive."""
    return _cortex()[0]


def coarse_vertices(n_hemisphere: int = 2562) -> Ints:
    """Those vertices of ``cortex()`` that a coarser fsaverage has too: ``(n_coarse,)`` ascending.

    Args:
        n_hemisphere: its vertices before the medial wall was cut: 2562 of fsaverage4, 6 mm apart; 642 of fsaverage3.
    """
    vertices = _cortex()[1]
    return np.flatnonzero(vertices % _N_FINE < n_hemisphere)


@cache
def _cortex() -> tuple[Cortex, Ints]:
    """The sheet, and of each of its vertices the number before the cut, right hemisphere after left."""
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


def cap(head: HeadModel | None = None) -> Any:
    """The 70 electrodes, on the template where no head is given, as an ``mne.Info``."""
    if head is None:
        montage = mne.channels.make_standard_montage(ELECTRODES)
    else:
        nasion, lpa, rpa = head.fiducials
        places = dict(zip(CAP, head.electrodes, strict=True))
        montage = mne.channels.make_dig_montage(places, nasion, lpa, rpa, coord_frame="unknown")
    info = mne.create_info(list(CAP), 200.0, "eeg")
    info.set_montage(montage)
    return info


def helmet(dev_head_t: Floats | None = None) -> Any:
    """The 306 sensors of a Neuromag helmet at this pose, over the template head where None, as an ``mne.Info``."""
    info = mne.channels.read_meg_canonical_info("neuromag")
    if dev_head_t is None:
        dev_head_t = np.eye(4)
        dev_head_t[:3, :3] = Rotation.from_euler("x", HELMET_PITCH_DEG, degrees=True).as_matrix()
        dev_head_t[:3, 3] = HELMET_OFFSET_M
    with info._unlock():  # MNE offers no public way to place sensors that no machine has measured
        info["dev_head_t"] = Transform("meg", "head", dev_head_t)
    return info


@cache
def external_fields() -> Floats:
    """Fields of distant sources at the helmet's sensors, ``(306, 15)``: the first orders of the multipole expansion.

    Three uniform fields, five gradients, seven of the next order, each with an RMS of one over the magnetometers
    (T; gradiometers in T/m). Source: Taulu & Kajola, *J. Appl. Phys.* 97 (2005), in MNE-Python.
    """
    basis, *_ = mne.preprocessing.compute_maxwell_basis(
        helmet(), (0.0, 0.0, 0.0), int_order=1, ext_order=3, coord_frame="meg", regularize=None, verbose="error"
    )
    external = np.asarray(basis[:, 3:], np.float64)
    return np.asarray(external / np.sqrt(np.mean(external[is_magnetometer()] ** 2, axis=0)), np.float64)


@cache
def is_magnetometer() -> NDArray[np.bool_]:
    """Which of the helmet's 306 sensors are magnetometers; the others are planar gradiometers."""
    return np.array([name.endswith("1") for name in helmet()["ch_names"]])


def head_to_mri(head: HeadModel | None = None) -> Any:
    """The ``mne.Transform`` from the head frame to MRI surface coordinates, the template's where no head is given."""
    nasion, lpa, rpa = (head or template()).fiducials
    return Transform("head", "mri", np.linalg.inv(get_ras_to_neuromag_trans(nasion, lpa, rpa)))


def scalp() -> Floats:
    """The outermost shell: ``(10242, 3)`` in metres, MRI surface coordinates."""
    return _shells()["outer_skin"]


def _cut(positions: Floats, faces: Ints, keep: NDArray[np.bool_]) -> tuple[Cortex, Ints]:
    inside = faces[keep[faces].all(axis=1)]
    used = np.unique(inside)
    renumbered = np.searchsorted(used, inside)
    return Cortex(positions[used], vertex_normals(positions, faces)[used], renumbered), used


def vertex_normals(positions: Floats, faces: Ints) -> Floats:
    """Unit ``(n, 3)``: the mean of the adjacent faces' normals, weighted by area."""
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


def shell_faces() -> Ints:
    """The triangles of every shell, ``(20480, 3)``."""
    return _inner_skull()[1]


def _conductor(shells: dict[str, Floats], conductivity: tuple[float, ...], ico: int) -> Any:
    kept, faces = _decimated(ico)
    # MNE reads a subject's shells from files, and checks them.
    with tempfile.TemporaryDirectory() as folder:
        _write_shells(Path(folder), {name: positions[kept] for name, positions in shells.items()}, faces)
        model = mne.make_bem_model("fsaverage", None, conductivity, folder, verbose="error")
    return mne.make_bem_solution(model, verbose="error")


@cache
def _decimated(ico: int) -> tuple[Ints, Ints]:
    """Those vertices of every shell that its coarser mesh of this grade has, and its triangles."""
    fine = _inner_skull()[0]
    with tempfile.TemporaryDirectory() as folder:
        _write_shells(Path(folder), {"inner_skull": fine}, shell_faces())
        (coarse,) = mne.make_bem_model("fsaverage", ico, CONDUCTIVITY[:1], folder, verbose="error")
    _, kept = cKDTree(fine).query(coarse["rr"])
    return np.asarray(kept, np.int64), np.asarray(coarse["tris"], np.int64)


def _write_shells(subjects_dir: Path, shells: dict[str, Floats], faces: Ints) -> None:
    """Lay the shells where MNE looks for a subject's."""
    folder = subjects_dir / "fsaverage" / "bem"
    folder.mkdir(parents=True)
    for name, positions in shells.items():
        mne.write_surface(folder / f"{name}.surf", positions * 1e3, faces)


def _forward(info: Any, positions: Floats, directions: Floats, head_to_mri: Any, conductor: Any) -> Floats:
    """The field of unit dipoles, given in MRI coordinates: ``(n_channels, n)``."""
    dipoles = {"rr": positions, "nn": directions}
    sources = mne.setup_volume_source_space(pos=dipoles, verbose="error")
    forward = mne.make_forward_solution(info, head_to_mri, sources, conductor, mindist=0.0, verbose="error")
    assert forward["nsource"] == len(positions), "a source lies outside the inner skull"
    assert forward["sol"]["row_names"] == info["ch_names"]
    # By hand, since MNE's conversion to fixed orientation rounds to float32. The three columns of a source are the
    # head frame's axes.
    gain = np.asarray(forward["sol"]["data"], np.float64).reshape(-1, len(positions), 3)
    in_head = apply_trans(np.linalg.inv(head_to_mri["trans"]), directions, move=False)
    return np.asarray(np.einsum("cnk,nk->cn", gain, in_head), np.float64)
