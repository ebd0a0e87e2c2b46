"""Where the brain is in volumes of BOLD."""

from __future__ import annotations

import warnings

import nibabel
import numpy as np
from nibabel.nifti1 import Nifti1Image
from nilearn.masking import compute_epi_mask
from numpy.typing import NDArray

from cortexcast_training.eegfmri.bold_file import BoldError

_THIN_MM = 6.0
"""What is thinner than twice this is no brain, but eyes or a rim of skin."""

_LEAST_LITRES = 0.1
"""Of brain, even where a few slices of it were scanned."""


def brain_mask(mean: Nifti1Image) -> NDArray[np.bool_]:
    """The brain, ``(x, y, z)``, by its brightness.

    Args:
        mean: over volumes.

    Raises:
        BoldError: there is none.
    """
    voxel_mm = nibabel.affines.voxel_sizes(mean.affine)
    with warnings.catch_warnings():
        # An empty mask is an error here, not a warning.
        warnings.simplefilter("ignore")
        found = np.asarray(compute_epi_mask(mean, opening=round(_THIN_MM / voxel_mm.max())).dataobj) > 0
    if found.sum() * voxel_mm.prod() < 1e6 * _LEAST_LITRES:
        raise BoldError("no brain is to be seen in the mean volume: is this BOLD, and not a phantom or a field map?")
    return found
