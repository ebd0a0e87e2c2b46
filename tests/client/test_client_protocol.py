"""The client's sans-IO core, against the daemon's real hub where the two must agree."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from client.peer import FRAME, PRODUCT, hello, make_frame, status
from hypothesis import given
from hypothesis import strategies as st

from cortexcast_client import Agreement, Channel, DaemonError, Frame, Marker, Product, ProtocolError, Status
from cortexcast_client.protocol import ClientProtocol
from cortexcast_client.wire import SUBPROTOCOL, encode, to_json
from cortexcast_server import protocol as server
from cortexcast_server.hub import Hub, Limits, Subscriber


class Link:
    """A client and the daemon's hub, with a connection between them that can be cut."""

    def __init__(self, client: ClientProtocol, hub: Hub, *, as_json: bool) -> None:
        self.client, self.hub, self.as_json = client, hub, as_json
        self.handed_out: list[int] = []
        self.acknowledged: list[int] = []
        self.connect()

    def connect(self) -> None:
        self.subscriber = Subscriber(wake=lambda: None, as_json=self.as_json)
        self.subscriber.tell(server.Hello(version="1", clock_offset=0.0, products=self.hub.products))
        self.hub.join(self.subscriber)
        self.client.connection_made(SUBPROTOCOL)
        self.deliver(1)

    def cut(self) -> None:
        """Lose the connection with everything that is under way."""
        while self.hub.take(self.subscriber) is not None:
            pass
        self.hub.leave(self.subscriber)
        self.connect()

    def deliver(self, n_messages: int) -> None:
        """Carry up to so many messages to the client, and after each one its answers to the daemon."""
        for _ in range(n_messages):
            message = self.hub.take(self.subscriber)
            if message is None:
                return
            if isinstance(message, server.Message):
                message = message.model_dump_json()
            event = self.client.receive(message)
            if isinstance(event, Frame):
                self.handed_out.append(event.sequence)
            for text in self.client.messages_to_send():
                self.answer(text)

    def answer(self, text: str) -> None:
        request = server.parse_request(text)
        if isinstance(request, server.Subscribe):
            self.hub.subscribe(self.subscriber, request)
        elif isinstance(request, server.Ack):
            self.acknowledged.append(request.sequence)
            self.hub.acknowledge(self.subscriber, request.product, request.sequence)


steps = st.lists(
    st.tuples(st.just("publish"), st.integers(1, 9))
    | st.tuples(st.just("deliver"), st.integers(1, 12))
    | st.tuples(st.just("cut"), st.just(0)),
    max_size=30,
)


@given(steps, st.booleans())
def test_wherever_the_connection_is_cut_no_frame_is_lost_or_repeated(
    plan: list[tuple[str, int]], as_json: bool
) -> None:
    hub = Hub(Limits(history_s=1e3, outbox_s=1e3))
    product = server.Product.model_validate(PRODUCT)
    hub.open([product])
    n_published = 1
    hub.publish(product.session, [make_frame(0)])
    link = Link(ClientProtocol(["meg"]), hub, as_json=as_json)
    for name, n in plan:
        if name == "publish":
            hub.publish(product.session, [make_frame(n_published + i) for i in range(n)])
            n_published += n
        elif name == "deliver":
            link.deliver(n)
        elif link.handed_out:  # until the first frame there is nothing to resume: the stream is joined live
            link.cut()
    link.deliver(10 * n_published)
    assert link.handed_out == list(range(1, n_published))
    # Every frame of this product is 100 ms long, so each is acknowledged once it has been handled.
    assert link.acknowledged == link.handed_out


def greeted(*products: dict[str, Any], clock_offset: float = 0.0) -> ClientProtocol:
    client = ClientProtocol(["meg"])
    client.receive(json.dumps(hello(*(products or (PRODUCT,)), clock_offset=clock_offset)))
    client.messages_to_send()
    return client


def reconnect(client: ClientProtocol, *products: dict[str, Any]) -> dict[str, Any]:
    """A fresh connection; gives the subscription that the client sends."""
    client.connection_made(SUBPROTOCOL)
    client.receive(json.dumps(hello(*products)))
    (request,) = client.messages_to_send()
    return dict(json.loads(request))


def test_the_subscription_names_products_and_session() -> None:
    client = ClientProtocol(["eeg", "meg"], session="cap")
    assert reconnect(client, PRODUCT) == {
        "type": "subscribe",
        "products": ["eeg", "meg"],
        "session": "cap",
        "acks": True,
    }


def test_a_daemon_that_began_anew_is_not_resumed_and_not_suppressed() -> None:
    client = greeted()
    client.receive(encode(make_frame(500), 0))
    assert "resume" not in reconnect(client, PRODUCT | {"session": "another"})
    event = client.receive(encode(make_frame(0), 0))
    assert isinstance(event, Frame)
    assert (event.session, event.sequence) == ("another", 0)


def test_the_same_session_counted_anew_is_not_suppressed() -> None:
    client = greeted()
    client.receive(encode(make_frame(500), 0))
    assert reconnect(client, PRODUCT)["resume"] == {"cap/meg": 500}
    event = client.receive(encode(make_frame(3), 0))
    assert isinstance(event, Frame)
    assert reconnect(client, PRODUCT)["resume"] == {"cap/meg": 3}


def test_acknowledgements_are_a_tenth_of_a_second_of_data_apart() -> None:
    client = greeted(PRODUCT | {"rate_hz": 1000.0, "hop": 40})
    acknowledged = []
    for sequence in range(9):
        client.receive(encode(make_frame(sequence), 0))
        acknowledged += [json.loads(message) for message in client.messages_to_send()]
    assert acknowledged == [{"type": "ack", "product": 0, "sequence": sequence} for sequence in (2, 5, 8)]


def test_frames_of_a_product_that_ended_may_still_follow() -> None:
    client = greeted()
    client.receive(json.dumps({"type": "products", "products": []}))
    assert client.products == ()
    event = client.receive(encode(make_frame(0), 0))
    assert isinstance(event, Frame)
    assert client.product(event).name == "meg"


def test_messages_become_typed_events() -> None:
    client = greeted()
    (product,) = client.products
    assert (product.name, product.rate_hz, product.channels[0].unit) == ("meg", 250.0, "T")
    assert product.model is not None
    assert product.model.trained_on == "simulated"
    marker: dict[str, Any] = {"session": "cap", "stream": "keys", "label": "go", "time": 5.0, "clock_offset": 1.0}
    assert client.receive(json.dumps({"type": "marker", **marker})) == Marker(**marker)
    event = client.receive(json.dumps(status(bad_channels=["Cz"], dropped={"0": 3})))
    assert isinstance(event, Status)
    assert (event.state, event.bad_channels, event.dropped) == ("live", ("Cz",), {0: 3})
    assert event.agreement is None
    agreement: dict[str, Any] = {
        "seconds": 20.0,
        "explained_variance": {"mag": 0.5, "grad": 0.25},
        "median_r": {"mag": 0.75},
    }
    event = client.receive(json.dumps(status(agreement=agreement)))
    assert isinstance(event, Status)
    assert event.agreement == Agreement(**agreement)
    assert client.receive(json.dumps({"type": "of a later version"})) is None


def test_sample_times_and_latency() -> None:
    (product,) = greeted().products
    frame = make_frame(4)
    times = product.times(frame)
    assert times.shape == (frame.data.shape[1],)
    np.testing.assert_allclose(np.diff(times), 1 / 250.0)
    assert times[0] == frame.t0
    newest_s = times[-1] + product.delay_s
    assert product.latency(frame, unix_now=newest_s + 70.0, clock_offset=60.0) == pytest.approx(10.0)


def test_the_daemons_error_is_raised_with_its_code() -> None:
    error = {"type": "error", "code": "unknown_product", "message": "no product 'gem': there are eeg, meg"}
    with pytest.raises(DaemonError, match="no product 'gem'") as raised:
        greeted().receive(json.dumps(error))
    assert raised.value.code == "unknown_product"


def test_an_error_may_come_instead_of_the_greeting() -> None:
    with pytest.raises(DaemonError, match="try later"):
        ClientProtocol(["meg"]).receive(json.dumps({"type": "error", "code": "full", "message": "try later"}))


@pytest.mark.parametrize("latency_ms", [{"p50": 1.0, "p95": 1.5, "p99": 2.0}, {"p50": 1.0, "p99": 2.0}, None])
def test_a_status_has_the_percentiles_that_the_daemon_says(latency_ms: dict[str, float] | None) -> None:
    received = greeted().receive(json.dumps(status(latency_ms=latency_ms)))
    assert isinstance(received, Status)
    assert received.latency_ms == latency_ms


@pytest.mark.parametrize(("told", "known"), [(7.0, 7.0), (None, 1.5)])
def test_the_clock_offset_is_the_last_that_the_daemon_told(told: float | None, known: float) -> None:
    client = greeted(clock_offset=1.5)
    client.receive(json.dumps(status(clock_offset=told)))
    assert client.clock_offset == known


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        ("hello?", "not a JSON object with a 'type': 'hello\\?'"),
        ("[]", "not a JSON object"),
        ('{"type": 3}', "not a JSON object with a 'type'"),
        (b"", "at least 40 bytes"),
        (bytes(40), "kind 0, version 0"),
        (encode(FRAME, 7), "product index 7"),
        (json.dumps(to_json(FRAME) | {"session": "unheard of"}), "unheard of/meg"),
        (json.dumps({"type": "frame"}), "not a JSON frame"),
        (json.dumps({"type": "marker", "session": "cap"}), "malformed 'marker' message: 'stream' is missing"),
        (json.dumps(status(gaps="many")), "malformed 'status' message: .*many"),
        (json.dumps(status(agreement={"explained_variance": 7})), "malformed 'status' message"),
        (json.dumps({"type": "products", "products": [{}]}), "malformed 'products' message: 'model' is missing"),
        (json.dumps({"type": "products", "products": 7}), "malformed 'products' message"),
    ],
)
def test_what_the_protocol_does_not_allow_is_refused(message: str | bytes, complaint: str) -> None:
    with pytest.raises(ProtocolError, match=complaint):
        greeted().receive(message)


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (json.dumps(status()), "first message is 'status', expected 'hello'"),
        (json.dumps({"type": "hello", "products": []}), "clock_offset"),
        (json.dumps({"type": "hello", "clock_offset": 0.0}), "'products' is missing"),
    ],
)
def test_a_greeting_must_come_first_and_be_whole(message: str, complaint: str) -> None:
    with pytest.raises(ProtocolError, match=complaint):
        ClientProtocol(["meg"]).receive(message)


@pytest.mark.parametrize("products", ["meg", []])
def test_products_must_be_a_list_of_names(products: Any) -> None:
    with pytest.raises(ValueError, match="give a list of names"):
        ClientProtocol(products)


def test_labels_are_ranked_by_how_probable_they_are() -> None:
    channels = (
        Channel("dimension 1", "embedding", "1", ()),
        *(Channel(name, "label", "1", ()) for name in ("face", "sea", "fire")),
    )
    product = Product(0, "s", "cap", "stimulus", 4.0, 1, 0.0, channels, None, replayed=False)

    def frame(*values: float) -> Frame:
        return Frame("stimulus", 0, 0, 0.0, np.array(values, np.float32)[:, np.newaxis])

    assert [name for name, _ in product.ranked_labels(frame(9.0, 0.2, 0.5, 0.3))] == ["sea", "fire", "face"]
    assert product.ranked_labels(frame(*[np.nan] * 4)) == []
