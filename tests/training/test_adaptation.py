"""What the EEG tells of a head does not depend on how large it is, how it is cut, or what is bad in it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nets import WHOLE, disturbed, net_shape, untrained
from prepared import HOP, hidden_state_recording
from torch import Tensor

from cortexcast_training.adaptation import FADING_TOKENS, Adaptation, Context, covariances
from cortexcast_training.calibration import settle
from cortexcast_training.contexts import (
    Contexts,
    covariance_directions,
    mean_covariances,
    whole_context,
)
from cortexcast_training.net import Net

UNIT = 1.5e-5
RECORDINGS = [hidden_state_recording(100, seed) for seed in range(3)]


@pytest.fixture(scope="module")
def net() -> Net:
    """Every weight of it matters."""
    return disturbed(untrained(RECORDINGS, net_shape())[0])


@pytest.fixture(scope="module")
def adaptation(net: Net) -> Adaptation:
    return net.adaptation


def random_tokens(n: int, seed: int) -> Tensor:
    return torch.randn(n, 70, HOP, generator=torch.Generator().manual_seed(seed))


def remembered(adaptation: Adaptation, tokens: Tensor) -> Tensor:
    memory = torch.zeros(70, 70)
    for token in tokens:
        memory = adaptation.remember(memory, token)
    return memory


@given(st.floats(0.01, 100), st.integers(0, 99))
def test_how_large_a_token_is_does_not_matter(factor: float, seed: int) -> None:
    tokens = random_tokens(3, seed)
    torch.testing.assert_close(covariances(factor * tokens), covariances(tokens), rtol=1e-4, atol=1e-6)


def test_a_dead_signal_tells_nothing(adaptation: Adaptation) -> None:
    context = adaptation.context(remembered(adaptation, torch.zeros(5, 70, HOP)))
    assert context.tokens.item() == 0
    assert not context.features.any()


def test_the_memory_counts_tokens_and_fades(adaptation: Adaptation) -> None:
    tokens = random_tokens(40, 0)
    memory = remembered(adaptation, tokens)
    weights = (1 - 1 / FADING_TOKENS) ** torch.arange(39, -1, -1)
    torch.testing.assert_close(memory, torch.einsum("n,nef->ef", weights, covariances(tokens)))
    assert adaptation.context(memory).tokens.item() == pytest.approx(weights.sum().item(), rel=1e-5)


@torch.no_grad()
def test_a_recording_tells_what_its_memory_does(adaptation: Adaptation) -> None:
    """But for the fading."""
    recording = RECORDINGS[0]
    tokens = torch.from_numpy(recording.eeg.reshape(-1, HOP, 70) / np.float32(UNIT)).swapaxes(1, 2)
    streamed, whole = adaptation.context(remembered(adaptation, tokens)), whole_context(adaptation, [recording], UNIT)
    assert whole.tokens.item() == len(recording.good)
    torch.testing.assert_close(streamed.features / streamed.tokens, whole.features / whole.tokens, rtol=0.02, atol=0.02)


@torch.no_grad()
@given(st.integers(0, 99))
def test_what_is_bad_tells_nothing(adaptation: Adaptation, seed: int) -> None:
    rng = np.random.default_rng(seed)
    good = rng.random(100) < 0.7
    spoilt = hidden_state_recording(100, 0, good=good)
    spoilt.eeg[np.repeat(~good, HOP)] = np.nan
    told = whole_context(adaptation, [spoilt], UNIT)
    assert told.tokens.item() == good.sum()
    tokens = torch.from_numpy(spoilt.eeg.reshape(-1, HOP, 70)[good] / np.float32(UNIT)).swapaxes(1, 2)
    expected = adaptation.features(covariances(tokens).sum(dim=0), torch.tensor(float(good.sum())))
    torch.testing.assert_close(told.features[0], expected, rtol=1e-3, atol=1e-2)


def test_contexts_are_of_any_stretch_of_the_own_recording() -> None:
    """Each of four seconds of the recording ``n`` under the headset ``m`` adds ``n`` and ``m``, and 25 tokens."""
    sums = [torch.tensor([[[n, m, 25.0]] * 4 for m in range(2)]) for n in range(3)]
    recordings, headsets = (np.random.default_rng(0).integers(n, size=500) for n in (3, 2))
    drawn = Contexts(sums).draw(recordings, headsets, np.random.default_rng(1))
    seconds = drawn.tokens[:, 0] / 25
    assert (seconds.min().item(), seconds.max().item()) == (0, 4)
    assert np.array_equal(drawn.features[:, 0].numpy(), recordings * seconds.numpy())
    assert np.array_equal(drawn.features[:, 1].numpy(), headsets * seconds.numpy())
    again = Contexts(sums).draw(recordings, headsets, np.random.default_rng(1))
    assert torch.equal(again.features, drawn.features)


def test_directions_are_those_in_which_recordings_differ() -> None:
    covariances_ = np.stack([mean_covariances(each, UNIT, WHOLE) for each in RECORDINGS])
    mean, directions = covariance_directions(covariances_, np.ones(1), 5)
    assert np.trace(mean) == pytest.approx(1.0, rel=1e-4)
    along = (covariances_[:, 0] - mean).reshape(3, -1) @ directions.reshape(5, -1).T
    np.testing.assert_allclose(along.T @ along / 3, np.diag([1, 1, 0, 0, 0]), atol=1e-3)


@torch.no_grad()
def test_an_average_head_needs_no_mixture(net: Net) -> None:
    eeg = torch.randn(2, 70, 48, generator=torch.Generator().manual_seed(0))
    context = Context(torch.randn(2, 5), torch.full((2, 1), 100.0))
    plain, adapted = net(eeg).components, net(eeg, context).components
    assert (adapted - plain).abs().max() > 0.01 * plain.abs().max()
    net = disturbed(untrained(RECORDINGS, net_shape())[0])
    net.adaptation.forget()
    torch.testing.assert_close(net(eeg, context).components, net(eeg).components)


@torch.no_grad()
def test_a_net_that_has_settled_estimates_as_one_that_adapts(net: Net) -> None:
    eeg = torch.randn(1, 70, 48, generator=torch.Generator().manual_seed(0))
    context = whole_context(net.adaptation, RECORDINGS[:1], UNIT)
    own = settle(net, context)
    torch.testing.assert_close(own(eeg).components, net(eeg, context).components, rtol=1e-3, atol=1e-3)
    other = Context(-context.features, context.tokens)
    torch.testing.assert_close(own(eeg, other).components, own(eeg).components)
