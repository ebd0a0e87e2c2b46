"""A recipe: everything that makes a model, in one TOML file. An unknown key is an error."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from cortexcast_models.manifest import BundleName, Strict, Version
from cortexcast_training.head import HeadSettings
from cortexcast_training.manifest_fields import About
from cortexcast_training.prepare import PrepareSettings
from cortexcast_training.simulator import SimulationSettings
from cortexcast_training.sources import SourceSettings
from cortexcast_training.wiener import Taps

Headset = Literal["70", "64", "32", "19", "14", "8"]
"""The number of electrodes, as ``montages.MONTAGES`` has them."""


class SimulatedData(Strict):
    """Subjects to simulate. Each has a head, sources' time courses and noise of its own."""

    train: PositiveInt
    """Subjects to train on."""
    validation: PositiveInt
    """Others, to know when to stop."""
    seed: NonNegativeInt = 0
    head: HeadSettings = HeadSettings()
    sources: SourceSettings = SourceSettings()
    recording: SimulationSettings = SimulationSettings()


class DataError(Exception):
    """A folder holds other data than a recipe's. The message says which and what to do."""


class RecordedFolder(Strict):
    """Data to train on that lie in a folder."""

    folder: str


class RecordedData(RecordedFolder):
    """Recordings to train on: a folder that `cortexcast data prepare` made."""

    validation: tuple[str, ...] = Field(min_length=1)
    """Subjects that are not trained on, to know when to stop."""
    held_out: tuple[str, ...] = Field(())
    """Subjects that are not touched: for `cortexcast evaluate`."""


class NetSettings(Strict):
    """Sizes of the net; see ``net.NetShape``."""

    n_components: int = Field(72, ge=1, le=306)
    n_tokens: PositiveInt = 25
    """Hops of a window."""
    lookahead: NonNegativeInt = 2
    """Hops."""
    wiener_back_s: PositiveFloat = 0.1
    """How far back the Wiener filter reads; ahead it reads as far as the look-ahead lets it."""
    wiener_step: PositiveInt = 2
    """Of which it reads every so many-th sample. The EEG ends at 40 Hz, so every second one of 200 Hz tells all."""
    width: PositiveInt = 128
    n_layers: PositiveInt = 4
    n_heads: PositiveInt = 4
    n_filters: PositiveInt = 128
    n_experts: PositiveInt = 32
    """Linear maps, and states that are looked for."""
    n_features: PositiveInt = 64
    """Directions of the EEG's covariance by which a wearer is known."""
    n_modes: PositiveInt = 32
    """In which heads may differ from the average one. One more head than that is drawn to learn them."""
    dropout: float = Field(0.0, ge=0, lt=1)


class FitSettings(Strict):
    """How to train."""

    seed: NonNegativeInt = 0
    n_windows: PositiveInt = 500_000
    """Drawn in all, by all processes together."""
    batch: PositiveInt = 64
    """Windows a step, of all processes together."""
    learning_rate: PositiveFloat = 3e-3
    """At its peak; it rises over the first steps and falls as a cosine."""
    warmup_steps: PositiveInt = 100
    weight_decay: float = Field(0.01, ge=0)
    clip: PositiveFloat = 1.0
    """Of the gradient's norm."""
    variance_weight: PositiveFloat = 0.1
    """Of the error's likelihood, beside the squared error."""
    state_weight: NonNegativeFloat = 0.05
    """Of the likelihood of the states that EEG and MEG together show, under the experts' weights."""
    montages: dict[Headset, PositiveFloat] = Field(
        {"70": 0.5, "64": 0.1, "32": 0.1, "19": 0.1, "14": 0.1, "8": 0.1}, min_length=1
    )
    """In which share of the windows only the electrodes of a headset of so many are worn; all 70 in some."""
    validate_every: PositiveInt = 500
    """Steps."""
    validation_windows: PositiveInt = 512
    patience: PositiveInt = 10
    """Validations without a better one before training stops."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the matrix products; ``auto`` takes bfloat16 on a GPU. A CPU with AVX512-BF16 or AMX gains by it too."""
    threads: NonNegativeInt = 0
    """Of a CPU; 0 takes all cores."""

    @model_validator(mode="after")
    def _wear_all(self) -> Self:
        if "70" not in self.montages:
            raise ValueError('montages: give "70" a share too: validation wears all electrodes')
        return self


class BundleSettings(Strict):
    """What the bundle is called."""

    name: BundleName
    version: Version = "1.0.0"
    description: str


class AnyRecipe(Strict):
    """What recipes of all kinds of models have in common: data of one source, and what the bundle is called."""

    simulation: Strict | None = None
    recordings: RecordedFolder | None = None
    bundle: BundleSettings

    @model_validator(mode="after")
    def _of_one_source(self) -> Self:
        if (self.simulation is None) == (self.recordings is None):
            raise ValueError("give either [simulation] or [recordings]")
        return self

    def claim(self, folder: Path, *also: str, recorded: Mapping[str, Sequence[str]] | None = None) -> None:
        """Say in a folder which data lie there: those of this recipe, and what ``also`` decides them.

        Args:
            folder: it is made.
            also: names of the recipe's fields.
            recorded: what each recording was made of, by its name, where their folder may hold others another day.

        Raises:
            DataError: they are of others than the recipe's.
        """
        path = folder / "data.json"
        data = self.model_dump(mode="json", include={"simulation", "recordings", *also})
        if recorded is not None:
            data["recorded"] = {name: list(made_of) for name, made_of in recorded.items()}
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
            return
        was = json.loads(path.read_text(encoding="utf-8"))
        if was == data:
            return
        before, now = was.get("recorded", {}), data.get("recorded", {})
        changed = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
        raise DataError(
            f"{folder} is of other data than the recipe's: give the recipe that made it, or another folder"
            + (f" ({', '.join(changed)}: came, went or changed since)" if changed else "")
        )

    def about(
        self, built_by: str, use: str, *, simulated: bool, train_subjects: Sequence[str], held_out: Sequence[str]
    ) -> About:
        """What the bundle of a model that was trained by this recipe says of itself."""
        return About(
            name=self.bundle.name,
            version=self.bundle.version,
            description=self.bundle.description,
            trained_on="simulated" if simulated else "recorded",
            data=("simulated by cortexcast",) if self.recordings is None else (Path(self.recordings.folder).name,),
            train_subjects=train_subjects,
            held_out_subjects=held_out,
            built_by=built_by,
            licence="BSD-3-Clause" if self.recordings is None else "that of the recordings",
            intended_use=use,
        )


class Recipe(AnyRecipe):
    """Everything that makes a model of MEG."""

    simulation: SimulatedData | None = None
    recordings: RecordedData | None = None
    prepare: PrepareSettings = PrepareSettings()
    net: NetSettings = NetSettings()
    fit: FitSettings = FitSettings()

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        net, hop = self.net, self.prepare.hop
        if net.width % net.n_heads:
            raise ValueError(f"net.width {net.width} is not a multiple of net.n_heads {net.n_heads}")
        before = (net.n_tokens - 1 - net.lookahead) * hop
        if before < self.wiener_taps.back:
            raise ValueError(
                f"net.wiener_back_s reads {self.wiener_taps.back} samples back, of which {net.n_tokens} tokens of "
                f"{hop} hold {max(before, 0)} with a look-ahead of {net.lookahead}: give more net.n_tokens"
            )
        return self

    @property
    def wiener_taps(self) -> Taps:
        """What the Wiener filter reads."""
        net, rate_hz = self.net, self.prepare.preprocessing.resample.rate_hz
        step = net.wiener_step
        ahead = net.lookahead * self.prepare.hop
        return Taps(round(net.wiener_back_s * rate_hz / step) * step, ahead // step * step, step)
