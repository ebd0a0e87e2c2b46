"""The training loop: one for a CPU, a GPU, and several GPUs under ``torchrun``.

What a step draws depends on the seed and the number of the step alone. So a run that resumes from its checkpoint goes
on as if it had not stopped, and several processes, each of which takes its share of what is drawn, train the net that
one would make: but for rounding, and for dropout, of which each draws its own.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel
from torch.utils.tensorboard import SummaryWriter

from cortexcast_training.adaptation import Context
from cortexcast_training.checkpoint import load_state, save_state
from cortexcast_training.contexts import Contexts
from cortexcast_training.montages import Montages
from cortexcast_training.net import Net, Parts
from cortexcast_training.processes import Processes, processes, threads
from cortexcast_training.recipe import FitSettings
from cortexcast_training.scaling import Units
from cortexcast_training.states import Labels
from cortexcast_training.windows import Windows

CHECKPOINT, BEST, LOG = "checkpoint.pt", "best.pt", "log.jsonl"

_SMALLEST_WEIGHT = 1e-6

_VALIDATION_SEED = 2**32
"""Beyond every step's, so that validation draws what no step has drawn."""


class FitError(Exception):
    """Training cannot go on. The message says why and what to do."""


@dataclass(frozen=True)
class Progress:
    """How far training is: said after each step.

    Attributes:
        step, n_steps: done and in all.
        explained: share of the training windows' MEG that the net explains, smoothed over steps.
        validation: the same of held-out subjects, at the token that is streamed; the last known.
        windows_per_s: throughput.
    """

    step: int
    n_steps: int
    explained: float
    validation: float | None
    windows_per_s: float

    def said(self) -> str:
        """In words."""
        validation = "" if self.validation is None else f", validation {self.validation:.3f}"
        return f"explained {self.explained:.3f}{validation}, {self.windows_per_s:.0f} windows/s"


@dataclass(frozen=True)
class Fitted:
    """What came of training.

    Attributes:
        validation: explained variance of held-out subjects' windows, of the net that is kept.
        steps: done.
        seconds: that they took, in this and earlier runs.
        stopped_early: before all windows were drawn.
    """

    validation: float
    steps: int
    seconds: float
    stopped_early: bool


def fit(
    net: Net,
    train: Examples,
    held_out: Examples,
    units: Units,
    montages: Montages,
    settings: FitSettings,
    folder: Path,
    say: Callable[[Progress], None] = lambda _: None,
) -> Fitted:
    """Train ``net`` in place; it ends as the best that validation saw, the untrained one among them.

    Checkpoints and logs (JSON lines, TensorBoard) are written into ``folder``; a checkpoint found there is resumed.

    Args:
        net: as analysis left it.
        train: to train on; its contexts know the headsets of ``montages``.
        held_out: likewise of other subjects, to know when to stop.
        units: of the training data.
        montages: that are worn while training.
        settings: how.
        folder: of this run.
        say: hears of every step.

    Raises:
        FitError: the checkpoint is of other settings, or the loss is no number.
        CheckpointError: the checkpoint is damaged, or cannot be written.
    """
    with processes() as here, threads(settings.threads or max(1, len(os.sched_getaffinity(0)) // here.n_here)):
        check_shared(settings, here)
        return _Run(net, train, held_out, units, montages, settings, folder, here).to_the_end(say)


def check_shared(settings: FitSettings, here: Processes) -> None:
    """Each process must have something to do, and in a step as much as the others.

    Raises:
        FitError: what is drawn at once cannot be shared.
    """
    if settings.batch % here.n:
        raise FitError(f"fit.batch: {settings.batch} windows cannot be shared by {here.n} processes: give a multiple")
    if settings.validation_windows < here.n:
        raise FitError(f"fit.validation_windows: {settings.validation_windows} are fewer than the {here.n} processes")


@dataclass(frozen=True)
class Examples:
    """What is learned from, or judged by.

    Attributes:
        windows: of EEG and MEG.
        contexts: of their recordings' wearers.
        states: of each of their recordings, the state of each hop: what the experts' weights are taught; None: nothing.
    """

    windows: Windows
    contexts: Contexts
    states: Sequence[Labels] | None = None


class _Run:
    def __init__(
        self,
        net: Net,
        train: Examples,
        held_out: Examples,
        units: Units,
        montages: Montages,
        settings: FitSettings,
        folder: Path,
        here: Processes,
    ) -> None:
        self.settings, self.folder, self.here = settings, folder, here
        self.train, self.held_out = train, held_out
        self.net = net.to(here.device).train()
        self.wrapped = DistributedDataParallel(self.net) if here.n > 1 else self.net
        decayed = [p for p in net.parameters() if p.ndim > 1]
        others = [p for p in net.parameters() if p.ndim <= 1]
        self.optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}],
            lr=settings.learning_rate,
        )
        self.n_steps = max(1, settings.n_windows // settings.batch)
        self.montages = montages
        self.eeg_unit = units.eeg
        self.meg_unit = torch.from_numpy(units.meg[:, np.newaxis]).float().to(here.device)
        self.step, self.seconds, self.explained = 0, 0.0, 0.0
        self.best, self.best_step = -np.inf, 0
        self.validation: float | None = None
        self._resume()

    def to_the_end(self, say: Callable[[Progress], None]) -> Fitted:
        self.folder.mkdir(parents=True, exist_ok=True)
        writer = SummaryWriter(str(self.folder / "tensorboard")) if self.here.rank == 0 else None
        try:
            if self.validation is None:
                self._validate(writer)
            while self.step < self.n_steps and not self._stopped_early:
                begin = time.perf_counter()
                explained = self._train_step()
                self.seconds += time.perf_counter() - begin
                self.explained += (explained - self.explained) * max(0.02, 1 / self.step)
                if self.step % self.settings.validate_every == 0 or self.step == self.n_steps:
                    self._validate(writer)
                say(Progress(self.step, self.n_steps, self.explained, self.validation, self._windows_per_s))
        finally:
            if writer is not None:
                writer.close()
        self.net.load_state_dict(load_state(self.folder / BEST)["net"])
        return Fitted(self.best, self.step, self.seconds, self._stopped_early)

    @property
    def _stopped_early(self) -> bool:
        waited = self.step - self.best_step >= self.settings.patience * self.settings.validate_every
        return waited and self.step < self.n_steps

    @property
    def _windows_per_s(self) -> float:
        return self.step * self.settings.batch / self.seconds if self.step else 0.0

    def _train_step(self) -> float:
        settings = self.settings
        for group in self.optimizer.param_groups:
            group["lr"] = settings.learning_rate * _schedule(self.step, settings.warmup_steps, self.n_steps)
        rng = np.random.default_rng([settings.seed, self.step])
        torch.manual_seed(int(rng.integers(2**63 - self.here.n)) + self.here.rank)  # dropout's
        numbers = rng.integers(len(self.train.windows), size=settings.batch)
        worn = self.montages.draw(settings.batch, rng)
        eeg, meg, context = self._share(self.train, numbers, worn, rng)
        eeg = self.montages.wear(eeg, worn[self._mine])
        with self._autocast():
            parts: Parts = self.wrapped(eeg, context)
        parts = _single(parts)
        loss, explained = self._loss(parts, meg)
        if self.train.states is not None:
            states = self.train.windows.take_labels(numbers[self._mine], self.train.states)
            loss = loss + settings.state_weight * self._surprise(parts, states)
        if not torch.isfinite(loss):
            raise FitError(f"the loss is {loss.item()} at step {self.step}: lower fit.learning_rate")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), settings.clip)
        self.optimizer.step()
        self.step += 1
        error, power = self.here.sums(explained)
        return 1 - error / power

    def _loss(self, parts: Parts, meg: Tensor) -> tuple[Tensor, tuple[float, float]]:
        """Squared error in units of the data, and the likelihood of its size; the error and the power that it is of.

        The fields are orthonormal, so the squared error is that of their strengths and a constant: what the fields
        cannot give.
        """
        net, shape = self.net, self.net.shape
        n = shape.n_tokens - shape.lookahead
        target = meg.transpose(1, 2).unflatten(1, (shape.n_tokens, shape.token))[:, :n]
        given = parts.components.transpose(2, 3)
        wanted = target @ net.basis
        power = target.square().sum()
        squared = ((given - wanted).square().sum() + power - wanted.square().sum()) / target.numel()
        # The error is detached: where it is large the mean must not be given up in favour of a large variance.
        error = (target - given.detach() @ net.basis.T).square().mean(dim=2)
        variance = net.variance(parts)
        likelihood = 0.5 * (variance.log() + error / variance).mean()
        missed = float(squared.detach()) * target.numel()
        return squared + self.settings.variance_weight * likelihood, (missed, float(power))

    def _surprise(self, parts: Parts, states: NDArray[np.int64]) -> Tensor:
        """By the states ``(batch, n_tokens)``, where the experts' weights are their probabilities."""
        weights = (parts.weights + _SMALLEST_WEIGHT).log()
        true = torch.from_numpy(states[:, : weights.shape[1]]).to(weights.device)
        return functional.nll_loss(weights.flatten(0, 1), true.flatten())

    def _validate(self, writer: SummaryWriter | None) -> None:
        """Measure, log and keep."""
        validation = self.validation = self._validation()
        better = validation > self.best
        if better:
            self.best, self.best_step = validation, self.step
        if writer is not None:
            figures = {"explained": self.explained, "validation": validation, "windows_per_s": self._windows_per_s}
            self._log(writer, figures)
            if better:
                save_state(self.folder / BEST, {"net": self.net.state_dict()})
            save_state(self.folder / CHECKPOINT, self._state())
        self.here.wait()

    @torch.no_grad()
    def _validation(self) -> float:
        """Explained variance at the streamed token, full montage. The same windows each time."""
        rng = np.random.default_rng([self.settings.seed, _VALIDATION_SEED])
        numbers = rng.integers(len(self.held_out.windows), size=self.settings.validation_windows)
        token = self.net.shape.n_tokens - 1 - self.net.shape.lookahead
        error, power = 0.0, 0.0
        self.net.eval()
        for some in np.array_split(numbers, max(1, len(numbers) // self.settings.batch)):
            eeg, meg, context = self._share(self.held_out, some, np.zeros(len(some), np.int64), rng)
            with self._autocast():
                parts, _ = self.net.streamed(eeg, context)
            estimate = self.net.estimate(_single(parts)).meg[:, 0]
            target = self.net.tokens(meg)[:, token]
            error += float((estimate - target).square().sum())
            power += float(target.square().sum())
        self.net.train()
        error, power = self.here.sums((error, power))
        return 1 - error / power

    @property
    def _mine(self) -> slice:
        """Which of the windows that are drawn are this process's."""
        return slice(self.here.rank, None, self.here.n)

    def _share(
        self, examples: Examples, numbers: NDArray[np.int64], worn: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[Tensor, Tensor, Context]:
        """This process's share of these windows; what is drawn of them is drawn for all."""
        device = self.here.device
        context = examples.contexts.draw(examples.windows.recording_of(numbers), worn, rng)
        eeg, meg = (torch.from_numpy(each).to(device) for each in examples.windows.take(numbers[self._mine]))
        mine = (each[self._mine].to(device) for each in context)
        return eeg / self.eeg_unit, meg / self.meg_unit, Context(*mine)

    def _autocast(self) -> torch.autocast:
        precision = self.settings.precision
        reduced = precision == "bfloat16" or (precision == "auto" and self.here.device.type == "cuda")
        return torch.autocast(self.here.device.type, torch.bfloat16, enabled=reduced)

    def _log(self, writer: SummaryWriter, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            writer.add_scalar(name, value, self.step)
        with (self.folder / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": self.step, "seconds": round(self.seconds, 1), **values}) + "\n")

    def _state(self) -> dict[str, Any]:
        return {
            "net": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "settings": self._all_settings(),
            "step": self.step,
            "seconds": self.seconds,
            "explained": self.explained,
            "best": self.best,
            "best_step": self.best_step,
            "validation": self.validation,
        }

    def _all_settings(self) -> str:
        """What a checkpoint must have been made by to be resumed."""
        net = {"shape": asdict(self.net.shape), "taps": asdict(self.net.taps)}
        return json.dumps({"fit": self.settings.model_dump(mode="json"), **net})

    def _resume(self) -> None:
        path = self.folder / CHECKPOINT
        if not path.exists():
            return
        state = load_state(path)
        if state.pop("settings", None) != self._all_settings():
            raise FitError(f"{path} is of other [net] or [fit] settings: train into another folder, or remove this one")
        self.net.load_state_dict(state.pop("net"))
        self.optimizer.load_state_dict(state.pop("optimizer"))
        for name, value in state.items():
            setattr(self, name, value)


def _schedule(step: int, warmup: int, n_steps: int) -> float:
    """The learning rate's share of its peak: a linear rise, then a cosine to nothing (Loshchilov & Hutter 2017)."""
    return min(1.0, (step + 1) / warmup) * 0.5 * (1 + float(np.cos(np.pi * step / n_steps)))


def _single(parts: Parts) -> Parts:
    """In single precision, whatever the products were computed in."""
    return Parts(*(part.float() for part in parts))
