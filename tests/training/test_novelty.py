"""The score is below one on what is like the training data, and rises on what is not."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from nets import net_shape, untrained
from prepared import hidden_state_recording
from torch import Tensor

from cortexcast_training.net import Net
from cortexcast_training.novelty import Novelty
from cortexcast_training.scaling import whitener
from cortexcast_training.windows import Prepared, Windows

SHAPE = net_shape()


@pytest.fixture(scope="module")
def net() -> Net:
    return untrained(recordings(range(3)), SHAPE)[0]


def recordings(seeds: range) -> list[Prepared]:
    return [hidden_state_recording(400, seed) for seed in seeds]


def windows(seeds: range) -> Tensor:
    drawn = Windows(recordings(seeds), SHAPE.n_tokens)
    return torch.from_numpy(drawn.take(range(0, len(drawn), 3))[0]) / 1.5e-5


@torch.no_grad()
def read(net: Net, eeg: Tensor) -> tuple[Tensor, Tensor]:
    _, scaled, hidden = net.streamed(eeg)
    return scaled, hidden


@pytest.fixture(scope="module")
def novelty(net: Net) -> Novelty:
    novelty = Novelty(SHAPE)
    train = recordings(range(3))
    eeg = np.concatenate([recording.eeg for recording in train]) / 1.5e-5
    components = whitener(np.cov(eeg.T), len(novelty.components))

    def features(seeds: range) -> Iterator[Tensor]:
        for batch in windows(seeds).split(64):
            yield novelty.features(*read(net, batch))

    novelty.calibrate(components, features(range(3)), features(range(10, 13)))
    return novelty


def share_above(net: Net, novelty: Novelty, eeg: Tensor) -> float:
    return float((novelty(*read(net, eeg)) > 1).float().mean())


def test_one_window_in_a_hundred_of_others_is_above_one(net: Net, novelty: Novelty) -> None:
    assert share_above(net, novelty, windows(range(20, 30))) == pytest.approx(0.01, abs=0.01)


@pytest.mark.parametrize("factor", [0.1, 10.0])
def test_how_large_the_eeg_is_does_not_matter(net: Net, novelty: Novelty, factor: float) -> None:
    assert share_above(net, novelty, factor * windows(range(20, 22))) < 0.03


def test_the_more_noise_the_more_windows_are_above_one(net: Net, novelty: Novelty) -> None:
    eeg = windows(range(20, 22))
    noise = torch.randn(eeg.shape, generator=torch.Generator().manual_seed(0)) * eeg.std()
    noise -= noise.mean(dim=1, keepdim=True)
    shares = [share_above(net, novelty, eeg + size * noise) for size in (0.0, 0.1, 0.3, 3.0)]
    assert shares == sorted(shares)
    assert shares[-1] > 0.7


def test_one_electrode_that_has_come_off_is_above_one(net: Net, novelty: Novelty) -> None:
    eeg = windows(range(20, 22))
    eeg[:, 17] += 10 * eeg.std() * torch.from_numpy(np.random.default_rng(0).standard_normal(eeg[:, 17].shape)).float()
    assert share_above(net, novelty, eeg - eeg.mean(dim=1, keepdim=True)) > 0.95


def test_scores_are_positive_and_of_each_window_alone(net: Net, novelty: Novelty) -> None:
    eeg = windows(range(20, 21))[:20]
    scores = novelty(*read(net, eeg))
    alone = torch.cat([novelty(*read(net, each[None])) for each in eeg])
    assert (scores > 0).all()
    torch.testing.assert_close(alone, scores, rtol=1e-4, atol=1e-5)
