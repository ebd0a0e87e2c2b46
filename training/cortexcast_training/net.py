"""The net: a window of EEG in, the MEG of its tokens and how uncertain it is out.

A brain that switches among network states is a mixture of Gaussians. The best estimate of MEG for it is the mean of
the states' linear maps, weighted by how probable each state is given the EEG. The net has that form: a transformer
reads the window and weights ``n_experts`` linear maps, beside a population Wiener filter that is not trained. Both the
residual and the experts' maps give ``n_components`` fields, the principal ones of the training data's MEG. The experts
begin as the linear estimates within the states that are found in the training data, and the spatial filters as what
tells these apart (``states.py``). Before it the EEG, and after it the fields, are mixed as the wearer's head needs it
(``adaptation.py``).

What is streamed is the estimate of the token that lies the look-ahead before the window's end. In training every token
that has its look-ahead is estimated.

A window is divided by its RMS and its estimate multiplied by it, so EEG twice as large gives MEG twice as large,
whatever the amplifier's gain or the thickness of a skull.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from cortexcast_training.adaptation import Adaptation, Context, HeadStatistics
from cortexcast_training.wiener import Taps

_SMALLEST_RMS = 1e-3
"""Where the training data's is one: less is a dead signal, not one to amplify."""

_SMALLEST_POWER = 1e-2


@dataclass(frozen=True)
class NetShape:
    """Sizes of the net.

    Attributes:
        n_electrodes: of the canonical montage.
        n_sensors: of the helmet.
        n_components: fields that the trained part can give.
        n_tokens: of a window, and
        token: samples of each; the estimate of a hop is that of one token.
        lookahead: tokens that a window holds after the one that is streamed.
        width, n_layers, n_heads: of the transformer.
        n_filters: learned spatial filters whose log power each token carries.
        n_experts: linear maps that it mixes, as many as states that are looked for in the training data.
        n_features: by which a wearer's EEG is known, and
        n_modes: in which their head may differ from the average one.
        dropout: share of activations that are set to zero while training.
    """

    n_electrodes: int
    n_sensors: int
    n_components: int
    n_tokens: int
    token: int
    lookahead: int
    width: int = 128
    n_layers: int = 4
    n_heads: int = 4
    n_filters: int = 128
    n_experts: int = 32
    n_features: int = 64
    n_modes: int = 32
    dropout: float = 0.0


class Estimate(NamedTuple):
    """MEG of ``n`` tokens, in units of the training data's MEG.

    Attributes:
        meg: ``(batch, n, n_sensors, token)``.
        variance: ``(batch, n, n_sensors)``, of the error of each sample of ``meg``.
    """

    meg: Tensor
    variance: Tensor


class Parts(NamedTuple):
    """What the estimate of ``n`` tokens is made of.

    Attributes:
        weights: ``(batch, n, n_experts)``, of each expert; they add up to one.
        components: ``(batch, n, n_components, token)``, the strength of each field.
        variance: ``(batch, n, n_components)``, of each strength.
    """

    weights: Tensor
    components: Tensor
    variance: Tensor


@dataclass(frozen=True)
class Analysis:
    """What analysis of the training data gives the net.

    Attributes:
        basis: ``(n_sensors, n_components)``, orthonormal fields.
        wiener: ``(n_components, n_electrodes, n_taps)``, the population filter to the strengths of these fields.
        taps: of that filter. Training leaves it and the basis as they are.
        noise: ``(n_sensors,)``, variance that no EEG predicts: where the learning of the error's variance begins.
        filters: ``(n_filters, n_electrodes)``, and
        experts: ``(n_experts, n_components, n_electrodes)``: where their learning begins.
        heads: how heads vary.
    """

    basis: NDArray[np.float32]
    wiener: NDArray[np.float32]
    taps: Taps
    noise: NDArray[np.float32]
    filters: NDArray[np.float32]
    experts: NDArray[np.float32]
    heads: HeadStatistics


class Net(nn.Module):
    """Estimate MEG from windows of EEG.

    Args:
        shape: the sizes.
        analysis: what is known before training.
    """

    basis: Tensor
    wiener: Tensor

    def __init__(self, shape: NetShape, analysis: Analysis) -> None:
        super().__init__()
        self.shape = shape
        self.taps = analysis.taps
        self.register_buffer("wiener", torch.from_numpy(analysis.wiener))
        self.register_buffer("basis", torch.from_numpy(analysis.basis))
        width, inputs = shape.width, shape.n_electrodes * shape.token
        self.filters = nn.Parameter(torch.from_numpy(analysis.filters).clone())
        self.embed = nn.Linear(inputs + shape.n_filters, width)
        self.place = nn.Parameter(0.02 * torch.randn(shape.n_tokens, width))
        self.blocks = nn.ModuleList(Block(width, shape.n_heads, shape.dropout) for _ in range(shape.n_layers))
        self.norm = nn.LayerNorm(width)
        self.gate = nn.Linear(width, shape.n_experts)
        self.experts = nn.Parameter(torch.from_numpy(analysis.experts).clone())
        self.residual = nn.Linear(width, shape.n_components * shape.token)
        self.log_variance = nn.Linear(width, shape.n_components)
        self.log_noise = nn.Parameter(torch.from_numpy(analysis.noise).log())
        self.adaptation = Adaptation(analysis.heads)
        # Training starts at the Wiener filter: the experts' mean is nothing.
        for layer in (self.gate, self.residual, self.log_variance):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, eeg: Tensor, context: Context | None = None) -> Parts:
        """The parts of the estimate of every token of the windows that has its look-ahead.

        Args:
            eeg: ``(batch, n_electrodes, n_tokens * token)``, average referenced, in units of the training data's EEG.
            context: of the wearers; None: nothing is known of them.
        """
        n = self.shape.n_tokens - self.shape.lookahead
        parts, _ = self._parts(eeg, context, slice(0, n))
        return parts

    def streamed(self, eeg: Tensor, context: Context | None = None) -> tuple[Parts, Tensor]:
        """The last of these tokens: all that a server needs.

        Args:
            eeg: as for ``forward``.
            context: as for ``forward``.

        Returns:
            The parts of its estimate, and what the transformer makes of it, ``(batch, 1, width)``.
        """
        last = self.shape.n_tokens - self.shape.lookahead
        return self._parts(eeg, context, slice(last - 1, last))

    def _parts(self, eeg: Tensor, context: Context | None, wanted: slice) -> tuple[Parts, Tensor]:
        """The parts of the estimate of these tokens, and what the transformer makes of them."""
        shape, taps = self.shape, self.taps
        # As it was recorded: a mixture must not change how large the EEG is taken to be.
        rms = self.rms(eeg)
        mixtures = self.adaptation(self.adaptation.nothing_known(len(eeg)) if context is None else context)
        eeg = eeg + mixtures.eeg @ eeg
        hidden = self.hidden(eeg / rms, wanted)
        begin, end = wanted.start * shape.token, wanted.stop * shape.token
        around = functional.pad(eeg, (taps.back, taps.ahead))[:, :, begin : end + taps.back + taps.ahead]
        linear = self.tokens(self.filter(around))
        weights = self.gate(hidden).softmax(dim=-1)
        # Products of matrices and of numbers, here and below: as einsum and square, ONNX Runtime takes thrice as long.
        mixed = (weights @ self.experts.flatten(1)).unflatten(2, self.experts.shape[1:])
        residual = self.residual(hidden).unflatten(2, (shape.n_components, shape.token))
        components = linear + mixed @ self.tokens(eeg[:, :, begin:end]) + rms.unsqueeze(1) * residual
        components = components + mixtures.fields.unsqueeze(1) @ components
        variance = rms.square() * self.log_variance(hidden.detach()).exp()
        return Parts(weights, components, variance), hidden

    def hidden(self, scaled: Tensor, wanted: slice) -> Tensor:
        """What the transformer makes of the wanted tokens in their window, ``(batch, n, width)``.

        Every token reads the whole window, so those in the middle have more than the look-ahead. They are easier, and
        learning them helps the one that is streamed: with causal attention, training takes twice as long.

        Args:
            scaled: ``(batch, n_electrodes, n_tokens * token)`` of EEG, divided by the window's RMS.
            wanted: of the tokens.
        """
        filtered = self.filters @ scaled
        power = self.tokens(filtered * filtered).mean(dim=3)
        features = torch.cat([self.tokens(scaled).flatten(2), torch.log(power + _SMALLEST_POWER)], dim=2)
        hidden = self.embed(features) + self.place
        for block in self.blocks[:-1]:
            hidden = block(hidden, slice(None))
        normed: Tensor = self.norm(self.blocks[-1](hidden, wanted))
        return normed

    def estimate(self, parts: Parts) -> Estimate:
        """The sensors' estimate."""
        # One product of two large matrices: several times faster than one for each token.
        meg = (parts.components.transpose(2, 3) @ self.basis.T).transpose(2, 3)
        return Estimate(meg, self.variance(parts))

    def variance(self, parts: Parts) -> Tensor:
        """Of the error of each sensor's samples, ``(batch, n, n_sensors)``."""
        return parts.variance @ self.basis.square().T + self.log_noise.exp()

    def rms(self, eeg: Tensor) -> Tensor:
        """Of each window, ``(batch, 1, 1)``."""
        return (eeg * eeg).mean(dim=(1, 2), keepdim=True).sqrt().clamp_min(_SMALLEST_RMS)

    def filter(self, eeg: Tensor) -> Tensor:
        """The Wiener filter's strengths of the fields, where all of its taps are: ``(batch, n_components, n)``."""
        return functional.conv1d(eeg, self.wiener, dilation=self.taps.step)

    def tokens(self, signal: Tensor) -> Tensor:
        """Cut ``(batch, n_channels, n_samples)`` into ``(batch, n_samples // token, n_channels, token)``."""
        cut: Tensor = signal.unflatten(2, (-1, self.shape.token))
        return cut.transpose(1, 2)


class Block(nn.Module):
    """A pre-norm transformer block (Xiong et al., *ICML* 2020)."""

    def __init__(self, width: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.norm_attention = nn.LayerNorm(width)
        self.read = nn.Linear(width, 3 * width)
        self.write = nn.Linear(width, width)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, wanted: slice) -> Tensor:
        """Update the wanted tokens of ``hidden``, ``(batch, n_tokens, width)``."""
        query, key, value = self.read(self.norm_attention(hidden)).unflatten(2, (3, self.n_heads, -1)).unbind(dim=2)
        attended = functional.scaled_dot_product_attention(
            query[:, wanted].transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
        )
        hidden = hidden[:, wanted] + self.dropout(self.write(attended.transpose(1, 2).flatten(2)))
        updated: Tensor = hidden + self.dropout(self.mlp(self.norm_mlp(hidden)))
        return updated
