"""A run as a net sees it, at those volumes before which there was enough EEG. In units of the training data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cortexcast_training.eegfmri.centring import centred
from cortexcast_training.eegfmri.moments import settled
from cortexcast_training.eegfmri.runs import Run, RunError
from cortexcast_training.eegfmri.targets import bold, seen
from cortexcast_training.eegfmri.vae import BOLD, EEG, HOPS_PER_BIN, N_HOPS, STIMULUS
from cortexcast_training.masking.net import MaskedNet

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Numbers = NDArray[np.int64]

N_BINS = N_HOPS // HOPS_PER_BIN


@dataclass(frozen=True)
class Seen:
    """A run of one subject.

    Attributes:
        power: ``(n_hops, n_features)``, against the wearer's mean so far.
        volumes: ``(n,)``, those volumes of the run.
        hops: ``(n,)``, the hop that ends when each is taken.
        tr_s: from volume to volume.
        recorded: by modality, ``(n, n_outputs)`` of each volume: EEG of its last 20 s, bin by bin; NaN where unknown.
    """

    power: Singles
    volumes: Numbers
    hops: Numbers
    tr_s: float
    recorded: Mapping[str, Singles]

    @property
    def n_volumes(self) -> int:
        """That count."""
        return len(self.hops)

    def only(self, volumes: Numbers) -> Seen:
        """The same run at these of its volumes alone."""
        kept = np.isin(self.volumes, volumes)
        recorded = {name: values[kept] for name, values in self.recorded.items()}
        return replace(self, volumes=self.volumes[kept], hops=self.hops[kept], recorded=recorded)

    def windows(self, courses: Singles) -> Singles:
        """Of courses ``(n_hops, n)`` each volume's last hops: ``(n_volumes, N_HOPS, n)``; zero before the first."""
        padded = np.concatenate([np.zeros((N_HOPS, courses.shape[1]), np.float32), courses])
        return padded[self.window_hops + N_HOPS]

    @property
    def window_hops(self) -> Numbers:
        """Their numbers, ``(n_volumes, N_HOPS)``; negative before the first."""
        return self.hops[:, np.newaxis] + np.arange(1 - N_HOPS, 1)


def see(run: Run, net: MaskedNet) -> Seen:
    """A run for a net.

    Raises:
        RunError: it has other electrodes, bands, parcels or dimensions than the net, or is too short.
    """
    power = centred(run.power).reshape(len(run.power), -1)
    sizes = {"features of EEG": (power.shape[1], len(net.unit("power"))), "parcels": (len(run.bold), net.n_parcels)}
    if net.knows_stimulus:
        if run.stimulus is None:
            raise RunError(f"{run.name}: nothing is known of what was seen: give a `--model` of fMRI alone")
        sizes["dimensions of what was seen"] = run.stimulus.embedding.shape[1], len(net.unit("embedding"))
    for what, (has, wanted) in sizes.items():
        if has != wanted:
            raise RunError(f"{run.name} has {has} {what}, the model {wanted}: it is of another model's data")
    volumes = settled(run, with_stimulus=net.knows_stimulus)
    power = np.asarray(power / net.unit("power"), np.float32)
    found = Seen(power, volumes, run.hops[volumes], run.tr_s, {})
    windows = found.windows(power)
    recorded = {
        EEG: windows.reshape(len(volumes), N_BINS, HOPS_PER_BIN, -1).mean(axis=2).reshape(len(volumes), -1),
        BOLD: (bold(run)[volumes] / net.unit("bold")).astype(np.float32),
    }
    if net.knows_stimulus:
        points = (seen(run)[volumes] - net.unit("embedding_mean")) / net.unit("embedding")
        recorded[STIMULUS] = points.astype(np.float32)
    return replace(found, recorded=recorded)
