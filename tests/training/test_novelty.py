"""The score is below one on what is like the training data, and rises on what is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nets import net_shape, untrained
from prepared import hidden_state_recording
from torch import Tensor

from cortexcast_training.adaptation import Context
from cortexcast_training.contexts import recording_sums, visited_states
from cortexcast_training.montages import wearing
from cortexcast_training.net import Net
from cortexcast_training.novelty import Novelty, Seen
from cortexcast_training.windows import Prepared, Windows

SHAPE = net_shape()
UNIT = 1.5e-5
HEADSETS = [70, 19]


@pytest.fixture(scope="module")
def net() -> Net:
    return untrained(recordings(range(3)), SHAPE)[0]


def recordings(seeds: range) -> list[Prepared]:
    return [hidden_state_recording(400, seed) for seed in seeds]


def noisy(recording: Prepared, size: float) -> Prepared:
    """With so much noise at all electrodes, average referenced, as a share of the EEG's standard deviation."""
    noise = np.random.default_rng(0).standard_normal(recording.eeg.shape)
    noise -= noise.mean(axis=1, keepdims=True)
    eeg = recording.eeg + np.float32(size * recording.eeg.std()) * noise.astype(np.float32)
    return replace(recording, eeg=eeg)


@torch.no_grad()
def seen(net: Net, recording: Prepared, factor: float = 1.0, electrodes: int = 70) -> Seen:
    """Every third window of a recording, once all of it has shown of its wearer."""
    windows = Windows([recording], SHAPE.n_tokens)
    worn = torch.from_numpy(wearing(electrodes, "interpolated")).float()
    eeg = factor * worn @ torch.from_numpy(windows.take(range(0, len(windows), 3))[0]) / UNIT
    sums = recording_sums(net.adaptation, recording, UNIT, worn[None])
    visited = visited_states(net, recording, sums, UNIT, worn[None]).sum(dim=1).expand(len(eeg), -1)
    summed = sums.sum(dim=1).expand(len(eeg), -1)
    context = Context(summed[:, :-1], summed[:, -1:])
    _, hidden = net.streamed(eeg, context)
    return Seen(hidden[:, 0], context, visited, torch.full((len(eeg),), HEADSETS.index(electrodes)))


@pytest.fixture(scope="module")
def novelty(net: Net) -> Novelty:
    novelty = Novelty(SHAPE, len(HEADSETS))
    novelty.calibrate(
        *(
            [seen(net, each, electrodes=electrodes) for each in recordings(some) for electrodes in HEADSETS]
            for some in (range(6), range(40, 60))
        )
    )
    return novelty


def scores(novelty: Novelty, of: Seen) -> Tensor:
    return torch.as_tensor(novelty(of.hidden, of.context, of.visited))


def share_above(novelty: Novelty, *some: Seen) -> float:
    return float(np.mean([float((scores(novelty, each) > 1).float().mean()) for each in some]))


@pytest.mark.parametrize("electrodes", [70, 19])
def test_few_windows_of_others_are_above_one_with_any_headset(net: Net, novelty: Novelty, electrodes: int) -> None:
    others = [seen(net, each, electrodes=electrodes) for each in recordings(range(20, 35))]
    assert share_above(novelty, *others) < 0.15


@pytest.mark.parametrize("factor", [0.1, 10.0])
def test_how_large_the_eeg_is_does_not_matter(net: Net, novelty: Novelty, factor: float) -> None:
    recording = recordings(range(20, 21))[0]
    given, expected = (scores(novelty, seen(net, recording, size)) for size in (factor, 1.0))
    torch.testing.assert_close(given, expected, rtol=1e-3, atol=1e-3)


def test_the_more_noise_the_more_windows_are_above_one(net: Net, novelty: Novelty) -> None:
    recording = recordings(range(20, 21))[0]
    shares = [share_above(novelty, seen(net, noisy(recording, size))) for size in (0.0, 0.3, 1.0, 3.0)]
    assert shares == sorted(shares)
    assert shares[-1] > 0.95


def made_up(n: int, seed: int, tokens: float = 1000.0) -> Seen:
    """Hops like each other, half of them with a headset that shows another covariance on every head."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(SHAPE.width, SHAPE.width, generator=torch.Generator().manual_seed(0))
    worn = torch.arange(n) % 2
    shown = torch.randn(n, SHAPE.n_features + 1, generator=generator) + 30.0 * worn[:, None]
    context = Context(tokens * shown, torch.full((n, 1), tokens))
    visited = tokens * (0.3 * torch.randn(n, SHAPE.n_experts, generator=generator) + worn[:, None]).softmax(dim=1)
    return Seen(torch.randn(n, SHAPE.width, generator=generator) @ mixing + 3.0, context, visited, worn)


def in_one_state(visited: Tensor) -> Tensor:
    """As if all of these tokens had been in the first state."""
    return visited.sum(dim=1, keepdim=True) * torch.eye(SHAPE.n_experts)[0]


@pytest.fixture(scope="module")
def of_made_up() -> Novelty:
    novelty = Novelty(SHAPE, 2)
    novelty.calibrate([made_up(2000, seed) for seed in range(3)], [made_up(1000, seed) for seed in range(3, 8)])
    return novelty


def further(of: Seen, away: Tensor) -> Seen:
    """As if the EEG so far had shown so much more."""
    features, tokens = of.context
    return of._replace(context=Context(features + tokens * away, tokens))


def test_one_hop_in_a_hundred_of_others_is_above_one(of_made_up: Novelty) -> None:
    assert share_above(of_made_up, made_up(20_000, 9)) == pytest.approx(0.01, abs=0.005)


@given(st.sampled_from(["window", "wearer", "noise", "states"]), st.integers(0, 99))
def test_each_distance_alone_suffices(of_made_up: Novelty, which: str, seed: int) -> None:
    unusual, away = made_up(20, seed), torch.zeros(SHAPE.n_features + 1)
    if which == "window":
        unusual = unusual._replace(hidden=unusual.hidden + 100.0)
    elif which == "wearer":
        away[:-1] = 10.0
    elif which == "states":
        unusual = unusual._replace(visited=in_one_state(unusual.visited))
    else:
        away[-1] = 20.0
    assert share_above(of_made_up, further(unusual, away)) == 1


@given(st.integers(0, 99))
def test_scores_are_positive_and_of_each_hop_alone(of_made_up: Novelty, seed: int) -> None:
    hidden, context, visited, _ = made_up(20, seed)
    together = of_made_up(hidden, context, visited)
    alone = [
        of_made_up(hidden[n, None], Context(*(part[n, None] for part in context)), visited[n, None]) for n in range(20)
    ]
    assert (together > 0).all()
    torch.testing.assert_close(torch.cat(alone), together, rtol=1e-4, atol=1e-5)


def test_what_is_new_is_not_yet_unusual(of_made_up: Novelty) -> None:
    away = torch.full((SHAPE.n_features + 1,), 10.0)
    for tokens, above in ((1000.0, 1.0), (1.0, 0.0)):
        of = made_up(100, 9, tokens)
        assert share_above(of_made_up, further(of, away)) == pytest.approx(above, abs=0.1)
        assert share_above(of_made_up, of._replace(visited=in_one_state(of.visited))) == pytest.approx(above, abs=0.1)


def test_a_wearer_who_is_known_is_usual_and_others_are_not(of_made_up: Novelty) -> None:
    novelty = Novelty(SHAPE, 2)
    novelty.load_state_dict(of_made_up.state_dict())
    own = torch.full((SHAPE.n_features + 1,), -60.0)
    hidden, context, visited, worn = made_up(2000, 9)
    of_first = Seen(hidden[::2], Context(*(part[::2] for part in context)), visited[::2], worn[::2])
    unusual = further(of_first, own)
    assert share_above(novelty, unusual) == 1
    novelty.know(Context(10.0 * own[None], torch.tensor([[10.0]])))
    assert share_above(novelty, unusual) == pytest.approx(0.01, abs=0.01)
    assert share_above(novelty, of_first) == 1
