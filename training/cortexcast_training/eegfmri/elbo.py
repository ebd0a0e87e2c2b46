"""What the autoencoder is trained by: the evidence of all modalities given any of them.

For all modalities together and for EEG and BOLD alone: how likely all of them are under the latent's posterior, less
its divergence from the prior. Models that never see one modality alone fail at exactly that. One term more draws the
posterior of EEG alone to that of all. Decoders are linear, so expectations over the latent are exact: nothing is
sampled.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat
from torch import Tensor

from cortexcast_models.manifest import Strict
from cortexcast_training.eegfmri.vae import BOLD, EEG, STIMULUS, Decoder, Gaussian, Vae


class ElboSettings(Strict):
    """How much each term counts."""

    eeg_weight: PositiveFloat = 0.03
    """Of the likelihood of EEG, which has many more outputs than BOLD, one being one."""
    stimulus_weight: PositiveFloat = 20.0
    """Of that of the stimulus, which has fewer."""
    beta: NonNegativeFloat = 1.0
    """Of the divergence from the prior, once it is warm."""
    free_nats: NonNegativeFloat = 0.05
    """Of each dimension of the latent, which cost nothing: else dimensions that carry little die at the beginning."""
    alone_to_all: NonNegativeFloat = Field(0.5)
    """Of the divergence of the posterior of all modalities from that of EEG alone."""


def loss(
    vae: Vae, given: Mapping[str, Tensor], shown: Mapping[str, Tensor], settings: ElboSettings, beta: float
) -> Tensor:
    """Nats of a moment, over all terms, to be made small.

    Args:
        vae: the net.
        given: what encoders see of each modality, masked.
        shown: what decoders are to give of it.
        settings: how much each term counts.
        beta: share of ``settings.beta`` that counts now.
    """
    posteriors = {tuple(given): vae.posterior(given)}
    posteriors |= {(name,): vae.posterior({name: given[name]}) for name in (EEG, BOLD)}
    terms = [
        settings.beta * beta * _divergence_from_prior(posterior, settings.free_nats)
        - log_likelihood(vae, posterior, shown, settings)
        for posterior in posteriors.values()
    ]
    total = torch.stack(terms).mean()
    apart = divergence(posteriors[tuple(given)], posteriors[EEG,])
    return total + settings.alone_to_all * beta * apart.sum(dim=-1).mean()


def log_likelihood(vae: Vae, posterior: Gaussian, shown: Mapping[str, Tensor], settings: ElboSettings) -> Tensor:
    """Of all modalities, expected over the latent, weighted, mean over the batch, in nats."""
    weights = {EEG: settings.eeg_weight, BOLD: 1.0, STIMULUS: settings.stimulus_weight}
    decoded = vae.decode(posterior.mean)
    total = torch.zeros((), device=posterior.mean.device)
    for name, values in shown.items():
        decoder = vae.decoders[name]
        assert isinstance(decoder, Decoder)
        mean, log_variance = decoded[name]
        spread = (posterior.log_variance.exp() @ (decoder.linear.weight**2).T).reshape(mean.shape)
        # What was not recorded is NaN: nothing is asked of it.
        known = torch.isfinite(values)
        nats = known * (log_variance + ((values.nan_to_num() - mean) ** 2 + spread) * torch.exp(-log_variance))
        total = total - 0.5 * weights[name] * nats.flatten(1).sum(dim=1).mean()
    return total


def divergence(posterior: Gaussian, other: Gaussian) -> Tensor:
    """Kullback-Leibler, of each dimension, in nats."""
    ratio = posterior.log_variance - other.log_variance
    apart = (posterior.mean - other.mean) ** 2 * torch.exp(-other.log_variance)
    return 0.5 * (ratio.exp() + apart - 1 - ratio)


def _divergence_from_prior(posterior: Gaussian, free_nats: float) -> Tensor:
    prior = Gaussian(torch.zeros_like(posterior.mean), torch.zeros_like(posterior.mean))
    return divergence(posterior, prior).mean(dim=0).clamp_min(free_nats).sum()
