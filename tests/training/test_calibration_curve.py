"""A subject is judged at each length of its own recording on what is held out; the curve is over subjects."""

from __future__ import annotations

import numpy as np
import pytest
from nets import net_shape, untrained
from prepared import hidden_state_recording

from cortexcast_training.calibration_curve import Tried, calibration_curve, try_calibration
from cortexcast_training.evaluate import Shifted, explained
from cortexcast_training.head_modes import HeadModes
from cortexcast_training.held_out import HeldOut
from cortexcast_training.metrics import gap_closed
from cortexcast_training.novelty import Novelty
from cortexcast_training.trained import Trained
from cortexcast_training.transformer_bundle import Hop

N_SENSORS = 306


def test_a_subject_is_judged_at_each_length() -> None:
    shape = net_shape(N_SENSORS, n_layers=1)
    net, units, _ = untrained([hidden_state_recording(600, seed, N_SENSORS) for seed in range(2)], shape)
    trained = Trained(Hop(net, Novelty(shape, 2), units), (), (), np.zeros((70, 48), np.float32), simulated=True)
    test = hidden_state_recording(200, 8, N_SENSORS)
    judged = np.ones(len(test.eeg), bool)
    judged[:100] = judged[-40:] = False
    recording = hidden_state_recording(500, 9, N_SENSORS)
    held = HeldOut(recording, test, judged, {})
    rng = np.random.default_rng(0)
    modes = HeadModes(0.01 * rng.standard_normal((2, 70, 70)), 0.1 * rng.standard_normal((2, 3, 3)))
    tried = try_calibration(trained, modes, (8.0, 16.0), recording, held)
    assert [each.seconds for each in tried] == [8.0, 16.0]
    for each in tried:
        assert each.calibrated is None or each.calibrated > 0.2  # a linear filter explains half of it
        assert each.ridge > 0
    assert tried[0].ridge != tried[1].ridge
    assert explained(held, test.meg) == 1
    assert explained(held, np.zeros_like(test.meg)) == 0


def judged(model: float, oracle: float | None = 0.8) -> Shifted:
    return Shifted(model=model, baseline=0.3, oracle=oracle, novel=None)


def test_where_calibration_refuses_the_model_counts_as_it_was() -> None:
    first, second = calibration_curve(
        [
            (judged(0.5), [Tried(10.0, None, 0.1), Tried(60.0, 0.7, 0.2)]),
            (judged(0.6), [Tried(10.0, 0.65, 0.3), Tried(60.0, 0.75, 0.4)]),
        ]
    )
    assert (first.seconds, second.seconds) == (10.0, 60.0)
    assert (first.refused, second.refused) == (1, 0)
    assert first.model == second.model
    assert first.model.value == pytest.approx(0.55)
    assert first.calibrated.value == pytest.approx((0.5 + 0.65) / 2)
    assert second.calibrated.value == pytest.approx(0.725)
    assert second.ridge.value == pytest.approx(0.3)
    assert second.gap_closed is not None
    assert second.gap_closed.value == pytest.approx(gap_closed(0.725, 0.3, 0.8))
    assert second.gap_closed.n == 2


def test_without_an_oracle_there_is_no_gap() -> None:
    (point,) = calibration_curve([(judged(0.5, oracle=None), [Tried(10.0, 0.6, 0.1)])])
    assert point.gap_closed is None
    assert point.calibrated.value == 0.6


def test_who_was_not_calibrated_to_has_no_curve() -> None:
    assert calibration_curve([(judged(0.5), []), (judged(0.6), [])]) == []
    assert calibration_curve([]) == []
