"""The training loop of the autoencoder: minutes on a CPU, the same on a GPU.

What a step draws depends on the seed and the number of the step alone. Hops of EEG and parcels of BOLD are masked in
some moments, each time another share of them, so that what is masked later is nothing new.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from cortexcast_models.manifest import Strict
from cortexcast_training.eegfmri.elbo import ElboSettings, loss
from cortexcast_training.eegfmri.moments import Moments
from cortexcast_training.eegfmri.vae import BOLD, EEG, N_HOPS, Vae, binned

LOG = "log.jsonl"


class VaeFitError(Exception):
    """Training cannot go on. The message says why and what to do."""


class VaeFitSettings(Strict):
    """How to train."""

    seed: NonNegativeInt = 0
    n_moments: PositiveInt = 400_000
    """Drawn in all."""
    batch: PositiveInt = 128
    learning_rate: PositiveFloat = 5e-3
    """At its peak; it rises over the first third of the steps and falls as a cosine."""
    weight_decay: float = Field(0.3, ge=0)
    warm_share: float = Field(0.3, gt=0, le=1)
    """Of the steps, over which the divergence from the prior comes to count."""
    masked_share: float = Field(0.3, ge=0, lt=1)
    """Of the moments, in which something is masked."""
    clip: PositiveFloat = 10.0
    """Of the gradient's norm."""
    validate_every: PositiveInt = 200
    """Steps."""
    elbo: ElboSettings = ElboSettings()


@dataclass(frozen=True)
class VaeProgress:
    """How far training is: said after each step.

    Attributes:
        step, n_steps: done and in all.
        loss: of the last batch, nats.
        explained: share of the variance of what is judged that EEG alone explains, of held-out subjects; the last
            known.
    """

    step: int
    n_steps: int
    loss: float
    explained: float | None

    def said(self) -> str:
        """In words."""
        explained = "" if self.explained is None else f", explained {self.explained:.3f}"
        return f"loss {self.loss:.1f}{explained}"


def fit_vae(
    vae: Vae,
    train: Moments,
    held_out: Moments,
    modality: str,
    settings: VaeFitSettings,
    folder: Path,
    say: Callable[[VaeProgress], None] = lambda _: None,
) -> float:
    """Train ``vae`` in place; it ends as the best that validation saw.

    Args:
        vae: the net.
        train: to train on.
        held_out: of other subjects, in the units of ``train``.
        modality: that it is judged by: ``BOLD`` or ``STIMULUS``.
        settings: how.
        folder: where logs go (JSON lines, TensorBoard).
        say: hears of every step.

    Returns:
        The share of the variance of that modality, held out, that EEG alone explains.

    Raises:
        VaeFitError: the loss is no number.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    vae.to(device).train()
    n_steps = max(1, settings.n_moments // settings.batch)
    optimiser = torch.optim.AdamW(vae.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.learning_rate, total_steps=n_steps)
    best, kept, explained = -float("inf"), copy.deepcopy(vae.state_dict()), None
    begin = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    with SummaryWriter(folder / "tensorboard") as board, (folder / LOG).open("w", encoding="utf-8") as log:
        for step in range(1, n_steps + 1):
            rng = torch.Generator().manual_seed(settings.seed * 2**32 + step)
            drawn = train[torch.randint(len(train), (settings.batch,), generator=rng)]
            shown = {name: values.to(device) for name, values in drawn.items()}
            given = _masked(vae, shown, settings, rng)
            targets = {**shown, EEG: binned(shown[EEG])}
            value = loss(vae, given, targets, settings.elbo, min(1.0, step / (settings.warm_share * n_steps)))
            if not torch.isfinite(value):
                raise VaeFitError(f"the loss is {value.item()} at step {step}: take a smaller learning_rate")
            optimiser.zero_grad()
            value.backward()
            torch.nn.utils.clip_grad_norm_(vae.parameters(), settings.clip)
            optimiser.step()
            schedule.step()
            if step % settings.validate_every == 0 or step == n_steps:
                explained = explained_by_eeg(vae, held_out, modality)
                if explained > best:
                    best, kept = explained, copy.deepcopy(vae.state_dict())
                entry = {"step": step, "loss": value.item(), "explained": explained}
                log.write(json.dumps({**entry, "seconds": round(time.monotonic() - begin, 1)}) + "\n")
                log.flush()
                for name in ("loss", "explained"):
                    board.add_scalar(name, entry[name], step)
            say(VaeProgress(step, n_steps, value.item(), explained))
    vae.load_state_dict(kept)
    vae.cpu().eval()
    return best


@torch.no_grad()
def explained_by_eeg(vae: Vae, moments: Moments, modality: str) -> float:
    """The share of a modality's variance that EEG alone explains, over all outputs, each in its unit."""
    device = next(vae.parameters()).device
    error, power = 0.0, 0.0
    for given in moments.batches():
        mean = vae.estimate({EEG: given[EEG].to(device)}, modality).mean.cpu()
        error += float(((given[modality] - mean) ** 2).nansum())
        power += float((given[modality] ** 2).nansum())
    return 1.0 - error / power


def _masked(vae: Vae, shown: dict[str, Tensor], settings: VaeFitSettings, rng: torch.Generator) -> dict[str, Tensor]:
    """Moments as encoders see them: in some, a share of the hops and another of the parcels is replaced by tokens."""
    n = len(shown[BOLD])
    given = dict(shown)
    for name, size in ((EEG, N_HOPS), (BOLD, shown[BOLD].shape[1])):
        in_moment = (torch.rand((n, 1), generator=rng) < settings.masked_share) * torch.rand((n, 1), generator=rng)
        mask = torch.rand((n, size), generator=rng) < in_moment
        given[name] = vae.masked(name, shown[name], mask.float().to(shown[name].device))
    given[BOLD] = vae.masked(BOLD, given[BOLD], given[BOLD].isnan().float())
    return given
