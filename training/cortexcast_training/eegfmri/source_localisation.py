"""Where in the cortex EEG comes from: eLORETA and dSPM as a linear map from electrodes to sources.

Sources lie on the white surface, 2562 a hemisphere before the medial wall is cut, and point along its normals. The
head is the template, or the subject's own where FreeSurfer has made its surfaces; electrodes are where the template's
are, moved by the affine map between both.

Source: eLORETA, Pascual-Marqui, arXiv:0710.3341 (2007); dSPM, Dale et al., *Neuron* 26 (2000); both by MNE-Python.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import mne
import numpy as np
from mne.transforms import Transform, apply_trans, get_ras_to_neuromag_trans
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from threadpoolctl import threadpool_limits

from cortexcast_models.preprocessing import Preprocessor
from cortexcast_training.eegfmri.band_power import HOP, log_band_power
from cortexcast_training.eegfmri.head_files import HeadFiles, template_files
from cortexcast_training.eegfmri.parcels import REACH_MM, parcels
from cortexcast_training.eegfmri.runs import PREPROCESSING
from cortexcast_training.leadfield import CONDUCTIVITY, ICO, head_to_mri, template

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Method = Literal["eLORETA", "dSPM"]

SNR: dict[Method, float] = {"eLORETA": 1.0, "dSPM": 0.1}
"""Ratio of amplitudes that the regularisation stands for. One is usual for EEG that is not averaged. dSPM with as much
puts single sources 38 mm beside their place, most often too deep; at a tenth it is a matched filter, and does not."""

_SPACING = "ico4"
_NOISE_V = 1e-6
"""Of each electrode by itself. While the brain is never at rest no recording shows noise alone; which part of EEG is
noise is the SNR's to say."""
_TO_NAM = 1e9
_BATCH = 256
"""Sources whose time courses are in memory at once."""


class SourceError(Exception):
    """Sources cannot be localised. The message says why, and what to do."""


@dataclass(frozen=True)
class SourceMap:
    """The linear map from EEG to what sources do.

    Attributes:
        weights: ``(n_sources, n_electrodes)`` for average-referenced EEG in V: to nA·m with eLORETA, to standard
            deviations of noise with dSPM.
        electrodes: their names, in the columns' order.
        places: ``(n_sources, 3)`` in mm, MNI coordinates.
        names: of the parcels, where sources are parcels.
    """

    weights: Singles
    electrodes: tuple[str, ...]
    places: Floats
    names: tuple[str, ...] = ()

    def log_band_power(self, raw: Any) -> Singles:
        """Log band power of each source four times a second, ``(n_hops, n_sources, n_bands)``.

        Hops and bands are those of the models' electrodes, and so is the causal preprocessing.
        """
        eeg = raw.get_data(list(self.electrodes))
        preprocessor = Preprocessor(PREPROCESSING, raw.info["sfreq"], len(eeg), HOP)
        slow = np.concatenate([block.data for block in preprocessor.push(eeg)], axis=1).astype(np.float32)
        batches = range(0, len(self.weights), _BATCH)
        return np.concatenate([log_band_power(self.weights[at : at + _BATCH] @ slow) for at in batches], axis=1)


def source_map(info: Any, method: Method = "eLORETA", files: HeadFiles | None = None, ico: int = ICO) -> SourceMap:
    """The map from a cleaned recording's EEG to the cortex.

    Args:
        info: ``mne.Info`` of the recording, whose electrodes have places on the template's head.
        method: how sources are told.
        files: the subject's own; the template's where None.
        ico: grade of the boundary meshes.

    Raises:
        SourceError: an electrode has no place, or files are missing.
    """
    # The systems are small: threads would but wait for each other.
    with threadpool_limits(1), nullcontext(files) if files else template_files() as head:
        forward, at_mni = _forward(info, head, ico)
        weights = _weights(forward, method)
    return SourceMap(weights, tuple(forward["info"]["ch_names"]), at_mni)


def parcel_map(sources: SourceMap) -> SourceMap:
    """What the sources around each parcel's centre have most in common: their first principal component.

    Parcels of no cortex, which EEG does not see, are left out.

    Args:
        sources: of the cortex.
    """
    atlas = parcels()
    cortical = np.flatnonzero([region.startswith("cortex") for region in atlas.regions])
    distance, nearest = cKDTree(atlas.centres[cortical]).query(sources.places)
    weights, kept = [], []
    for number, parcel in enumerate(cortical):
        of_parcel = sources.weights[(nearest == number) & (distance <= REACH_MM)]
        if len(of_parcel):
            _, sizes, common = np.linalg.svd(of_parcel, full_matrices=False)
            # Which way round it points is anyone's.
            sign = np.sign(common[0, np.abs(common[0]).argmax()])
            weights.append(sign * sizes[0] / np.sqrt(len(of_parcel)) * common[0])
            kept.append(parcel)
    return SourceMap(
        np.array(weights, np.float32),
        sources.electrodes,
        atlas.centres[kept],
        tuple(atlas.names[each] for each in kept),
    )


def _weights(forward: Any, method: Method) -> Singles:
    """The response to one volt at each electrode, which is all that a linear map is: ``(n_sources, n_electrodes)``."""
    names = forward["info"]["ch_names"]
    volts = mne.io.RawArray(np.eye(len(names)), mne.create_info(names, 1.0, "eeg"), verbose="error")
    volts.set_eeg_reference(projection=True, verbose="error")
    noise = mne.make_ad_hoc_cov(volts.info, {"eeg": _NOISE_V}, verbose="error")
    operator = mne.minimum_norm.make_inverse_operator(volts.info, forward, noise, loose=0.0, verbose="error")
    sources = mne.minimum_norm.apply_inverse_raw(volts, operator, 1 / SNR[method] ** 2, method, verbose="error").data
    return np.asarray(sources * (_TO_NAM if method == "eLORETA" else 1.0), np.float32)


def _forward(info: Any, head: HeadFiles, ico: int) -> tuple[Any, Floats]:
    """The forward solution of a head, and where its sources are in mm, MNI coordinates."""
    if missing := head.missing():
        raise SourceError(f"{missing[0]} is not there: run FreeSurfer's recon-all and mne watershed_bem")
    to_mni = head.to_mni()
    placed, to_mri = _electrodes(info, np.asarray(np.linalg.inv(to_mni), np.float64))
    where: dict[str, Any] = {"subjects_dir": head.subjects_dir, "verbose": "error"}
    source_space = mne.setup_source_space(head.subject, _SPACING, surface="white", add_dist=False, **where)
    shells = mne.make_bem_model(head.subject, ico, CONDUCTIVITY, **where)
    forward = mne.make_forward_solution(
        placed, to_mri, source_space, mne.make_bem_solution(shells, verbose="error"), meg=False, verbose="error"
    )
    cortex = [mne.read_label(path, head.subject) for path in head.cortex_labels()]
    forward = mne.forward.restrict_forward_to_label(forward, cortex)
    at_head = np.concatenate([space["rr"][space["vertno"]] for space in forward["src"]])
    return forward, 1e3 * apply_trans(to_mni, apply_trans(to_mri, at_head))


def _electrodes(info: Any, from_mni: Floats) -> tuple[Any, Any]:
    """The electrodes on a head to which MNI coordinates are mapped so, and its ``mne.Transform`` from head to MRI."""
    picks = mne.pick_types(info, eeg=True)
    names = [info["ch_names"][pick] for pick in picks]
    places = np.array([info["chs"][pick]["loc"][:3] for pick in picks])
    if nowhere := [name for name, place in zip(names, places, strict=True) if not np.any(np.nan_to_num(place))]:
        raise SourceError(f"electrode {nowhere[0]} has no place: set a montage")
    nasion, lpa, rpa = apply_trans(from_mni, template().fiducials)
    there = apply_trans(from_mni, apply_trans(head_to_mri(), places))
    montage = mne.channels.make_dig_montage(
        dict(zip(names, there, strict=True)), nasion, lpa, rpa, coord_frame="unknown"
    )
    placed = mne.create_info(names, 1.0, "eeg")
    placed.set_montage(montage)
    return placed, Transform("head", "mri", np.linalg.inv(get_ras_to_neuromag_trans(nasion, lpa, rpa)))
