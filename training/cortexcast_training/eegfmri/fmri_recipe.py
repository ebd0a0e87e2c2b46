"""A recipe of an autoencoder of EEG, BOLD and stimulus: everything that makes it, in one TOML file."""

from __future__ import annotations

from typing import Self

from pydantic import Field, PositiveInt, model_validator

from cortexcast_models.manifest import Strict
from cortexcast_training.eegfmri.audience import Audience
from cortexcast_training.eegfmri.fit_vae import VaeFitSettings
from cortexcast_training.recipe import AnyRecipe, RecordedFolder


class SimulatedViewers(Audience):
    """Subjects to simulate, each of whom watches one film."""

    train: PositiveInt
    """Subjects to train on."""
    validation: PositiveInt
    """Others, to know which net is best; each watches a film of its own."""
    films: PositiveInt = 12
    """That the subjects to train on watch, in turn. Whoever is not trained on watches others."""


class RecordedRuns(RecordedFolder):
    """Runs that `cortexcast data prepare` has prepared."""

    validation: tuple[str, ...] = Field(min_length=1)
    """Subjects that are not trained on, to know which net is best."""
    held_out: tuple[str, ...] = ()
    """Subjects that are not touched: for `cortexcast evaluate`."""
    held_out_films: tuple[str, ...] = ()
    """Films that are not trained on: what held-out subjects watch is judged on these alone, if given."""

    @model_validator(mode="after")
    def _of_one_use(self) -> Self:
        if twice := {*self.validation} & {*self.held_out}:
            raise ValueError(f"{', '.join(sorted(twice))} cannot both choose the net and judge it")
        return self


class NetSettings(Strict):
    """Sizes of the net; see ``vae.VaeShape``."""

    n_filters: PositiveInt = 16
    width: PositiveInt = 128
    latent: int = Field(32, ge=2, le=256)


class FmriRecipe(AnyRecipe):
    """Everything that makes an autoencoder."""

    simulation: SimulatedViewers | None = None
    recordings: RecordedRuns | None = None
    net: NetSettings = NetSettings()
    fit: VaeFitSettings = VaeFitSettings()
