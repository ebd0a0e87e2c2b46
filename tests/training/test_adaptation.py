"""What the EEG tells of a head does not depend on how large it is, how it is cut, or what is bad in it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nets import disturbed, net_shape, untrained
from numpy.typing import NDArray
from prepared import HOP, hidden_state_recording, noise_recording
from torch import Tensor

from cortexcast_training.adaptation import FADING_TOKENS, Adaptation, Context, covariances
from cortexcast_training.calibration import settle
from cortexcast_training.contexts import (
    Contexts,
    covariance_directions,
    mean_covariance,
    recording_sums,
    visited_states,
    whole_context,
)
from cortexcast_training.head_modes import HeadModes
from cortexcast_training.head_statistics import head_statistics
from cortexcast_training.montages import wearing
from cortexcast_training.net import Net
from cortexcast_training.scaling import Units
from cortexcast_training.windows import Prepared

UNIT = 1.5e-5
RECORDINGS = [hidden_state_recording(100, seed) for seed in range(3)]


@pytest.fixture(scope="module")
def net() -> Net:
    """Every weight of it matters, and every feature."""
    return told_at_random(disturbed(untrained(RECORDINGS, net_shape())[0]))


def told_at_random(net: Net) -> Net:
    torch.nn.init.normal_(net.adaptation.strengths, generator=torch.Generator().manual_seed(0))
    return net


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


@torch.no_grad()
@given(st.integers(0, 99), st.sampled_from([0.9, 0.97, 1.0]))
def test_each_token_with_a_window_around_it_visits_one_state(net: Net, seed: int, share: float) -> None:
    good = np.random.default_rng(seed).random(130) < share
    spoilt = hidden_state_recording(130, 0, good=good)
    spoilt.eeg[np.repeat(~good, HOP)] = np.nan
    worn = torch.stack([torch.eye(70), torch.from_numpy(wearing(19, "interpolated")).float()])
    visited = visited_states(net, spoilt, recording_sums(net.adaptation, spoilt, UNIT, worn), UNIT, worn)
    assert (visited >= 0).all()
    seen = np.zeros(130)
    for stretch in spoilt.stretches():
        first, last = stretch.start // HOP, stretch.stop // HOP
        if last - first >= net.shape.n_tokens:
            seen[first : last - net.shape.lookahead] = 1
    expected = [seen[first : first + 25].sum() for first in range(0, 130, 25)]
    torch.testing.assert_close(visited.sum(dim=2), torch.tensor([expected] * 2, dtype=torch.float32))


@torch.no_grad()
def test_tokens_visit_the_states_that_the_net_weights(net: Net) -> None:
    recording, worn, n = RECORDINGS[0], torch.eye(70)[None], net.shape.n_tokens - net.shape.lookahead
    sums = recording_sums(net.adaptation, recording, UNIT, worn)
    visited = visited_states(net, recording, sums, UNIT, worn)
    known, expected = whole_context(net.adaptation, [recording], UNIT), torch.zeros(net.shape.n_experts)
    for first in range(0, 25, n):
        window = recording.eeg[first * HOP : (first + net.shape.n_tokens) * HOP].T / UNIT
        expected += net(torch.from_numpy(window.astype(np.float32))[None], known).weights.sum(dim=(0, 1))
    torch.testing.assert_close(visited[0, 0], expected, rtol=1e-4, atol=1e-4)


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
    covariances_ = np.stack([mean_covariance(each, UNIT) for each in RECORDINGS])
    mean, directions = covariance_directions(covariances_, 5)
    assert np.trace(mean) == pytest.approx(1.0, rel=1e-4)
    along = (covariances_ - mean).reshape(3, -1) @ directions.reshape(6, -1).T
    np.testing.assert_allclose((along**2).mean(axis=0), [1, 1, 0, 0, 0, 1], atol=1e-3)
    np.testing.assert_allclose(along[:, :2].T @ along[:, :2] / 3, np.eye(2), atol=1e-3)


def test_more_noise_is_no_other_head() -> None:
    covariances_ = np.stack([mean_covariance(each, UNIT) for each in RECORDINGS])
    mean, directions = covariance_directions(covariances_, 5)
    noise = (np.eye(70) - 1 / 70) / 69
    along = (0.5 * (noise - mean)).ravel() @ directions.reshape(6, -1).T
    np.testing.assert_allclose(along[:-1], 0, atol=1e-4)
    assert along[-1] > 5


@torch.no_grad()
def test_of_whom_nothing_is_known_is_taken_to_be_average(net: Net) -> None:
    eeg = torch.randn(2, 70, 48, generator=torch.Generator().manual_seed(0))
    context = Context(100 * torch.ones(2, 6), torch.full((2, 1), 100.0))
    plain, adapted = net(eeg).components, net(eeg, context).components
    assert (adapted - plain).abs().max() > 0.01 * plain.abs().max()
    torch.testing.assert_close(net(eeg, net.adaptation.nothing_known(2)).components, plain)


@torch.no_grad()
def test_what_is_beyond_all_heads_is_not_believed(adaptation: Adaptation) -> None:
    def mixed(size: float) -> float:
        features = torch.zeros(1, 6)
        features[0, 0] = size * 1e6
        return float((adaptation(Context(features, torch.tensor([[1e6]]))).eeg - adaptation.eeg_always).norm())

    assert mixed(1.0) == pytest.approx(2 * mixed(0.5), rel=0.1)
    assert mixed(30.0) < 0.1 * mixed(1.0)


def test_a_head_along_a_mode_is_told_from_its_eeg() -> None:
    """Heads that differ in one mode, by so much of it as one direction of their EEG's covariance shows."""
    shape = net_shape()
    rng = np.random.default_rng(0)
    modes = HeadModes(0.05 * rng.standard_normal((2, 70, 70)), 0.3 * rng.standard_normal((2, 3, 3)))
    basis, units = np.eye(4)[:, :3], Units(UNIT, np.full(4, 1e-12))
    maps = rng.standard_normal((1, 3, 70))
    amounts = np.linspace(-1, 1, 9)
    recordings = [along_a_mode(amount, maps[0], modes, basis, units) for amount in amounts]
    labels = [np.zeros(100, np.int16)] * 9
    heads = head_statistics(recordings, labels, units, basis, maps, modes, shape.n_features)
    adaptation = Adaptation(heads)
    # As if the recordings were that much longer, so that they outweigh what every memory begins with.
    contexts = [Context(*(1e4 * part for part in whole_context(adaptation, [each], UNIT))) for each in recordings]
    told = [adaptation(context).fields[0].detach().numpy() for context in contexts]
    first = np.array([np.vdot(each, modes.fields[0]) / np.vdot(modes.fields[0], modes.fields[0]) for each in told])
    assert np.corrcoef(first, amounts)[0, 1] > 0.98
    assert np.ptp(first) > 0.5 * np.ptp(amounts)


def along_a_mode(
    amount: float, of_average: NDArray[np.float64], modes: HeadModes, basis: NDArray[np.float64], units: Units
) -> Prepared:
    """A recording of a head that needs so much of the first mode."""
    rng = np.random.default_rng(round(10 * amount) + 50)
    as_average = rng.standard_normal((100 * HOP, 70))
    eeg = as_average @ np.linalg.inv(np.eye(70) + amount * modes.eeg[0]).T
    strengths = as_average @ of_average.T @ (np.eye(3) + amount * modes.fields[0]).T
    return noise_recording(
        100,
        eeg=(eeg * units.eeg).astype(np.float32),
        meg=(strengths @ basis.T * units.meg).astype(np.float32),
    )


@torch.no_grad()
def test_a_net_that_has_settled_estimates_as_one_that_adapts(net: Net) -> None:
    eeg = torch.randn(1, 70, 48, generator=torch.Generator().manual_seed(0))
    context = whole_context(net.adaptation, RECORDINGS[:1], UNIT)
    own = settle(net, context)
    torch.testing.assert_close(own(eeg).components, net(eeg, context).components, rtol=1e-3, atol=1e-3)
    other = Context(-context.features, context.tokens)
    torch.testing.assert_close(own(eeg, other).components, own(eeg).components)
