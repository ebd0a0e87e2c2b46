"""How unlike the training data the EEG is: the larger of two distances, each in units of what is usual.

- Of the window: Mahalanobis' distance of what the transformer makes of the token that is streamed (Lee et al.,
  *NeurIPS* 2018).
- Of all EEG so far, by what its covariance shows (``adaptation.Context``): along the directions in which heads differ
  by Mahalanobis' distance, and along that of more noise; of both the larger. A headset of few electrodes shows
  something else on every head, so each headset that was trained with has statistics of its own, and the one counts that
  is nearest.

One is what one hop in a hundred of subjects that were not trained on exceeds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cortexcast_training.adaptation import PRIOR_TOKENS, Context
from cortexcast_training.net import NetShape

_QUANTILE = 0.99
_RIDGE = 1e-3
_LEAST = 1e-6
"""Variance, and distance, below which all training data are alike."""


class Seen(NamedTuple):
    """What is scored of hops.

    Attributes:
        hidden: ``(batch, width)``, what the transformer makes of the token that is streamed.
        context: what the EEG so far has shown.
        worn: ``(batch,)``, the number of the headset, known while learning alone.
    """

    hidden: Tensor
    context: Context
    worn: Tensor


class Novelty(nn.Module):
    """Score hops.

    Args:
        shape: of the net.
        n_headsets: that it was trained with.
    """

    mean: Tensor
    whitener: Tensor
    usual: Tensor
    whiteners: Tensor
    units: Tensor
    unit: Tensor

    def __init__(self, shape: NetShape, n_headsets: int) -> None:
        super().__init__()
        size = shape.n_features + 1
        self.register_buffer("mean", torch.zeros(shape.width))
        self.register_buffer("whitener", torch.eye(shape.width))
        self.register_buffer("usual", torch.zeros(n_headsets, size))
        self.register_buffer("whiteners", torch.eye(size).repeat(n_headsets, 1, 1))
        self.register_buffer("units", torch.ones(n_headsets, 2))
        self.register_buffer("unit", torch.ones(()))

    def forward(self, hidden: Tensor, context: Context) -> Tensor:
        """The score, ``(batch,)``."""
        so_far = (self._so_far(context) / self.units).amax(dim=2).amin(dim=1)
        return torch.maximum(self._window(hidden) / self.unit, so_far)

    @torch.no_grad()
    def calibrate(self, train: Iterable[Seen], held_out: Iterable[Seen]) -> None:
        """Learn what is usual from training subjects, and the units from others.

        Args:
            train: batches, of each headset in some.
            held_out: likewise.
        """
        known, others = _joined(train), _joined(held_out)
        self.mean.copy_(known.hidden.mean(dim=0))
        self.whitener.copy_(_whitener(known.hidden - self.mean))
        for headset in range(len(self.usual)):
            of_heads = _of(known, headset)
            features, tokens = of_heads.context
            self.usual[headset] = features.sum(dim=0) / tokens.sum()
            away = self._away(of_heads.context)[:, headset]
            self.whiteners[headset, :-1, :-1] = _whitener(away[:, :-1])
            self.whiteners[headset, -1:, -1:] = _whitener(away[:, -1:])
            distances = self._so_far(_of(others, headset).context)[:, headset]
            self.units[headset] = distances.quantile(_QUANTILE, dim=0).clamp_min(_LEAST)
        self.unit.copy_(self._window(others.hidden).quantile(_QUANTILE))
        # Each is exceeded by one hop in a hundred, so the largest of all by more.
        together = self(others.hidden, others.context).quantile(_QUANTILE)
        self.unit.mul_(together)
        self.units.mul_(together)

    @torch.no_grad()
    def know(self, context: Context) -> None:
        """Take for usual what one wearer shows with all electrodes, in place of the average head."""
        self.usual[0] = context.features[0] / context.tokens[0]

    def _window(self, hidden: Tensor) -> Tensor:
        white = (hidden - self.mean) @ self.whitener
        return (white * white).mean(dim=1)

    def _so_far(self, context: Context) -> Tensor:
        """By headset, along the directions of heads and along that of noise: ``(batch, n_headsets, 2)``."""
        white = (self._away(context).unsqueeze(2) @ self.whiteners).squeeze(2)
        square = white * white
        return torch.stack([square[:, :, :-1].mean(dim=2), square[:, :, -1]], dim=2)

    def _away(self, context: Context) -> Tensor:
        """From what is usual with each headset, ``(batch, n_headsets, n_features + 1)``; little of what is new."""
        away = context.features.unsqueeze(1) - context.tokens.unsqueeze(1) * self.usual
        return away / (context.tokens + PRIOR_TOKENS).unsqueeze(1)


def _joined(batches: Iterable[Seen]) -> Seen:
    every = list(batches)
    features, tokens = (torch.cat(parts) for parts in zip(*(each.context for each in every), strict=True))
    hidden, worn = (torch.cat(parts) for parts in zip(*((each.hidden, each.worn) for each in every), strict=True))
    return Seen(hidden, Context(features, tokens), worn)


def _of(seen: Seen, headset: int) -> Seen:
    these = seen.worn == headset
    return Seen(seen.hidden[these], Context(*(part[these] for part in seen.context)), seen.worn[these])


def _whitener(away: Tensor) -> Tensor:
    """What makes vectors ``(n, size)`` about nothing white: ``(size, size)``."""
    covariance = away.double().T @ away.double() / len(away)
    covariance += _RIDGE * covariance.diagonal().mean() * torch.eye(len(covariance), dtype=torch.float64)
    values, vectors = torch.linalg.eigh(covariance)
    whitener: Tensor = vectors / values.clamp_min(_LEAST).sqrt()
    return whitener
