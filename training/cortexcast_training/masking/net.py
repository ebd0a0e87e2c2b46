"""What masking asks of a trained net: the same of a bundle, by ONNX Runtime, and of a model that torch holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from cortexcast_models.bundle import Bundle, BundleError
from cortexcast_training.eegfmri.vae import BOLD, EEG, STIMULUS

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Call = Callable[[Mapping[str, Singles]], Mapping[str, Singles]]
"""Runs ``parts.Parts``: inputs by name, all of them, to outputs by name."""

FILE = "masking.onnx"

_AT_ONCE = 16_384
"""Rows of the second halves."""


@dataclass(frozen=True)
class Posterior:
    """Gaussians over the latent.

    Attributes:
        mean: ``(..., latent)``.
        variance: likewise.
    """

    mean: Singles
    variance: Singles

    def reshape(self, *shape: int) -> Posterior:
        """With other axes before the last."""
        return Posterior(self.mean.reshape(*shape, -1), self.variance.reshape(*shape, -1))


@dataclass(frozen=True)
class Decoder:
    """A modality given the latent: independent Gaussians whose mean is linear in it.

    Attributes:
        weights: ``(n_outputs, latent)``.
        bias: ``(n_outputs,)``.
        noise: ``(n_outputs,)``, variance.
    """

    weights: Singles
    bias: Singles
    noise: Singles


class MaskedNet:
    """A net whose inputs are masked. EEG and BOLD are in units of the training data.

    Args:
        call: runs its parts.
        sizes: of a row of each of their inputs.
    """

    def __init__(self, call: Call, sizes: Mapping[str, tuple[int, ...]]) -> None:
        self._call, self._sizes = call, dict(sizes)
        self._constants = self._run({})

    @property
    def n_parcels(self) -> int:
        """Of BOLD."""
        return self._sizes[BOLD][0]

    @property
    def knows_stimulus(self) -> bool:
        """Whether it decodes what is seen."""
        return f"{STIMULUS}_noise" in self._constants

    def unit(self, name: str) -> Singles:
        """A training unit, as ``moments.Units`` names it."""
        return self._constants[f"{name}_unit"]

    def token(self, name: str) -> Singles:
        """What stands for a masked hop of EEG, ``(n_features,)``, and for masked parcels, ``(n_parcels,)``."""
        return self._constants[f"{name}_token"]

    def filtered(self, power: Singles) -> Singles:
        """What the encoder of EEG takes of each hop, ``(n, n_features)``: linear combinations, ``(n, n_filters)``."""
        return self._run({"hop": power})["filtered"]

    def first(self, name: str, values: Singles) -> Singles:
        """Halfway through an encoder, ``(n, n_activations)``.

        Args:
            name: of the modality.
            values: ``(n, N_HOPS, n_filters)`` of EEG, ``(n, n_parcels)`` of BOLD.
        """
        return self._run({name: values})[f"{name}_activations"]

    def posterior(self, name: str, halfway: Singles) -> Posterior:
        """From there, ``(..., n_activations)``, to the latent given that modality alone."""
        rows = halfway.reshape(-1, halfway.shape[-1])
        parts = [
            self._run({f"{name}_halfway": rows[begin : begin + _AT_ONCE]}) for begin in range(0, len(rows), _AT_ONCE)
        ]
        mean, variance = (np.concatenate([part[f"{name}_{what}"] for part in parts]) for what in ("mean", "variance"))
        return Posterior(mean, variance).reshape(*halfway.shape[:-1])

    def with_random_weights(self, rng: np.random.Generator) -> MaskedNet:
        """A net whose weights mean nothing: of first halves permuted over activations, of decoders over both sides."""
        return _Permuted(self._call, self._sizes, rng)

    def decoder(self, name: str) -> Decoder:
        """Of a modality; of EEG the means over ``HOPS_PER_BIN`` hops, oldest first, all features of each."""
        return self._decoders[name]

    @cached_property
    def _decoders(self) -> dict[str, Decoder]:
        # A linear map is known by what it makes of nothing and of each unit vector.
        n = self._sizes["latent"][0]
        given = self._run({"latent": np.concatenate([np.zeros((1, n), np.float32), np.eye(n, dtype=np.float32)])})
        found = {}
        for name in (EEG, BOLD, *([STIMULUS] if self.knows_stimulus else [])):
            bias, *columns = given[f"{name}_decoded"]
            noise = self._constants[f"{name}_noise"]
            found[name] = Decoder(np.stack(columns, axis=1) - bias[:, np.newaxis], bias, np.resize(noise, len(bias)))
        return found

    @cached_property
    def columns(self) -> dict[str, Singles]:
        """Weights of the first halves: of EEG ``(N_HOPS, n_filters, n_activations)``, of BOLD ``(n_parcels, …)``."""
        found = {}
        for name in (EEG, BOLD):
            size = self._sizes[name]
            each = np.eye(int(np.prod(size)), dtype=np.float32).reshape(-1, *size)
            found[name] = (self.first(name, each) - self.first(name, self._zeros(name))).reshape(*size, -1)
        return found

    def _zeros(self, name: str) -> Singles:
        return np.zeros((1, *self._sizes[name]), np.float32)

    def _run(self, given: Mapping[str, Singles]) -> Mapping[str, Singles]:
        return self._call({name: given[name] if name in given else self._zeros(name) for name in self._sizes})


class _Permuted(MaskedNet):
    """A net that is no longer one."""

    def __init__(self, call: Call, sizes: Mapping[str, tuple[int, ...]], rng: np.random.Generator) -> None:
        super().__init__(call, sizes)
        self._activations = {name: rng.permutation(sizes[f"{name}_halfway"][0]) for name in (EEG, BOLD)}
        self._seed = int(rng.integers(2**32))

    def first(self, name: str, values: Singles) -> Singles:
        return super().first(name, values)[..., self._activations[name]]

    def decoder(self, name: str) -> Decoder:
        known, rng = super().decoder(name), np.random.default_rng(self._seed)
        outputs, latent = (rng.permutation(n) for n in known.weights.shape)
        return Decoder(known.weights[outputs][:, latent], known.bias[outputs], known.noise[outputs])


def of_bundle(bundle: Bundle) -> MaskedNet:
    """The net in a bundle.

    Raises:
        BundleError: it is of MEG, or was exported before bundles held what masking needs.
    """
    path = bundle.directory / FILE
    if FILE not in bundle.manifest.files:
        raise BundleError(
            f"bundle {bundle.manifest.name} has no {FILE}: what can be masked is a model of fMRI or of the stimulus, "
            "exported by this version of `cortexcast train`"
        )
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    outputs = [output.name for output in session.get_outputs()]
    sizes = {each.name: tuple(each.shape[1:]) for each in session.get_inputs()}
    return MaskedNet(lambda given: dict(zip(outputs, session.run(outputs, dict(given)), strict=True)), sizes)
