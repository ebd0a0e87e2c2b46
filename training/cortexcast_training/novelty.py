"""How unlike the training data the EEG is: the largest of four distances, each in units of what is usual.

- Of the window: Mahalanobis' distance of what the transformer makes of the token that is streamed (Lee et al.,
  *NeurIPS* 2018).
- Of all EEG so far, by what its covariance shows (``adaptation.Context``): along the directions in which heads differ
  by Mahalanobis' distance, and along that of more noise.
- Of all EEG so far, by how often it was in each of the states that the net tells apart.

A headset of few electrodes shows something else on every head, so of all EEG so far each headset that was trained with
has statistics of its own, and the one counts that is nearest.

One is what one hop in a hundred exceeds, half of them of subjects that were not trained on. These alone are too few to
tell how far the most unusual head in a hundred lies.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cortexcast_training.adaptation import PRIOR_TOKENS, Context
from cortexcast_training.net import NetShape

_PRIOR_VISITS = 300.0
"""Tokens in the states as they are visited on average, that all EEG so far begins with: twelve seconds. The next token
is mostly in the same state, so it takes longer than for the covariance until what is seen is the wearer's own."""

_QUANTILE = 0.99
_RIDGE = 1e-3
_LEAST = 1e-6
"""Variance, and distance, below which all training data are alike."""


class Seen(NamedTuple):
    """What is scored of hops.

    Attributes:
        hidden: ``(batch, width)``, what the transformer makes of the token that is streamed.
        context: what the EEG so far has shown.
        visited: ``(batch, n_experts)``, how many tokens so far were in each state.
        worn: ``(batch,)``, the number of the headset, known while learning alone.
    """

    hidden: Tensor
    context: Context
    visited: Tensor
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
    usual_visits: Tensor
    whiteners: Tensor
    units: Tensor
    unit: Tensor

    def __init__(self, shape: NetShape, n_headsets: int) -> None:
        super().__init__()
        heads, size = shape.n_features, shape.n_features + 1 + shape.n_experts
        # Of what all EEG so far shows: heads, noise, states.
        self._apart = (slice(0, heads), slice(heads, heads + 1), slice(heads + 1, size))
        self.register_buffer("mean", torch.zeros(shape.width))
        self.register_buffer("whitener", torch.eye(shape.width))
        self.register_buffer("usual", torch.zeros(n_headsets, heads + 1))
        self.register_buffer("usual_visits", torch.zeros(n_headsets, shape.n_experts))
        self.register_buffer("whiteners", torch.eye(size).repeat(n_headsets, 1, 1))
        self.register_buffer("units", torch.ones(n_headsets, len(self._apart)))
        self.register_buffer("unit", torch.ones(()))

    def forward(self, hidden: Tensor, context: Context, visited: Tensor) -> Tensor:
        """The score, ``(batch,)``."""
        so_far = (self._so_far(context, visited) / self.units).amax(dim=2).amin(dim=1)
        return torch.maximum(self._window(hidden) / self.unit, so_far)

    @torch.no_grad()
    def calibrate(self, train: Iterable[Seen], held_out: Iterable[Seen]) -> None:
        """Learn what is usual from training subjects, and the units from them and others.

        Args:
            train: batches, of each headset in some.
            held_out: likewise, as many.
        """
        known = _joined(train)
        everyone = _joined([known, *held_out])
        self.mean.copy_(known.hidden.mean(dim=0))
        self.whitener.copy_(_whitener(known.hidden - self.mean))
        for headset in range(len(self.usual)):
            _, context, visited, _ = _of(known, headset)
            self.usual[headset] = context.features.sum(dim=0) / context.tokens.sum()
            self.usual_visits[headset] = visited.sum(dim=0) / visited.sum().clamp_min(_LEAST)
            away = self._away(context, visited)[:, headset]
            for part in self._apart:
                self.whiteners[headset, part, part] = _whitener(away[:, part])
            _, context, visited, _ = _of(everyone, headset)
            self.units[headset] = (
                self._so_far(context, visited)[:, headset].quantile(_QUANTILE, dim=0).clamp_min(_LEAST)
            )
        self.unit.copy_(self._window(everyone.hidden).quantile(_QUANTILE))
        # Each is exceeded by one hop in a hundred, so the largest of all by more.
        together = self(everyone.hidden, everyone.context, everyone.visited).quantile(_QUANTILE)
        self.unit.mul_(together)
        self.units.mul_(together)

    @torch.no_grad()
    def know(self, context: Context) -> None:
        """Take for usual what one wearer's covariance shows with all electrodes, in place of the average head's."""
        self.usual[0] = context.features[0] / context.tokens[0]

    def _window(self, hidden: Tensor) -> Tensor:
        white = (hidden - self.mean) @ self.whitener
        return (white * white).mean(dim=1)

    def _so_far(self, context: Context, visited: Tensor) -> Tensor:
        """By headset, of heads, of noise and of states: ``(batch, n_headsets, 3)``."""
        white = (self._away(context, visited).unsqueeze(2) @ self.whiteners).squeeze(2)
        square = white * white
        return torch.stack([square[:, :, part].mean(dim=2) for part in self._apart], dim=2)

    def _away(self, context: Context, visited: Tensor) -> Tensor:
        """From what is usual with each headset, ``(batch, n_headsets, n_features + 1 + n_experts)``."""
        of_context = _away(*context, self.usual, PRIOR_TOKENS)
        return torch.cat(
            [of_context, _away(visited, visited.sum(dim=1, keepdim=True), self.usual_visits, _PRIOR_VISITS)], dim=2
        )


def _away(sums: Tensor, tokens: Tensor, usual: Tensor, prior: float) -> Tensor:
    """How far the mean over tokens is from what is usual; little of what is new."""
    return (sums.unsqueeze(1) - tokens.unsqueeze(1) * usual) / (tokens + prior).unsqueeze(1)


def _joined(batches: Iterable[Seen]) -> Seen:
    every = list(batches)
    features, tokens = (torch.cat(parts) for parts in zip(*(each.context for each in every), strict=True))
    hidden, visited, worn = (
        torch.cat(parts) for parts in zip(*((each.hidden, each.visited, each.worn) for each in every), strict=True)
    )
    return Seen(hidden, Context(features, tokens), visited, worn)


def _of(seen: Seen, headset: int) -> Seen:
    these = seen.worn == headset
    return Seen(
        seen.hidden[these], Context(*(part[these] for part in seen.context)), seen.visited[these], seen.worn[these]
    )


def _whitener(away: Tensor) -> Tensor:
    """What makes vectors ``(n, size)`` about nothing white: ``(size, size)``."""
    covariance = away.double().T @ away.double() / len(away)
    covariance += _RIDGE * covariance.diagonal().mean() * torch.eye(len(covariance), dtype=torch.float64)
    values, vectors = torch.linalg.eigh(covariance)
    whitener: Tensor = vectors / values.clamp_min(_LEAST).sqrt()
    return whitener
