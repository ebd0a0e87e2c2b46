"""The curve has a point for each length that the subjects' own recordings reach, judged on what is held out."""

from __future__ import annotations

import numpy as np
from nets import net_shape, untrained
from prepared import hidden_state_recording

from cortexcast_training.calibration_curve import calibration_curve
from cortexcast_training.head_modes import HeadModes
from cortexcast_training.held_out import HeldOut
from cortexcast_training.novelty import Novelty
from cortexcast_training.trained import Trained
from cortexcast_training.transformer_bundle import Hop


def test_longer_points_than_the_recording_are_left_out() -> None:
    shape = net_shape()
    net, units, _ = untrained([hidden_state_recording(600, seed) for seed in range(2)], shape)
    trained = Trained(Hop(net, Novelty(shape), units), (), (), np.zeros((70, 48), np.float32))
    test = hidden_state_recording(200, 8)
    judged = np.ones(len(test.eeg), bool)
    judged[:100] = judged[-40:] = False
    nothing = np.zeros(0, np.int64)
    held = HeldOut(hidden_state_recording(500, 9), test, judged, nothing, nothing, {})
    rng = np.random.default_rng(0)
    modes = HeadModes(0.01 * rng.standard_normal((2, 70, 70)), 0.1 * rng.standard_normal((2, 3, 3)))
    (point,) = calibration_curve(trained, [held], modes, (16.0, 60.0))
    assert point.seconds == 16.0
    assert point.model.n == 1
    assert 0.2 < point.model.value < 0.6  # a linear filter explains half of it
    assert point.calibrated.value > point.model.value - 0.1
    assert point.ridge.value > 0
