"""Whether the latent is used: dimensions that hardly change with what is shown have collapsed onto the prior."""

from __future__ import annotations

import torch

from cortexcast_training.eegfmri.moments import Moments
from cortexcast_training.eegfmri.vae import EEG, Vae

_ACTIVE = 0.01
"""Variance of a dimension's posterior mean over moments, of the prior's one (Burda et al., arXiv:1509.00519)."""

_LEAST_SHARE = 0.25


class CollapseError(Exception):
    """The latent of a net has collapsed. The message says how far, and what to do."""


@torch.no_grad()
def active_units(vae: Vae, moments: Moments) -> int:
    """Dimensions of the latent that EEG alone moves."""
    means = torch.cat([vae.posterior({EEG: given[EEG]}).mean for given in moments.batches()])
    return int((means.var(dim=0) > _ACTIVE).sum())


def check_active(active: int, latent: int) -> None:
    """Make sure that the latent is used.

    Raises:
        CollapseError: fewer than a quarter of its dimensions are active.
    """
    if active < _LEAST_SHARE * latent:
        raise CollapseError(
            f"the latent has collapsed: EEG alone moves {active} of {latent} dimensions. Train with more free_nats or "
            "a smaller beta, on more subjects, or with a smaller latent"
        )
