"""The hub: every subscriber gets every frame in order, or a true count of what it lost; none disturbs another."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cortexcast_client import wire
from cortexcast_client.wire import Frame
from cortexcast_server.hub import MAX_CONTROL, Hub, Limits, Subscriber
from cortexcast_server.protocol import Error, Product, Products, ProtocolError, Status, Subscribe

LIMITS = Limits(history_s=1.0, outbox_s=0.4, ack_window_s=0.2)  # 25, 10 and 5 frames of 40 ms
NAMES = {0: ("s1", "eeg"), 1: ("s1", "meg"), 2: ("s2", "meg")}


def make_product(index: int) -> Product:
    session, product = NAMES[index]
    return Product(
        index=index, session=session, stream="headset", product=product, rate_hz=200.0, hop=8, delay_s=0.0, channels=(),
        model=None, replayed=False, simulated=False,
    )  # fmt: skip


def make_hub(*indices: int) -> Hub:
    hub = Hub(LIMITS)
    hub.open([make_product(index) for index in indices or (0, 1)])
    return hub


def make_subscriber(hub: Hub, as_json: bool = False) -> Subscriber:
    subscriber = Subscriber(wake=lambda: None, as_json=as_json)
    hub.join(subscriber)
    return subscriber


def subscribe(hub: Hub, subscriber: Subscriber, **fields: object) -> None:
    hub.subscribe(subscriber, Subscribe.model_validate({"type": "subscribe", "products": ["meg"], **fields}))


def publish(hub: Hub, start: int, n: int, session: str = "s1", product: str = "meg") -> None:
    for k in range(start, start + n):
        data = np.full((2, 8), k, np.float32)
        hub.publish(session, [Frame(product, k, 8 * k, k / 25, data)])


def drain(hub: Hub, subscriber: Subscriber, limit: int = 1000) -> list[Frame]:
    frames: list[Frame] = []
    while len(frames) < limit and (message := hub.take(subscriber)) is not None:
        if isinstance(message, bytes):
            frames.append(wire.decode(message, NAMES))
        elif isinstance(message, str):
            frames.append(wire.from_json(json.loads(message)))
    return frames


@given(
    steps=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=20),
    as_json=st.booleans(),
)
@settings(deadline=None)
def test_what_is_not_sent_is_counted(steps: list[tuple[int, int]], as_json: bool) -> None:
    """However publishing and taking alternate: frames come in order, and holes equal the drop count."""
    hub = make_hub()
    subscriber = make_subscriber(hub, as_json)
    subscribe(hub, subscriber)
    published, expected, dropped = 0, 0, 0
    for n_published, n_taken in steps:
        publish(hub, published, n_published)
        published += n_published
        for frame in drain(hub, subscriber, n_taken):
            assert frame.dropped - dropped == frame.sequence - expected
            assert frame.data[0, 0] == frame.sequence
            expected, dropped = frame.sequence + 1, frame.dropped
            assert published - expected < 10, "older than the outbox allows"


def test_a_stalled_client_costs_the_others_nothing() -> None:
    hub = make_hub()
    stalled, lively = make_subscriber(hub), make_subscriber(hub)
    for subscriber in (stalled, lively):
        subscribe(hub, subscriber)
    got = []
    for k in range(500):
        publish(hub, k, 1)
        got += drain(hub, lively)
    assert [frame.sequence for frame in got] == list(range(500))
    assert got[-1].dropped == 0
    assert drain(hub, stalled)[0].dropped == 490


@given(lost_at=st.integers(0, 59), away=st.integers(0, 20))
def test_resume_within_the_history_loses_and_repeats_nothing(lost_at: int, away: int) -> None:
    hub = make_hub()
    first = make_subscriber(hub)
    subscribe(hub, first)
    got = []
    for k in range(lost_at + 1):
        publish(hub, k, 1)
        got += drain(hub, first)
    hub.leave(first)
    publish(hub, lost_at + 1, away)
    again = make_subscriber(hub)
    subscribe(hub, again, resume={"s1/meg": got[-1].sequence})
    publish(hub, lost_at + 1 + away, 5)
    got += drain(hub, again)
    assert [frame.sequence for frame in got] == list(range(lost_at + away + 6))
    assert got[-1].dropped == 0


def test_resume_beyond_the_history_counts_what_is_gone() -> None:
    hub = make_hub()
    publish(hub, 0, 100)
    subscriber = make_subscriber(hub)
    subscribe(hub, subscriber, resume={"s1/meg": 9})
    frames = drain(hub, subscriber)
    assert [frame.sequence for frame in frames] == list(range(75, 100))
    assert frames[0].dropped == 75 - 10


def test_resume_from_another_life_of_the_daemon_starts_now() -> None:
    hub = make_hub()
    publish(hub, 0, 10)
    subscriber = make_subscriber(hub)
    subscribe(hub, subscriber, resume={"s1/meg": 5000})
    publish(hub, 10, 2)
    assert [frame.sequence for frame in drain(hub, subscriber)] == [10, 11]


@given(st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=30))
def test_no_more_is_under_way_than_the_ack_window(steps: list[tuple[int, bool]]) -> None:
    hub = make_hub()
    subscriber = make_subscriber(hub)
    subscribe(hub, subscriber, acks=True)
    published = under_way = newest = 0
    for n, acknowledge in steps:
        publish(hub, published, n)
        published += n
        frames = drain(hub, subscriber)
        under_way += len(frames)
        newest = frames[-1].sequence if frames else newest
        assert under_way <= 5
        if acknowledge:
            hub.acknowledge(subscriber, 1, newest)
            under_way = 0


def test_a_late_ack_after_drops_opens_the_window_again() -> None:
    hub = make_hub()
    subscriber = make_subscriber(hub)
    subscribe(hub, subscriber, acks=True)
    publish(hub, 0, 200)
    assert [frame.sequence for frame in drain(hub, subscriber)] == list(range(190, 195))
    publish(hub, 200, 100)
    assert drain(hub, subscriber) == []
    hub.acknowledge(subscriber, 1, 194)
    assert [frame.sequence for frame in drain(hub, subscriber)] == list(range(290, 295))


def test_products_share_a_connection_fairly() -> None:
    hub = make_hub()
    subscriber = make_subscriber(hub)
    subscribe(hub, subscriber, products=["eeg", "meg"])
    publish(hub, 0, 5, product="meg")
    publish(hub, 0, 5, product="eeg")
    assert [frame.product for frame in drain(hub, subscriber, 4)] in (["eeg", "meg"] * 2, ["meg", "eeg"] * 2)


def test_a_session_that_comes_later_is_announced_and_subscribed() -> None:
    hub = make_hub()
    everything, one = make_subscriber(hub), make_subscriber(hub)
    subscribe(hub, everything)
    subscribe(hub, one, session="s1")
    hub.open([make_product(2)])
    announced = hub.take(everything)
    assert isinstance(announced, Products)
    assert [product.index for product in announced.products] == [0, 1, 2]
    publish(hub, 0, 3, session="s2")
    assert [frame.session for frame in drain(hub, everything)] == ["s2"] * 3
    assert drain(hub, one) == []


def test_who_comes_late_hears_the_last_status() -> None:
    hub = make_hub()
    failed = Status(
        session="s1", state="failed", error="why", samples_in=0, samples_out=0, gaps=0, missing_s=0, restarts=0,
        rate_hz=None, sample_age_s=None, clock_offset=0.0, latency_ms=None, bad_channels=(), interpolated=(), notes=(),
    )  # fmt: skip
    hub.tell("s1", failed)
    late, other = make_subscriber(hub), make_subscriber(hub)
    subscribe(hub, late, session="s1")
    heard = hub.take(late)
    assert isinstance(heard, Status)
    assert heard.error == "why"
    hub.close("s1")
    subscribe(hub, other)
    assert [type(message) for message in iter(lambda: hub.take(other), None)] == [Products]


def test_a_closed_session_leaves_nothing_behind() -> None:
    hub = make_hub(0, 1, 2)
    subscriber = make_subscriber(hub)
    subscribe(hub, subscriber)
    publish(hub, 0, 3, session="s1")
    hub.close("s1")
    assert drain(hub, subscriber) == []
    assert [product.index for product in hub.products] == [2]
    hub.acknowledge(subscriber, 1, 2)
    assert hub.dropped(subscriber, "s1") == {}


@pytest.mark.parametrize(
    ("fields", "code", "text"),
    [
        ({"products": ["mri"]}, "unknown_product", "eeg, meg, fmri, stimulus, meg_recorded"),
        ({"session": "s9"}, "unknown_session", "s1"),
    ],
)
def test_unknown_wishes_name_what_there_is(fields: dict[str, object], code: str, text: str) -> None:
    hub = make_hub()
    with pytest.raises(ProtocolError, match=text) as caught:
        subscribe(hub, make_subscriber(hub), **fields)
    assert caught.value.code == code


def test_control_messages_are_lossless_until_the_client_must_go() -> None:
    hub = make_hub()
    subscriber = make_subscriber(hub)
    for k in range(MAX_CONTROL):
        subscriber.tell(Error(code="bad_message", message=str(k)))
    assert not subscriber.overflowed
    subscriber.tell(Error(code="bad_message", message="one too many"))
    assert subscriber.overflowed
    taken = [message.message for _ in range(MAX_CONTROL) if isinstance(message := hub.take(subscriber), Error)]
    assert taken == [str(k) for k in range(MAX_CONTROL)]
