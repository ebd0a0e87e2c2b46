"""The virtual helmet shows what it would have shown of the same brain, wherever the recorded one was."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from cortexcast_training.head import TEMPLATE, Head, HeadSettings, draw_head, template_head
from cortexcast_training.leadfield import helmet, is_magnetometer
from cortexcast_training.virtual_helmet import virtual_helmet_map

Floats = NDArray[np.float64]

ALL = np.ones(306, bool)
IS_MAG = is_magnetometer()


def pose() -> Floats:
    return np.asarray(helmet()["dev_head_t"]["trans"], np.float64)


def brain(head: Head, n: int = 200) -> Floats:
    """Fields of smooth patches: what a brain's MEG is made of, ``(306, n)``."""
    places = head.model.cortex.positions
    centres = places[np.random.default_rng(0).integers(len(places), size=n)]
    patches = np.exp(-0.5 * (np.linalg.norm(places[:, None] - centres, axis=2) / 0.01) ** 2)
    return np.asarray(head.meg @ patches)


def wrong(estimate: Floats, truth: Floats) -> float:
    """RMS of the error in proportion to the field's, the worse of magnetometers and gradiometers."""
    return max(float(np.linalg.norm((estimate - truth)[of]) / np.linalg.norm(truth[of])) for of in (IS_MAG, ~IS_MAG))


@pytest.fixture(scope="module")
def moved() -> tuple[Head, Head]:
    """One head of another size than the template, with the helmet moved and where the virtual one is."""
    anatomy = {"scale_mean": 0.95, "scale_sd": 0.04, "skull_log_sd": 0.3}
    there, here = (
        draw_head(HeadSettings(**{**TEMPLATE.model_dump(), **anatomy, **move}), 5)
        for move in ({"helmet_shift_sd_m": 0.006, "helmet_rotation_sd_deg": 4.0}, {})
    )
    assert here.pushed_m == 0
    return there, here


def test_where_the_virtual_helmet_is_a_field_stays_as_it_is() -> None:
    fields = brain(template_head(2))
    assert wrong(virtual_helmet_map(pose(), ALL) @ fields, fields) < 0.03


def test_another_pose_is_undone(moved: tuple[Head, Head]) -> None:
    there, here = moved
    seen, wanted = brain(there), brain(here)
    assert wrong(seen, wanted) > 0.15, "the move must matter"
    assert wrong(virtual_helmet_map(there.dev_head_t, ALL) @ seen, wanted) < 0.05


def test_a_bad_sensor_is_not_used_and_yet_estimated(moved: tuple[Head, Head]) -> None:
    there, here = moved
    good = ALL.copy()
    good[[0, 1, 50, 51, 52, 203]] = False
    matrix = virtual_helmet_map(there.dev_head_t, good)
    assert not matrix[:, ~good].any()
    assert wrong(matrix @ brain(there), brain(here)) < 0.06
