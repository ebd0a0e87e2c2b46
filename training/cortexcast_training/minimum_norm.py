"""The linear map from EEG to MEG that a Gaussian prior on the cortex implies.

With sources ``q ~ N(0, s² R)``, EEG ``x = G_e q + n``, ``n ~ N(0, s² λC)`` and MEG ``m = G_m q``, the mean and
covariance of ``m`` given ``x`` are ``W x`` and ``s² (G_m R G_mᵀ − W G_e R G_mᵀ)`` with
``W = G_m R G_eᵀ (G_e R G_eᵀ + λC)⁻¹``. For a Gaussian nothing does better, linear or not.

Source: Hämäläinen & Ilmoniemi, *Med. Biol. Eng. Comput.* 32 (1994), with MEG in place of the sources as what is sought.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.sparse
from numpy.typing import NDArray
from scipy.sparse.linalg import SuperLU, splu

from cortexcast_training.leadfield import Cortex, LeadFields

Floats = NDArray[np.float64]

RANGE_M = 0.02
"""Distance along the cortex at which two sources' correlation falls to 0.14; it is a half at 9 mm. The correlation adds
up to an area of 4π/κ² = 6.3 cm² (κ = √8 / range); activity in step over less than about 6 cm² does not reach the scalp
(Cooper et al., *Electroencephalogr. Clin. Neurophysiol.* 18 (1965))."""

SNR = 3.0
"""Ratio of the RMS of the EEG from the cortex to that of the noise, as is usual for minimum norm estimates. An
amplifier does better; but the noise stands also for a wearer whose head is not the template's."""


@dataclass(frozen=True)
class Fields:
    """What a random cortex shows: factors ``F`` of covariances ``F Fᵀ = G R Gᵀ``.

    Scaled so that the EEG's mean variance is 1 V²: ``s`` is then about the EEG's RMS in volts.

    Attributes:
        eeg: ``(n_electrodes, n)`` in V, average referenced.
        meg: ``(n_sensors, n)`` in T or T/m.
    """

    eeg: Floats
    meg: Floats


@dataclass(frozen=True)
class Estimator:
    """The estimate of MEG from average-referenced EEG and its standard deviation.

    Attributes:
        weights: ``W``, ``(n_sensors, n_electrodes)``, in T/V or T/(m·V).
        whitener: symmetric ``(n_electrodes, n_electrodes)``; the mean square of ``whitener @ x`` is ``s²``.
        unit_std: ``(n_sensors,)``, the standard deviation of the estimate where ``s`` is 1 V.
        prior_variance: ``(n_sensors,)``, the variance of the MEG itself where ``s`` is 1 V.
    """

    weights: Floats
    whitener: Floats
    unit_std: Floats
    prior_variance: Floats

    def explained_variance(self, sensors: NDArray[np.bool_]) -> float:
        """The part of the sensors' variance that the estimate explains if the prior is true, noise-free MEG."""
        return 1.0 - float((self.unit_std[sensors] ** 2).sum() / self.prior_variance[sensors].sum())


def random_fields(lead: LeadFields, range_m: float = RANGE_M) -> Fields:
    """The fields of a Matérn random field on the cortex.

    The density of dipole moment ``u`` along the normals solves ``(κ² − Δ) u = white noise`` on the folded sheet
    (Lindgren, Rue & Lindström, *J. R. Stat. Soc. B* 73 (2011)), so smoothness follows the cortex and not the straight
    line across a sulcus, and does not depend on the mesh.

    Args:
        lead: the lead fields.
        range_m: where the correlation falls to 0.14.
    """
    system, area = matern_system(lead.cortex, range_m)
    gains = np.vstack([lead.eeg, lead.meg]) * area  # a vertex's moment is its density times its area
    factor = system.solve(gains.T).T * np.sqrt(area)
    factor /= np.sqrt((factor[: len(lead.eeg)] ** 2).sum(axis=1).mean())
    return Fields(factor[: len(lead.eeg)], factor[len(lead.eeg) :])


def matern_system(cortex: Cortex, range_m: float) -> tuple[SuperLU, Floats]:
    """The factors of ``κ² − Δ`` in linear finite elements, and each vertex's area in m².

    With ``L`` the operator and ``M`` the diagonal of areas, the field's covariance is ``L⁻¹ M L⁻¹``.
    """
    stiffness, area = _finite_elements(cortex)
    return splu(((8.0 / range_m**2) * scipy.sparse.diags_array(area) + stiffness).tocsc()), area


def fit(fields: Fields, snr: float = SNR) -> Estimator:
    """The estimator for these fields; ``snr`` is a ratio of amplitudes."""
    n = len(fields.eeg)
    # The average reference takes one dimension away, from the noise as well.
    noise = (np.eye(n) - 1.0 / n) * n / (n - 1) / snr**2
    inverse = np.asarray(scipy.linalg.pinvh(fields.eeg @ fields.eeg.T + noise, rtol=1e-9), np.float64)
    cross = fields.meg @ fields.eeg.T
    weights = cross @ inverse
    prior_variance = (fields.meg**2).sum(axis=1)
    residual = prior_variance - np.einsum("me,me->m", weights, cross)
    whitener = _square_root(inverse) * np.sqrt(n / (n - 1))
    return Estimator(weights, whitener, np.sqrt(residual), prior_variance)


def _finite_elements(cortex: Cortex) -> tuple[scipy.sparse.csr_array[np.float64], Floats]:
    """The stiffness matrix of linear elements (``∫∇φᵢ·∇φⱼ``, by cotangents) and each vertex's area, m²."""
    n = len(cortex.positions)
    corners = cortex.positions[cortex.faces]
    doubled_area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    area = np.zeros(n)
    rows, columns, values = [], [], []
    for corner in range(3):
        np.add.at(area, cortex.faces[:, corner], doubled_area / 6)
        left, right = (corner + 1) % 3, (corner + 2) % 3
        to_left, to_right = corners[:, left] - corners[:, corner], corners[:, right] - corners[:, corner]
        half_cotangent = (to_left * to_right).sum(axis=1) / doubled_area / 2
        i, j = cortex.faces[:, left], cortex.faces[:, right]
        rows += [i, j, i, j]
        columns += [i, j, j, i]
        values += [half_cotangent, half_cotangent, -half_cotangent, -half_cotangent]
    entries = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
    stiffness = scipy.sparse.coo_array(entries, shape=(n, n)).tocsr()
    return stiffness, area


def _square_root(matrix: Floats) -> Floats:
    """The symmetric square root. It is unique, other than factors made of eigenvectors, whose signs are any."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.sqrt(values.clip(0))) @ vectors.T, np.float64)
