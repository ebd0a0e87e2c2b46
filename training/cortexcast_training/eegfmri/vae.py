"""A variational autoencoder of several modalities: one latent for EEG, BOLD and what is seen, whichever are there.

Each modality has an encoder of its own that gives a Gaussian over the latent; the posterior is their product with the
prior, so that any of them may be missing. Each has a linear decoder with a variance of its own for each output. In the
place of what is missing within a modality, a hop of EEG or a parcel, stands a learned token.

The latent is of one moment. Its EEG is the band power of the last ``N_HOPS`` hops, its BOLD that of the moment, its
stimulus what was seen as long ago as BOLD is late.

Sources: Kingma & Welling (2014); product of experts, Wu & Goodman, *NeurIPS* (2018).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cortexcast_training.eegfmri.band_power import HOP, RATE_HZ

Singles = NDArray[np.float32]

EEG, BOLD, STIMULUS = "eeg", "bold", "stimulus"

N_HOPS = 80
"""Of band power that a moment's EEG is: 20 s."""

HOPS_PER_BIN = 4
"""Hops that the decoder gives as one, their mean."""

_CENTRES_S = (1.0, 2.2, 3.5, 5.0, 6.5, 8.5, 11.0, 14.5)
"""How long ago the encoder looks: bumps over the last 20 s, wider the longer ago."""

_HOP_S = HOP / RATE_HZ


@dataclass(frozen=True)
class VaeShape:
    """Sizes of the net.

    Attributes:
        n_features: of EEG in a hop: electrodes times bands.
        n_parcels: of BOLD.
        n_dimensions: of the stimulus; zero for a net that knows none.
        n_filters: linear combinations of the features whose course the encoder follows.
        width: of the encoders' hidden layers.
        latent: dimensions.
    """

    n_features: int
    n_parcels: int
    n_dimensions: int = 0
    n_filters: int = 32
    width: int = 128
    latent: int = 32


class Gaussian(NamedTuple):
    """Independent Gaussians.

    Attributes:
        mean: ``(..., n)``.
        log_variance: the same shape, or one that broadcasts to it.
    """

    mean: Tensor
    log_variance: Tensor


class EegEncoder(nn.Module):
    """Of ``(batch, N_HOPS, n_features)`` band power, oldest first."""

    bumps: Tensor

    def __init__(self, shape: VaeShape) -> None:
        super().__init__()
        self.filters = nn.Linear(shape.n_features, shape.n_filters, bias=False)
        self.register_buffer("bumps", torch.from_numpy(bumps()))
        self.expert = Expert(shape.n_filters * len(_CENTRES_S), shape)

    def forward(self, power: Tensor) -> Gaussian:
        """The expert's opinion."""
        expert: Gaussian = self.expert(self.looks(self.filters(power)))
        return expert

    def looks(self, filtered: Tensor) -> Tensor:
        """What the expert is told of filters' courses, ``(batch, N_HOPS, n_filters)``: by bumps, ``(batch, n)``."""
        return torch.matmul(self.bumps, filtered).flatten(1)


class Expert(nn.Module):
    """A linear map to the latent's mean, a net that corrects it and says how sure it is."""

    def __init__(self, n_inputs: int, shape: VaeShape) -> None:
        super().__init__()
        self.linear = nn.Linear(n_inputs, shape.latent)
        self.hidden = nn.Linear(n_inputs, shape.width)
        self.correction = nn.Linear(shape.width, 2 * shape.latent)
        nn.init.zeros_(self.correction.weight)
        nn.init.zeros_(self.correction.bias)

    def forward(self, inputs: Tensor) -> Gaussian:
        """Of ``(batch, n_inputs)``."""
        return self.second(self.first(inputs))

    def first(self, inputs: Tensor) -> Tensor:
        """Its linear half: ``(batch, latent + width)``."""
        return torch.cat([self.linear(inputs), self.hidden(inputs)], dim=-1)

    def second(self, activations: Tensor) -> Gaussian:
        """The other, of what the first gives."""
        linear, hidden = activations.split([self.linear.out_features, self.hidden.out_features], dim=-1)
        more, log_variance = self.correction(nn.functional.gelu(hidden)).chunk(2, dim=-1)
        return Gaussian(linear + more, log_variance)


class Decoder(nn.Module):
    """Linear, with a variance of each output."""

    def __init__(self, latent: int, n_outputs: int, n_variances: int) -> None:
        super().__init__()
        self.linear = nn.Linear(latent, n_outputs)
        self.log_variance = nn.Parameter(torch.zeros(n_variances))


class Vae(nn.Module):
    """EEG and BOLD, and what is seen where ``shape.n_dimensions`` is above zero.

    All that goes in and comes out is in units of the training data's standard deviations.
    """

    def __init__(self, shape: VaeShape) -> None:
        super().__init__()
        self.shape = shape
        self.encoders = nn.ModuleDict({EEG: EegEncoder(shape), BOLD: Expert(shape.n_parcels, shape)})
        self.decoders = nn.ModuleDict(
            {
                EEG: Decoder(shape.latent, N_HOPS // HOPS_PER_BIN * shape.n_features, shape.n_features),
                BOLD: Decoder(shape.latent, shape.n_parcels, shape.n_parcels),
            }
        )
        self.tokens = nn.ParameterDict({EEG: torch.zeros(shape.n_features), BOLD: torch.zeros(shape.n_parcels)})
        if shape.n_dimensions:
            self.encoders[STIMULUS] = Expert(shape.n_dimensions, shape)
            self.decoders[STIMULUS] = Decoder(shape.latent, shape.n_dimensions, shape.n_dimensions)

    @property
    def modalities(self) -> tuple[str, ...]:
        """What it knows."""
        return tuple(self.encoders)

    def posterior(self, given: Mapping[str, Tensor]) -> Gaussian:
        """Of the latent, given some modalities."""
        return product([self.encoders[name](values) for name, values in given.items()])

    def decode(self, latent: Tensor) -> dict[str, Gaussian]:
        """Each modality given the latent ``(batch, latent)``: EEG ``(batch, n_bins, n_features)``, oldest first."""
        decoded = {}
        for name, decoder in self.decoders.items():
            assert isinstance(decoder, Decoder)
            mean = decoder.linear(latent)
            if name == EEG:
                mean = mean.unflatten(-1, (-1, self.shape.n_features))
            decoded[name] = Gaussian(mean, decoder.log_variance)
        return decoded

    def estimate(self, given: Mapping[str, Tensor], name: str) -> Gaussian:
        """One modality given some: its noise and the doubt about the latent are in the variance."""
        posterior = self.posterior(given)
        mean, log_variance = self.decode(posterior.mean)[name]
        decoder = self.decoders[name]
        assert isinstance(decoder, Decoder)
        doubt = (posterior.log_variance.exp() @ (decoder.linear.weight**2).T).reshape(mean.shape)
        return Gaussian(mean, (log_variance.exp() + doubt).log())

    def seeing(self, shown: Mapping[str, Tensor], names: Iterable[str]) -> dict[str, Tensor]:
        """Of a moment what encoders of these modalities see: the token stands for parcels that are NaN."""
        given = {name: shown[name] for name in names}
        return given | {
            name: self.masked(name, given[name], given[name].isnan().float()) for name in given if name == BOLD
        }

    def masked(self, name: str, values: Tensor, mask: Tensor) -> Tensor:
        """With the token where ``mask`` is one: ``(batch, N_HOPS)`` of EEG, ``(batch, n_parcels)`` of BOLD."""
        if name == EEG:
            mask = mask.unsqueeze(-1)
        token: Tensor = self.tokens[name]
        return torch.where(mask > 0, token, values)


def product(experts: list[Gaussian]) -> Gaussian:
    """The product of Gaussians over the latent with the prior, whose variance is one."""
    precisions = torch.stack([torch.exp(-each.log_variance) for each in experts])
    weighted = (precisions * torch.stack([each.mean for each in experts])).sum(dim=0)
    total = 1.0 + precisions.sum(dim=0)
    return Gaussian(weighted / total, -total.log())


def binned(power: Tensor) -> Tensor:
    """What the decoder gives of EEG: ``(batch, N_HOPS, n)`` to ``(batch, N_HOPS / HOPS_PER_BIN, n)``."""
    return torch.mean(power.unflatten(1, (-1, HOPS_PER_BIN)), dim=2)


def bumps() -> Singles:
    """Weights ``(n, N_HOPS)`` of hops, oldest first; each row adds up to one."""
    ago_s = _HOP_S * np.arange(N_HOPS)[::-1]
    centres = np.array(_CENTRES_S)[:, np.newaxis]
    weights = np.exp(-0.5 * ((ago_s - centres) / (0.6 + 0.15 * centres)) ** 2)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)
