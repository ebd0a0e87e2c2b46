"""The codec gives back what it was given, and refuses whatever is not a frame."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from client.golden import GOLDEN, golden_frames
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cortexcast_client.wire import HEADER, Flags, Frame, WireError, decode, encode, from_json, to_json, with_dropped

u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1)
float32 = st.floats(width=32, allow_nan=True, allow_infinity=True)
product_index = st.integers(0, 2**16 - 1)


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    n_channels, n_samples = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    std = draw(st.none() | hnp.arrays(np.float32, n_channels, elements=float32))
    flags = Flags(draw(st.integers(0, Flags.STD - 1)))
    return Frame(
        product=draw(st.text()),
        sequence=draw(u64),
        first_sample=draw(u64),
        t0=draw(st.floats(allow_nan=False, allow_infinity=False)),
        data=draw(hnp.arrays(np.float32, (n_channels, n_samples), elements=float32)),
        std=std,
        flags=flags if std is None else flags | Flags.STD,
        dropped=draw(u32),
        session=draw(st.text()),
    )


def assert_same(given: Frame, expected: Frame) -> None:
    for name in (field.name for field in fields(Frame)):
        a, b = getattr(given, name), getattr(expected, name)
        if isinstance(b, np.ndarray):
            np.testing.assert_array_equal(a, b, strict=True)
        else:
            assert a == b, name


@given(frames(), product_index)
def test_bytes_keep_every_field(frame: Frame, index: int) -> None:
    assert_same(decode(encode(frame, index), {index: (frame.session, frame.product)}), frame)


@given(frames())
def test_json_keeps_every_field_but_infinity(frame: Frame) -> None:
    def finite(values: Any) -> Any:
        return None if values is None else np.where(np.isfinite(values), values, np.float32(np.nan))

    read = from_json(json.loads(json.dumps(to_json(frame), allow_nan=False)))
    assert_same(read, replace(frame, data=finite(frame.data), std=finite(frame.std)))


@given(frames(), product_index)
def test_floats_lie_aligned_and_channel_major_behind_the_header(frame: Frame, index: int) -> None:
    message = encode(frame, index)
    assert HEADER.size % 8 == 0
    payload = np.frombuffer(message[40 : 40 + 4 * frame.data.size], "<f4")
    np.testing.assert_array_equal(payload, frame.data.ravel())


@given(frames(), product_index, u32)
def test_with_dropped_changes_that_field_alone(frame: Frame, index: int, dropped: int) -> None:
    message = with_dropped(encode(frame, index), dropped)
    assert message == encode(replace(frame, dropped=dropped), index)


@given(frames(), product_index, st.data())
def test_a_message_of_another_length_is_refused(frame: Frame, index: int, data: st.DataObject) -> None:
    message = encode(frame, index)
    cut = message[: data.draw(st.integers(0, len(message) - 1))]
    longer = message + data.draw(st.binary(min_size=1, max_size=8))
    for damaged in (cut, longer):
        with pytest.raises(WireError, match="bytes"):
            decode(damaged, {index: (frame.session, frame.product)})


@given(st.binary(max_size=100))
def test_arbitrary_bytes_are_a_frame_or_a_wire_error(message: bytes) -> None:
    try:
        frame = decode(message, dict.fromkeys(range(2**16), ("session", "meg")))
    except WireError:
        return
    assert len(message) == 40 + 4 * (frame.data.size + (0 if frame.std is None else frame.std.size))


@pytest.mark.parametrize("offset", [0, 1])
def test_another_kind_or_version_is_refused(offset: int) -> None:
    message = bytearray(encode(golden_frames()["eeg"][1], 0))
    message[offset] += 1
    with pytest.raises(WireError, match="this client reads kind 1, version 1"):
        decode(bytes(message), {0: ("cap", "eeg")})


def test_a_product_that_was_never_announced_is_refused() -> None:
    with pytest.raises(WireError, match="product index 5"):
        decode(encode(golden_frames()["eeg"][1], 5), {0: ("cap", "eeg")})


@pytest.mark.parametrize("key", sorted(to_json(golden_frames()["meg"][1]).keys() - {"type"}))
def test_json_without_a_field_is_refused(key: str) -> None:
    message = to_json(golden_frames()["meg"][1])
    del message[key]
    with pytest.raises(WireError, match=key):
        from_json(message)


@pytest.mark.parametrize(
    "change", [{"data": [[1.0], [1.0, 2.0]]}, {"data": [["x"]]}, {"flags": ["NO_SUCH_FLAG"]}, {"flags": 3}]
)
def test_json_with_a_field_of_another_kind_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(WireError, match="not a JSON frame"):
        from_json(to_json(golden_frames()["meg"][1]) | change)


@pytest.mark.parametrize("name", golden_frames())
def test_golden_files_hold_what_the_codec_makes_and_reads(name: str) -> None:
    index, frame = golden_frames()[name]
    message = (GOLDEN / f"frame-{name}.bin").read_bytes()
    expected = json.loads((GOLDEN / f"frame-{name}.json").read_text())
    assert encode(frame, index) == message
    assert expected["product_index"] == index
    assert_same(decode(message, {index: (frame.session, frame.product)}), from_json(expected["frame"]))
