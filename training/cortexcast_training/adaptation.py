"""How a wearer's head differs from the average one, told from their EEG alone while it is streamed.

Where brains are active in like places, what the covariance of their EEG differs by is the head: its size, its skull,
where the electrodes sit. To a net that knows the average head such a difference is, near enough, a linear mixture of
the electrodes before it and one of its fields after it, and these vary together in a few modes (``head_modes``). So
the covariance of all EEG so far tells how much of each mode to undo. Ten seconds tell most of it.

Source: to align the covariances of subjects, He & Wu, *IEEE Trans. Biomed. Eng.* 67 (2020).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

FADING_TOKENS = 7500
"""Tokens after which their share in the memory has fallen to 1/e: five minutes of 40 ms each."""

PRIOR_TOKENS = 100.0
"""Of EEG as it is on average, that each memory begins with: four seconds."""

_UNUSUAL = 4.0
"""Mean square of the features, of which training heads have one, at which they are believed by half."""

_SMALLEST_POWER = 1e-6
"""Of a token, where the training data's is one: less is a dead signal, which tells nothing."""


class Context(NamedTuple):
    """What the EEG of wearers has shown so far.

    Attributes:
        features: ``(batch, n_features + 1)``: along each direction, the sum over tokens of how far their covariance is
            from the average.
        tokens: ``(batch, 1)``, how many.
    """

    features: Tensor
    tokens: Tensor


class Mixtures(NamedTuple):
    """By which a head differs from the average one; to be added to the identity.

    Attributes:
        eeg: ``(batch, n_electrodes, n_electrodes)``, before the net.
        fields: ``(batch, n_components, n_components)``, after it.
    """

    eeg: Tensor
    fields: Tensor


class HeadStatistics(NamedTuple):
    """How heads vary, and how their EEG does.

    Attributes:
        mean: ``(n_electrodes, n_electrodes)``, the average covariance, its trace one.
        directions: ``(n_features + 1, n_electrodes, n_electrodes)``, in which it varies, by one standard deviation; the
            last is that of more noise at all electrodes, which tells nothing of a head.
        strengths: ``(n_modes, n_features)``: what a standard deviation of each feature tells of each mode.
        eeg_modes: ``(n_modes, n_electrodes, n_electrodes)``, and
        field_modes: ``(n_modes, n_components, n_components)``: mixtures that vary together.
    """

    mean: NDArray[np.float32]
    directions: NDArray[np.float32]
    strengths: NDArray[np.float32]
    eeg_modes: NDArray[np.float32]
    field_modes: NDArray[np.float32]


class Adaptation(nn.Module):
    """Tell the wearer's head from what their EEG has shown.

    It is linear in few features: what is more flexible learns the training heads by heart.

    Args:
        heads: how they vary; training goes on from these strengths and modes.
    """

    mean: Tensor
    directions: Tensor
    upper: Tensor

    def __init__(self, heads: HeadStatistics) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(heads.mean))
        # Covariances are symmetric, so one triangle tells all.
        row, column = torch.triu_indices(*heads.mean.shape)
        twice = torch.where(row == column, 1.0, 2.0)
        self.register_buffer("directions", twice * torch.from_numpy(heads.directions)[:, row, column])
        self.register_buffer("upper", row * len(heads.mean) + column, persistent=False)
        self.strengths = nn.Parameter(torch.from_numpy(heads.strengths).clone())
        self.eeg_modes = nn.Parameter(torch.from_numpy(heads.eeg_modes).clone())
        self.field_modes = nn.Parameter(torch.from_numpy(heads.field_modes).clone())
        # What every head is mixed by: it lets training move what is frozen in the net, the Wiener filter.
        self.eeg_always = nn.Parameter(torch.zeros(self.eeg_modes.shape[1:]))
        self.fields_always = nn.Parameter(torch.zeros(self.field_modes.shape[1:]))

    def settle(self) -> None:
        """Mix nothing, whoever wears it: what was to be mixed has become part of the net."""
        for parameter in (self.strengths, self.eeg_always, self.fields_always):
            nn.init.zeros_(parameter)

    def forward(self, context: Context) -> Mixtures:
        """The mixtures that these heads need; the same for all of which nothing is known."""
        features = (context.features / (context.tokens + PRIOR_TOKENS))[:, :-1]
        unusual = (features * features).mean(dim=1, keepdim=True) / _UNUSUAL
        strength = (features @ self.strengths.T) / (1 + unusual * unusual)
        each = ((self.eeg_always, self.eeg_modes), (self.fields_always, self.field_modes))
        return Mixtures(
            *((always.flatten() + strength @ modes.flatten(1)).unflatten(1, always.shape) for always, modes in each)
        )

    def nothing_known(self, n: int) -> Context:
        """Of so many wearers."""
        return Context(self.mean.new_zeros(n, len(self.directions)), self.mean.new_zeros(n, 1))

    def remember(self, memory: Tensor, token: Tensor) -> Tensor:
        """Take a token into the memory, ``(n_electrodes, n_electrodes)``, and let what is old fade.

        Args:
            memory: zero at the beginning.
            token: ``(n_electrodes, n)``, the newest EEG.
        """
        return fade(memory) + covariances(token)

    def context(self, memory: Tensor) -> Context:
        """Of one wearer's memory."""
        tokens = memory.trace()
        return Context(self.features(memory, tokens).unsqueeze(0), tokens.reshape(1, 1))

    def features(self, summed: Tensor, tokens: Tensor) -> Tensor:
        """Of sums of covariances ``(..., n_electrodes, n_electrodes)``, of so many tokens ``(...)``."""
        away = summed - tokens[..., None, None] * self.mean
        return away.flatten(-2).index_select(-1, self.upper) @ self.directions.T


def fade(memory: Tensor) -> Tensor:
    """What one token later is left of a memory."""
    return (1 - 1 / FADING_TOKENS) * memory


def covariances(tokens: Tensor) -> Tensor:
    """Of tokens ``(..., n_electrodes, n)``, the trace of each one: a blink counts for no more than other tokens."""
    power = tokens.square().sum(dim=(-2, -1), keepdim=True)
    least = _SMALLEST_POWER * tokens.shape[-2] * tokens.shape[-1]
    return tokens @ tokens.transpose(-2, -1) / power.clamp_min(least)
