"""A calibration finds what differs linearly between a head and the model, and finds nothing where nothing differs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from nets import disturbed, net_shape, untrained
from numpy.typing import NDArray
from prepared import hidden_state_recording

from cortexcast_training.calibration import Calibration, Correction, Readout, read_out

N, N_WHITE, N_EXPERTS, N_COMPONENTS = 6000, 6, 4, 3

Floats = NDArray[np.float64]


def readout(correction: Correction | None, seed: int = 0) -> Readout:
    """A model's readout of a head that differs from what it knows by a correction, and noise as large as half of it."""
    rng = np.random.default_rng(seed)
    white, estimate = rng.standard_normal((N, N_WHITE)), rng.standard_normal((N, N_COMPONENTS))
    weights = np.eye(N_EXPERTS)[np.repeat(rng.integers(N_EXPERTS, size=N // 50), 50)]
    measured = estimate + 0.5 * rng.standard_normal(estimate.shape)
    if correction is not None:
        measured += estimate @ correction.mixture.T
        measured += np.einsum("nk,kcw,nw->nc", weights, correction.experts, white)
    power = (measured**2).sum(axis=1)
    return Readout(*(each.astype(np.float32) for each in (white, weights, estimate, measured, power)))


def other_head(seed: int = 0) -> Correction:
    rng = np.random.default_rng([1, seed])
    return Correction(
        mixture=0.3 * rng.standard_normal((N_COMPONENTS, N_COMPONENTS)),
        experts=0.3 * rng.standard_normal((N_EXPERTS, N_COMPONENTS, N_WHITE)),
    )


def test_what_differs_is_found() -> None:
    truth = other_head()
    found = Calibration(readout(truth)).correction()
    np.testing.assert_allclose(found.mixture, truth.mixture, atol=0.1)
    np.testing.assert_allclose(found.experts, truth.experts, atol=0.15)


def test_the_gain_is_measured_where_nothing_was_fitted() -> None:
    gain = Calibration(readout(other_head())).gain()
    assert (gain.after > gain.before + 0.1).all()
    assert (gain.after > gain.ridge + 0.1).all()


def test_noise_teaches_nothing() -> None:
    """A recording of noise, in which any fit to its own samples would gain."""
    calibration = Calibration(readout(None))
    gain = calibration.gain()
    assert abs((gain.after - gain.before).mean()) < 0.005
    assert np.abs(calibration.correction().experts).max() < 0.1


def test_the_corrected_net_is_the_net_and_the_correction() -> None:
    recordings = [hidden_state_recording(60, seed) for seed in range(2)]
    net, units = untrained(recordings, net_shape())
    net = disturbed(net)
    rng = np.random.default_rng(0)
    shape = net.shape
    correction = Correction(
        mixture=rng.standard_normal((shape.n_components, shape.n_components)),
        experts=rng.standard_normal((shape.n_experts, shape.n_components, shape.n_white)),
    )
    before = read_out(net, recordings[0], units)
    after = read_out(correction.corrected(net), recordings[0], units)
    expected = before.estimate @ (np.eye(shape.n_components) + correction.mixture).T
    expected += np.einsum("nk,kcw,nw->nc", before.weights, correction.experts, before.white)
    np.testing.assert_allclose(after.estimate, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())
    np.testing.assert_array_equal(after.measured, before.measured)


def test_a_readout_holds_each_good_token_once() -> None:
    recording = hidden_state_recording(60, 0)
    net, units = untrained([recording], net_shape())
    read = read_out(net, recording, units)
    n_windows = 60 - net.shape.n_tokens + 1
    assert len(read.white) == n_windows * net.shape.token
    assert read.weights.sum(axis=1) == pytest.approx(1.0, abs=1e-5)
    first = (net.shape.n_tokens - 1 - net.shape.lookahead) * net.shape.token
    meg = recording.meg[first : first + len(read.white)] / units.meg
    np.testing.assert_allclose(read.power, (meg**2).sum(axis=1), rtol=1e-4)
    assert torch.allclose(torch.from_numpy(read.measured), torch.from_numpy(meg).float() @ net.basis, atol=1e-3)
