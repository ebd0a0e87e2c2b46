"""Subscribe to a cortexcast daemon.

::

    from cortexcast_client import subscribe

    for frame in subscribe("ws://127.0.0.1:8765/ws", products=["meg"]):
        print(frame.t0, frame.data.shape)  # seconds of the LSL clock; (channels, samples) in T and T/m

``Connection`` also gives the products' descriptions, markers and status; ``AsyncConnection`` is the same for
asyncio::

    with Connection("ws://127.0.0.1:8765/ws", ["eeg", "meg"]) as connection:
        for frame in connection:
            times = connection.product(frame).times(frame)
"""

from cortexcast_client.connection import DEFAULT_URL, AsyncConnection, Connection, subscribe
from cortexcast_client.errors import DaemonError, NoDaemonError, ProtocolError, RecordingError
from cortexcast_client.messages import Agreement, Channel, Marker, Model, Product, Status
from cortexcast_client.protocol import Event
from cortexcast_client.recording import Recording
from cortexcast_client.wire import Flags, Frame, WireError

__all__ = [
    "DEFAULT_URL",
    "Agreement",
    "AsyncConnection",
    "Channel",
    "Connection",
    "DaemonError",
    "Event",
    "Flags",
    "Frame",
    "Marker",
    "Model",
    "NoDaemonError",
    "Product",
    "ProtocolError",
    "Recording",
    "RecordingError",
    "Status",
    "WireError",
    "subscribe",
]
