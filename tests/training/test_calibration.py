"""A calibration finds the head that a recording is of, and finds nothing where nothing differs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from nets import disturbed, net_shape, untrained
from numpy.typing import NDArray
from prepared import HOP, hidden_state_recording

from cortexcast_training import calibration
from cortexcast_training.calibration import (
    N_BLOCKS,
    CalibrationError,
    Correction,
    Gain,
    calibrate,
    material,
)
from cortexcast_training.head_modes import HeadModes, Shown, head_modes
from cortexcast_training.net import Net
from cortexcast_training.scaling import Units
from cortexcast_training.windows import Prepared

SHAPE = net_shape()
N_MODES = 3

Floats = NDArray[np.float64]


@pytest.fixture(scope="module")
def model() -> tuple[Net, Units]:
    """A net that estimates its training data as well as a linear filter does."""
    net, units, _ = untrained([hidden_state_recording(600, seed) for seed in range(3)], SHAPE)
    return net, units


@pytest.fixture(scope="module")
def modes() -> HeadModes:
    rng = np.random.default_rng(0)
    return HeadModes(
        eeg=0.05 * rng.standard_normal((N_MODES, SHAPE.n_electrodes, SHAPE.n_electrodes)),
        fields=0.3 * rng.standard_normal((N_MODES, SHAPE.n_components, SHAPE.n_components)),
    )


def other_head(recording: Prepared, net: Net, units: Units, modes: HeadModes, head: Floats) -> Prepared:
    """A head whose fields are those of the average one, mixed."""
    basis = net.basis.double().numpy()
    mixing = np.eye(SHAPE.n_components) + np.tensordot(head, modes.fields, 1)
    strengths = (recording.meg / units.meg) @ basis
    meg = recording.meg + (strengths @ mixing.T - strengths) @ basis.T * units.meg
    return replace(recording, meg=meg.astype(np.float32))


def test_a_head_along_the_modes_is_found(model: tuple[Net, Units], modes: HeadModes) -> None:
    net, units = model
    only_fields = replace(modes, eeg=0 * modes.eeg)
    head = np.array([1.5, -1.0, 0.5])
    recording = other_head(hidden_state_recording(400, 9), net, units, only_fields, head)
    result = calibrate(net, material(net, [recording], units), only_fields)
    assert result.gain.is_sure
    assert result.gain.after.mean() > result.gain.before.mean() + 0.05
    expected = Correction(
        torch.zeros(SHAPE.n_electrodes, SHAPE.n_electrodes),
        torch.from_numpy(np.tensordot(head, modes.fields, 1)).float(),
    ).corrected(net)
    found = result.net.wiener - net.wiener
    wanted = expected.wiener - net.wiener
    assert (found - wanted).norm() < 0.5 * wanted.norm()


def test_noise_teaches_nothing(model: tuple[Net, Units], modes: HeadModes) -> None:
    """MEG that no EEG predicts, in which any fit to its own samples would gain."""
    net, units = model
    recording = hidden_state_recording(200, 9)
    noise = np.random.default_rng(0).standard_normal(recording.meg.shape) * units.meg
    gain = calibrate(net, material(net, [replace(recording, meg=noise.astype(np.float32))], units), modes).gain
    assert gain.after.mean() < 0.02
    assert gain.ridge.mean() < 0.02


def test_a_gain_within_its_standard_error_is_none() -> None:
    before = np.zeros(N_BLOCKS)
    assert Gain(before, before + 0.01, before).is_sure
    assert not Gain(before, before, before).is_sure
    assert not Gain(before, np.array([0.3, -0.2, 0.0, -0.1, 0.05]), before).is_sure
    assert not Gain(before, before - 0.01, before).is_sure


def test_steps_are_taken_while_they_surely_help() -> None:
    left = np.array([[5.0] * 5, [4.0] * 5, [3.0, 3.1, 2.9, 3.0, 3.0], [2.0, 4.0, 2.0, 4.0, 3.0], [1.0] * 5])
    assert calibration._served(left) == 2
    assert calibration._served(left[:2]) == 1
    assert calibration._served(np.array([[1.0] * 5, [2.0] * 5])) == 1


def test_the_corrected_net_is_the_net_between_two_mixtures(model: tuple[Net, Units]) -> None:
    """Exactly so but for the RMS that a window is divided by: here the mixture of the EEG keeps that."""
    net = disturbed(untrained([hidden_state_recording(60, 0)], SHAPE)[0])
    net.adaptation.settle()
    rng = np.random.default_rng(0)
    rotation = torch.from_numpy(np.linalg.qr(rng.standard_normal((SHAPE.n_electrodes, SHAPE.n_electrodes)))[0]).float()
    fields = torch.from_numpy(rng.standard_normal((SHAPE.n_components, SHAPE.n_components))).float()
    correction = Correction(rotation - torch.eye(SHAPE.n_electrodes), fields - torch.eye(SHAPE.n_components))
    eeg = torch.randn(2, SHAPE.n_electrodes, SHAPE.n_tokens * SHAPE.token, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        given = correction.corrected(net)(eeg)
        expected = net(rotation @ eeg)
    wanted = torch.einsum("cd,btds->btcs", fields, expected.components)
    torch.testing.assert_close(given.components, wanted, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(given.weights, expected.weights, rtol=1e-3, atol=1e-4)


def test_material_holds_each_estimated_sample_once(model: tuple[Net, Units]) -> None:
    net, units = model
    recording = hidden_state_recording(260, 0)
    own = material(net, [recording, recording], units)
    n_hops = SHAPE.n_tokens - SHAPE.lookahead
    estimated = n_hops // 2
    first = (n_hops - estimated) * HOP
    per_recording = len(own) // 2
    measured = (recording.meg[first : first + per_recording * estimated * HOP] / units.meg) @ net.basis.numpy()
    torch.testing.assert_close(own.wanted[:per_recording].flatten(0, 1), torch.from_numpy(measured).float())
    torch.testing.assert_close(own.wanted[:per_recording], own.wanted[per_recording:])
    assert np.array_equal(np.unique(own.block), np.arange(N_BLOCKS))
    assert (np.diff(own.block) >= 0).all()


def test_what_is_too_short_is_told(model: tuple[Net, Units]) -> None:
    net, units = model
    with pytest.raises(CalibrationError, match=r"there are 4\.0 s of good data, .* a recording of 10 s or more"):
        material(net, [hidden_state_recording(100, 0)], units)
    broken = replace(hidden_state_recording(400, 0), good=np.arange(400) % 5 != 0)
    with pytest.raises(CalibrationError, match="in 0 windows without an interruption"):
        material(net, [broken], units)


def test_modes_take_one_head_to_another() -> None:
    """Heads that differ in one way have one mode, and it makes the average head each of them."""
    rng = np.random.default_rng(0)
    eeg, meg = rng.standard_normal((12, 50)), rng.standard_normal((10, 50))
    change_eeg, change_meg = 0.03 * rng.standard_normal((12, 12)), 0.03 * rng.standard_normal((10, 10))
    amounts = np.linspace(-1, 1, 7)
    heads = [
        Shown(
            ((np.eye(12) + a * change_eeg) @ eeg).astype(np.float32),
            ((np.eye(10) + a * change_meg) @ meg).astype(np.float32),
        )
        for a in amounts
    ]
    found = head_modes(heads, np.eye(10), Units(1.0, np.ones(10)))
    sizes = np.square(found.fields).sum(axis=(1, 2)) + np.square(found.eeg).sum(axis=(1, 2))
    assert len(sizes) == len(heads) - 1
    assert sizes[0] > 50 * sizes[1]
    wanted = change_meg * amounts.std(ddof=1)
    sign = np.sign(np.vdot(found.fields[0], wanted))
    np.testing.assert_allclose(sign * found.fields[0], wanted, atol=0.15 * np.abs(wanted).max())
