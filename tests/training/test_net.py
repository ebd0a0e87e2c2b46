"""The net reads no further than it may, does not care how large the EEG is, and begins as the Wiener filter."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import TAPS, analysed, disturbed, net_shape, untrained
from prepared import hidden_state_recording
from torch import Tensor

from cortexcast_training.net import Estimate, Net
from cortexcast_training.wiener import apply

RECORDINGS = [hidden_state_recording(100, seed) for seed in range(2)]


@cache
def trained_like(lookahead: int, n_layers: int) -> Net:
    """A net whose every weight matters."""
    return disturbed(untrained(RECORDINGS, net_shape(lookahead=lookahead, n_layers=n_layers))[0])


def window(seed: int, n_tokens: int = 6) -> Tensor:
    eeg = np.random.default_rng(seed).standard_normal((2, 70, n_tokens * 8))
    return torch.from_numpy(eeg - eeg.mean(axis=1, keepdims=True)).float()


@torch.no_grad()
def estimate(net: Net, eeg: Tensor) -> Estimate:
    return net.estimate(net(eeg))


def close(a: Tensor, b: Tensor, share: float = 1e-5) -> bool:
    return bool((a - b).abs().max() <= share * b.square().mean().sqrt())


@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 9))
@settings(max_examples=25)
def test_what_is_streamed_reads_its_look_ahead(lookahead: int, n_layers: int, seed: int) -> None:
    """The window ends there, so it cannot read more."""
    net = trained_like(lookahead, n_layers)
    eeg, other = window(seed), window(seed)
    newest = slice(-8, None)
    other[:, :, newest] = other[:, :, newest].roll(7, dims=1)  # as large, but of another pattern
    before, after = estimate(net, eeg), estimate(net, other)
    assert not close(before.meg[:, -1], after.meg[:, -1], 1e-2)


def test_every_token_that_has_its_look_ahead_is_estimated() -> None:
    for lookahead in (1, 2, 3):
        given_ = estimate(trained_like(lookahead, 1), window(0))
        assert given_.meg.shape == (2, 6 - lookahead, 4, 8)
        assert given_.variance.shape == (2, 6 - lookahead, 4)
        assert (given_.variance > 0).all()


@given(st.floats(0.03, 30), st.integers(0, 9))
@settings(max_examples=20)
def test_eeg_that_is_larger_gives_meg_that_is_as_much_larger(factor: float, seed: int) -> None:
    net = trained_like(1, 2)
    once, scaled = estimate(net, window(seed)), estimate(net, factor * window(seed))
    assert close(scaled.meg, factor * once.meg, 1e-4)
    assert (scaled.variance - once.variance).sign().unique().item() == np.sign(factor - 1) or factor == 1


def test_no_eeg_at_all_is_not_amplified() -> None:
    net = trained_like(1, 2)
    silent = estimate(net, torch.zeros(1, 70, 48))
    assert silent.meg.abs().max() < 1e-2 * estimate(net, window(0)).meg.abs().max()
    assert torch.isfinite(silent.variance).all()


@given(st.integers(1, 3), st.integers(0, 99))
@settings(max_examples=20)
def test_what_is_streamed_is_the_last_token_of_all(lookahead: int, seed: int) -> None:
    net, eeg = trained_like(lookahead, 2), window(seed)
    with torch.no_grad():
        parts, hidden = net.streamed(eeg)
    streamed, whole = net.estimate(parts), estimate(net, eeg)
    assert close(streamed.meg, whole.meg[:, -1:])
    assert close(streamed.variance, whole.variance[:, -1:])
    assert hidden.shape == (2, 1, 16)


def test_before_training_it_is_the_wiener_filter() -> None:
    """Of all fields: the experts' mean is nothing."""
    recordings = RECORDINGS
    net, units, _ = untrained(recordings, net_shape(n_components=4, n_tokens=12))
    _, total = analysed(recordings)
    eeg = recordings[0].eeg[80 : 80 + 96] / units.eeg
    expected = apply(total.filter(TAPS), TAPS, recordings[0].eeg / units.eeg)[80 : 80 + 96]
    given_ = estimate(net, torch.from_numpy(eeg.T.astype(np.float32))[None]).meg[0, 2:].transpose(1, 2).flatten(0, 1)
    error = given_.numpy() - expected[16:88]
    assert np.sqrt(np.mean(error**2)) < 1e-4 * np.sqrt(np.mean(expected**2))
