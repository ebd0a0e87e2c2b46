"""A client's side of ``cortexcast.v1`` without sockets: messages in, events and messages out. Pure.

The shells in ``connection.py`` move the messages. For each connection: ``connection_made``, then ``receive``
with every message, and before waiting for the next one send what ``messages_to_send`` gives. The object
outlives connections, since it remembers where to resume.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from cortexcast_client import wire
from cortexcast_client.errors import DaemonError, ProtocolError
from cortexcast_client.messages import Marker, Product, Status, parse_marker, parse_products, parse_status
from cortexcast_client.wire import Frame, WireError

ACK_S = 0.1
"""Seconds of data between two acknowledgements: a twentieth of what a daemon lets be under way."""

Event = Frame | Marker | Status


class ClientProtocol:
    """One subscription, over any number of connections.

    Args:
        products: names to subscribe to, as ``["meg"]``.
        session: the id of one session, or None for every one, those to come as well.

    Attributes:
        products: what the daemon offers now.
        clock_offset: seconds to add to the daemon's LSL clock to get Unix time, as the daemon last told.
        greeted: this connection's ``hello`` has arrived.
        farewell: the reason in this connection's ``bye``, or None.
    """

    def __init__(self, products: Sequence[str], session: str | None = None) -> None:
        if isinstance(products, str) or not products:
            raise ValueError(f"products is {products!r}: give a list of names, as ['meg']")
        self._wanted = list(products)
        self._session = session
        self._last: dict[tuple[str, str], int] = {}
        """The last sequence number handed out, by session and product."""
        self._by_name: dict[tuple[str, str], Product] = {}
        self.products: tuple[Product, ...] = ()
        self.clock_offset = 0.0
        self.connection_made(wire.SUBPROTOCOL)

    def connection_made(self, subprotocol: str | None) -> None:
        """Begin anew on a fresh connection.

        Raises:
            ProtocolError: the server did not choose our subprotocol.
        """
        if subprotocol != wire.SUBPROTOCOL:
            raise ProtocolError(f"the server is not a cortexcast daemon: it does not speak {wire.SUBPROTOCOL}")
        self.greeted = False
        self.farewell: str | None = None
        # Frames of a product that just ended may still follow, so what was announced stays known.
        self._announced: dict[int, tuple[str, str]] = {}
        self._unacknowledged: Counter[tuple[str, str]] = Counter()
        self._outgoing: list[dict[str, Any]] = []

    def product(self, frame: Frame) -> Product:
        """The product that a frame handed out belongs to."""
        return self._by_name[frame.session, frame.product]

    def messages_to_send(self) -> list[str]:
        """What to send now. Asking says that every event given so far has been handled."""
        for key, n_frames in list(self._unacknowledged.items()):
            product = self._by_name[key]
            if n_frames * product.hop >= ACK_S * product.rate_hz:
                self._outgoing.append({"type": "ack", "product": product.index, "sequence": self._last[key]})
                del self._unacknowledged[key]
        messages = [json.dumps(message) for message in self._outgoing]
        self._outgoing.clear()
        return messages

    def receive(self, message: str | bytes) -> Event | None:
        """Take one message.

        Returns:
            What the consumer is to see of it, if anything.

        Raises:
            DaemonError: the daemon refused what we asked for.
            ProtocolError: the message is not one of this protocol.
        """
        if isinstance(message, bytes):
            try:
                return self._hand_out(wire.decode(message, self._announced))
            except WireError as error:
                raise ProtocolError(str(error)) from error
        return self._receive_control(_parse(message))

    def _receive_control(self, message: dict[str, Any]) -> Event | None:
        kind = message["type"]
        if kind == "error":
            raise DaemonError(str(message.get("code")), str(message.get("message")))
        if not self.greeted and kind != "hello":
            raise ProtocolError(f"the first message is {kind!r}, expected 'hello'")
        match kind:
            case "hello":
                self._greet(message)
            case "products":
                self._announce(message)
            case "bye":
                self.farewell = str(message.get("reason"))
            case "marker":
                return parse_marker(message)
            case "status":
                status = parse_status(message)
                if status.clock_offset is not None:
                    self.clock_offset = status.clock_offset
                return status
            case "frame":
                try:
                    return self._hand_out(wire.from_json(message))
                except WireError as error:
                    raise ProtocolError(str(error)) from error
        # A kind that we do not know is a newer daemon's: its loss does no harm.
        return None

    def _greet(self, message: dict[str, Any]) -> None:
        try:
            self.clock_offset = float(message["clock_offset"])
        except (KeyError, TypeError, ValueError):
            raise ProtocolError("malformed 'hello' message: it has no number 'clock_offset'") from None
        self._announce(message)
        offered = set(self._announced.values())
        self._last = {key: sequence for key, sequence in self._last.items() if key in offered}
        self.greeted = True
        request: dict[str, Any] = {"type": "subscribe", "products": self._wanted, "acks": True}
        if self._session is not None:
            request["session"] = self._session
        if self._last:
            request["resume"] = {"/".join(key): sequence for key, sequence in self._last.items()}
        self._outgoing.append(request)

    def _announce(self, message: dict[str, Any]) -> None:
        self.products = parse_products(message)
        for product in self.products:
            key = product.session, product.name
            self._announced[product.index] = key
            self._by_name[key] = product

    def _hand_out(self, frame: Frame) -> Frame:
        key = frame.session, frame.product
        if key not in self._by_name:
            raise ProtocolError(f"frame of {frame.session}/{frame.product}, which no message announced")
        # A number below the last one is no repetition: the daemon began to count anew.
        self._last[key] = frame.sequence
        self._unacknowledged[key] += 1
        return frame


def _parse(text: str) -> dict[str, Any]:
    try:
        message = json.loads(text)
    except json.JSONDecodeError:
        message = None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise ProtocolError(f"text that is not a JSON object with a 'type': {text[:80]!r}")
    return message
