"""The hub: one ring of recent frames a product, one cursor a subscriber. Pure.

A subscriber's outbox is its cursor in the product's ring, so a thousand stalled clients cost what one does. A cursor
that falls behind by more than ``outbox_s`` skips the oldest frames and counts them; one that resumes may be as far
behind as the ring reaches, ``history_s``. Control messages are lossless but bounded: a client that does not take them
is to be disconnected.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import count

from cortexcast_client import wire
from cortexcast_client.wire import Frame
from cortexcast_server.engine import EEG, FMRI, MEG, STIMULUS
from cortexcast_server.protocol import Message, Product, Products, ProtocolError, Status, Subscribe
from cortexcast_server.recorded_meg import MEG_RECORDED

MAX_CONTROL = 256

_NAMES = (EEG, MEG, FMRI, STIMULUS, MEG_RECORDED)
"""What a client may subscribe to; a session need not have all of them."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept, in seconds of frames.

    Attributes:
        history_s: what a client that lost its connection can get again.
        outbox_s: how far a live subscriber may fall behind before it loses the oldest frames.
        ack_window_s: how much may be under way to a client that acknowledges: a socket alone would take a minute.
    """

    history_s: float = 10.0
    outbox_s: float = 2.0
    ack_window_s: float = 2.0


class _Encoded:
    """A published frame, encoded once for all subscribers of a format."""

    __slots__ = ("_binary", "_frame", "_index", "_json")

    def __init__(self, frame: Frame, index: int) -> None:
        self._frame = frame
        self._index = index
        self._binary: bytes | None = None
        self._json: str | None = None

    def binary(self, dropped: int) -> bytes:
        if self._binary is None:
            self._binary = wire.encode(self._frame, self._index)
        return wire.with_dropped(self._binary, dropped) if dropped else self._binary

    def json(self, dropped: int) -> str:
        if self._json is None:
            # The braces are left open for the one field that differs between subscribers.
            body = wire.to_json(self._frame)
            del body["dropped"]
            self._json = json.dumps(body)[:-1]
        return f'{self._json}, "dropped": {dropped}}}'


class _Channel:
    """One product's ring of recent frames; ``end`` is the sequence number of the next."""

    def __init__(self, product: Product, limits: Limits) -> None:
        self.product = product
        frame_s = product.hop / product.rate_hz
        self.ring: deque[_Encoded] = deque(maxlen=max(1, round(limits.history_s / frame_s)))
        self.outbox = max(1, round(limits.outbox_s / frame_s))
        self.ack_window = max(1, round(limits.ack_window_s / frame_s))
        self.end = 0

    @property
    def start(self) -> int:
        return self.end - len(self.ring)

    def append(self, frame: Frame) -> None:
        self.ring.append(_Encoded(replace(frame, session=self.product.session), self.product.index))
        self.end = frame.sequence + 1

    def __getitem__(self, sequence: int) -> _Encoded:
        return self.ring[sequence - self.start]


@dataclass(slots=True)
class _Cursor:
    """Where a subscriber stands in one product. Frames before ``resumed_until`` may be older than the outbox."""

    next: int
    resumed_until: int
    dropped: int = 0
    under_way: deque[int] = field(default_factory=deque)
    """Sent and not acknowledged; only for clients that acknowledge."""


@dataclass(eq=False)
class Subscriber:
    """One client. ``wake`` is called whenever there may be something to take."""

    wake: Callable[[], None]
    as_json: bool = False
    overflowed: bool = False
    _control: deque[Message] = field(default_factory=deque)
    _subscription: Subscribe | None = None
    _cursors: dict[int, _Cursor] = field(default_factory=dict)

    def tell(self, message: Message) -> None:
        """Queue a control message. When the queue is full, ``overflowed`` is set: disconnect the client."""
        if len(self._control) >= MAX_CONTROL:
            self.overflowed = True
        else:
            self._control.append(message)
        self.wake()


class Hub:
    """All products, all subscribers.

    Args:
        limits: how much to keep.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._indices = count()
        self._channels: dict[int, _Channel] = {}
        self._by_name: dict[tuple[str, str], _Channel] = {}
        self._subscribers: set[Subscriber] = set()
        self._last_status: dict[str, Status] = {}

    @property
    def products(self) -> tuple[Product, ...]:
        """All products there are."""
        return tuple(channel.product for channel in self._channels.values())

    def next_index(self) -> int:
        """An index for a new product, never used before."""
        return next(self._indices)

    def open(self, products: Iterable[Product]) -> None:
        """Announce a session's products. Who subscribed to every session gets them from the first frame on."""
        for product in products:
            channel = _Channel(product, self._limits)
            self._channels[product.index] = self._by_name[product.session, product.product] = channel
        self._announce()
        for subscriber in self._subscribers:
            self._place_cursors(subscriber, {})

    def close(self, session: str) -> None:
        """Withdraw a session's products, and what is left of their frames."""
        for channel in [channel for channel in self._channels.values() if channel.product.session == session]:
            del self._channels[channel.product.index], self._by_name[session, channel.product.product]
            for subscriber in self._subscribers:
                subscriber._cursors.pop(channel.product.index, None)
        self._last_status.pop(session, None)
        self._announce()

    def join(self, subscriber: Subscriber) -> None:
        """A client came."""
        self._subscribers.add(subscriber)

    def leave(self, subscriber: Subscriber) -> None:
        """A client went."""
        self._subscribers.discard(subscriber)

    def publish(self, session: str, frames: Iterable[Frame]) -> None:
        """Take a session's next frames, in sequence."""
        woken = set()
        for frame in frames:
            channel = self._by_name[session, frame.product]
            channel.append(frame)
            woken.add(channel.product.index)
        for subscriber in self._subscribers:
            if not woken.isdisjoint(subscriber._cursors):
                subscriber.wake()

    def tell(self, session: str, message: Message) -> None:
        """Send a control message to the subscribers of a session; who subscribes later gets its last status."""
        if isinstance(message, Status):
            self._last_status[session] = message
        for subscriber in self._subscribers:
            self._tell(subscriber, session, message)

    def _tell(self, subscriber: Subscriber, session: str, message: Message) -> None:
        subscription = subscriber._subscription
        if subscription and subscription.session in (None, session):
            if isinstance(message, Status):
                message = message.model_copy(update={"dropped": self.dropped(subscriber, session)})
            subscriber.tell(message)

    def tell_all(self, message: Message) -> None:
        """Send a control message to everybody."""
        for subscriber in self._subscribers:
            subscriber.tell(message)

    def subscribe(self, subscriber: Subscriber, request: Subscribe) -> None:
        """Set what a client gets.

        Raises:
            ProtocolError: an unknown product or session.
        """
        for name in request.products:
            if name not in _NAMES:
                raise ProtocolError("unknown_product", f"no product {name!r}: there are {', '.join(_NAMES)}")
        sessions = sorted({channel.product.session for channel in self._channels.values()})
        if request.session is not None and request.session not in sessions:
            raise ProtocolError(
                "unknown_session", f"no session {request.session!r}: there are {', '.join(sessions) or 'none'}"
            )
        subscriber._subscription = request
        subscriber._cursors.clear()
        self._place_cursors(subscriber, request.resume)
        for session, status in self._last_status.items():
            self._tell(subscriber, session, status)
        subscriber.wake()

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Stop a client's frames."""
        subscriber._subscription = None
        subscriber._cursors.clear()

    def acknowledge(self, subscriber: Subscriber, product: int, sequence: int) -> None:
        """A client handled a frame; an old or unknown one is ignored, since a product may just have ended."""
        cursor = subscriber._cursors.get(product)
        if cursor:
            while cursor.under_way and cursor.under_way[0] <= sequence:
                cursor.under_way.popleft()
            subscriber.wake()

    def dropped(self, subscriber: Subscriber, session: str) -> dict[int, int]:
        """What a client has lost, by product index."""
        return {
            index: cursor.dropped
            for index, cursor in subscriber._cursors.items()
            if self._channels[index].product.session == session
        }

    def take(self, subscriber: Subscriber) -> Message | bytes | str | None:
        """The next thing to send, control before data; None when there is nothing or the client must acknowledge."""
        if subscriber._control:
            return subscriber._control.popleft()
        acks = subscriber._subscription is not None and subscriber._subscription.acks
        for index, cursor in subscriber._cursors.items():
            channel = self._channels[index]
            self._drop_oldest(cursor, channel)
            if cursor.next == channel.end or len(cursor.under_way) >= channel.ack_window:
                continue
            encoded = channel[cursor.next]
            if acks:
                cursor.under_way.append(cursor.next)
            cursor.next += 1
            # To the back of the queue, so that no product starves another.
            subscriber._cursors[index] = subscriber._cursors.pop(index)
            return encoded.json(cursor.dropped) if subscriber.as_json else encoded.binary(cursor.dropped)
        return None

    def _announce(self) -> None:
        self.tell_all(Products(products=self.products))

    def _place_cursors(self, subscriber: Subscriber, resume: dict[str, int]) -> None:
        subscription = subscriber._subscription
        if subscription is None:
            return
        for index, channel in self._channels.items():
            product = channel.product
            wanted = product.product in subscription.products and subscription.session in (None, product.session)
            if wanted and index not in subscriber._cursors:
                last = resume.get(f"{product.session}/{product.product}")
                # A number that this session has not reached yet is of another life of the daemon.
                start = last + 1 if last is not None and last < channel.end else channel.end
                subscriber._cursors[index] = _Cursor(next=start, resumed_until=channel.end)

    def _drop_oldest(self, cursor: _Cursor, channel: _Channel) -> None:
        oldest = channel.start
        if cursor.next >= cursor.resumed_until:
            oldest = max(oldest, channel.end - channel.outbox)
        if cursor.next < oldest:
            cursor.dropped += oldest - cursor.next
            cursor.next = oldest
