"""A trained autoencoder in a file: what export and evaluation begin with."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch

from cortexcast_models.bundle import Bundle
from cortexcast_training.checkpoint import load_state, save_state
from cortexcast_training.eegfmri.fmri_bundle import FmriHop, export_fmri
from cortexcast_training.eegfmri.labels import Labels
from cortexcast_training.eegfmri.latent import check_active
from cortexcast_training.eegfmri.moments import Units
from cortexcast_training.eegfmri.stimulus_bundle import StimulusHop, export_stimulus
from cortexcast_training.eegfmri.vae import Vae, VaeShape
from cortexcast_training.manifest_fields import About
from cortexcast_training.masking.net import FILE as MASKING
from cortexcast_training.masking.parts import parts_file

FILE = "trained.pt"

Product = Literal["fmri", "stimulus"]


@dataclass(frozen=True)
class TrainedVae:
    """A model.

    Attributes:
        product: that it was trained for.
        vae: the net.
        units: of its training data.
        labels: of the stimulus; None where nothing has a name, or the net knows no stimulus.
        active: dimensions of the latent that EEG alone moves, on the validation subjects.
        train_subjects, validation_subjects: their names.
        simulated: whether any of the runs that it was trained on was.
    """

    product: Product
    vae: Vae
    units: Units
    labels: Labels | None
    active: int
    train_subjects: tuple[str, ...]
    validation_subjects: tuple[str, ...]
    simulated: bool


def save_trained(folder: Path, trained: TrainedVae) -> None:
    """Write the model, as a whole or not at all.

    Raises:
        CheckpointError: it cannot be written.
    """
    labels = trained.labels
    save_state(
        folder / FILE,
        {
            "product": trained.product,
            "shape": asdict(trained.vae.shape),
            "vae": trained.vae.state_dict(),
            "units": {name: torch.from_numpy(unit) for name, unit in vars(trained.units).items()},
            "labels": labels and (list(labels.names), torch.from_numpy(labels.places), labels.temperature),
            "active": trained.active,
            "train_subjects": list(trained.train_subjects),
            "validation_subjects": list(trained.validation_subjects),
            "simulated": trained.simulated,
        },
    )


def load_trained(folder: Path) -> TrainedVae:
    """Read a model.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    saved = load_state(folder / FILE)
    vae = Vae(VaeShape(**saved["shape"]))
    vae.load_state_dict(saved["vae"])
    labels = saved["labels"]
    return TrainedVae(
        product=saved["product"],
        vae=vae.eval(),
        units=Units(**{name: unit.numpy() for name, unit in saved["units"].items()}),
        labels=labels and Labels(tuple(labels[0]), labels[1].numpy(), labels[2]),
        active=saved["active"],
        train_subjects=tuple(saved["train_subjects"]),
        validation_subjects=tuple(saved["validation_subjects"]),
        simulated=saved["simulated"],
    )


def export_trained(directory: Path, trained: TrainedVae, about: About) -> tuple[Bundle, float]:
    """Write a model as a bundle of its product; returns are those of ``export_hop``, whose errors it raises too.

    Raises:
        CollapseError: its latent has collapsed.
    """
    check_active(trained.active, trained.vae.shape.latent)
    hop = hop_of(trained)
    files = {MASKING: parts_file(trained.vae, trained.units)}
    if isinstance(hop, FmriHop):
        return export_fmri(directory, hop, about, files)
    return export_stimulus(directory, hop, about, files)


def hop_of(trained: TrainedVae) -> FmriHop | StimulusHop:
    """What the server runs once a hop."""
    if trained.product == "fmri":
        return FmriHop(trained.vae, trained.units)
    return StimulusHop(trained.vae, trained.units, trained.labels)
