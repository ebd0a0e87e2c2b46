"""A net in parts, as masking needs them, in one ONNX graph: encoders in two halves, decoders, and what masks look like.

The first half of an encoder is linear. So what a mask of one hop, or of one voxel, changes there is a product of what
it changes in the input and a column of weights; nothing but the second half needs to be worked out again.

All parts have inputs of their own, each with as many rows as it likes: who wants one part gives the others one row.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from cortexcast_training.eegfmri.moments import Units
from cortexcast_training.eegfmri.vae import BOLD, EEG, N_HOPS, EegEncoder, Expert, Vae, product
from cortexcast_training.masking.net import MaskedNet, Singles
from cortexcast_training.onnx_export import export_graph

_ROWS = 3
"""Of the example that the graph is checked with."""


class Parts(nn.Module):
    """Everything in units of the training data, but for the units themselves.

    Args:
        vae: the net.
        units: of its training data.
    """

    def __init__(self, vae: Vae, units: Units) -> None:
        super().__init__()
        self.vae = vae
        self._units = [name for name, unit in vars(units).items() if len(unit)]
        for name in self._units:
            self.register_buffer(f"{name}_unit", torch.from_numpy(getattr(units, name)))
        self.outputs = (
            "filtered",
            *(f"{name}_{part}" for name in (EEG, BOLD) for part in ("activations", "mean", "variance")),
            *(f"{name}_decoded" for name in vae.decoders),
            *(f"{name}_noise" for name in vae.decoders),
            *(f"{name}_token" for name in (EEG, BOLD)),
            *(f"{name}_unit" for name in self._units),
        )
        """Of ``forward``, by name."""

    def sizes(self) -> dict[str, tuple[int, ...]]:
        """Of a row of each input."""
        shape = self.vae.shape
        halfway = (shape.latent + shape.width,)
        return {
            "hop": (shape.n_features,),
            "eeg": (N_HOPS, shape.n_filters),
            "eeg_halfway": halfway,
            "bold": (shape.n_parcels,),
            "bold_halfway": halfway,
            "latent": (shape.latent,),
        }

    def forward(
        self, hop: Tensor, eeg: Tensor, eeg_halfway: Tensor, bold: Tensor, bold_halfway: Tensor, latent: Tensor
    ) -> tuple[Tensor, ...]:
        """What ``outputs`` names: activations, posteriors given one modality, what latents decode to, constants."""
        encoder, of_bold = self.vae.encoders[EEG], self.vae.encoders[BOLD]
        assert isinstance(encoder, EegEncoder)
        assert isinstance(of_bold, Expert)
        given: list[Tensor] = [encoder.filters(hop)]
        for expert, values, halfway in (
            (encoder.expert, encoder.looks(eeg), eeg_halfway),
            (of_bold, bold, bold_halfway),
        ):
            posterior = product([expert.second(halfway)])
            given += [expert.first(values), posterior.mean, posterior.log_variance.exp()]
        decoded = self.vae.decode(latent)
        given += [each.mean.flatten(1) for each in decoded.values()]
        given += [each.log_variance.exp() for each in decoded.values()]
        given += [self.vae.tokens[EEG], self.vae.tokens[BOLD]]
        units = (getattr(self, f"{name}_unit") for name in self._units)
        # A constant that is an output as it stands would share its name with the weight.
        constants = len(given) - 2 - len(decoded)
        return tuple(given[:constants]) + tuple(1.0 * each for each in (*given[constants:], *units))


def parts_file(vae: Vae, units: Units) -> bytes:
    """The graph.

    Raises:
        ExportError: ONNX Runtime deviates from torch by more than is allowed.
    """
    parts = Parts(vae, units)
    rng = torch.Generator().manual_seed(0)
    given = {name: torch.randn((_ROWS, *size), generator=rng) for name, size in parts.sizes().items()}
    return export_graph(parts, given, parts.outputs, rows_of_their_own=True).onnx


def of_model(vae: Vae, units: Units) -> MaskedNet:
    """The net that torch holds."""
    parts = Parts(vae.eval(), units)

    @torch.no_grad()
    def call(given: Mapping[str, Singles]) -> Mapping[str, Singles]:
        outputs = parts(**{name: torch.tensor(array) for name, array in given.items()})
        return {name: output.numpy() for name, output in zip(parts.outputs, outputs, strict=True)}

    return MaskedNet(call, parts.sizes())
