"""What can go wrong between a client and a daemon.

::

    Exception
    ├── ConnectionError
    │   └── NoDaemonError   nobody answers, or the connection is gone for good
    ├── DaemonError         the daemon refused what the client asked for
    ├── ProtocolError       whoever answers does not speak cortexcast.v1
    └── RecordingError      what came cannot be kept in one recording, or not written

A lost connection is no error while reconnecting is on. Every message says what to do.
"""

from __future__ import annotations


class NoDaemonError(ConnectionError):
    """No daemon answers at the address, or it went away and reconnecting is off."""


class DaemonError(Exception):
    """The daemon's ``error`` message: what was wrong with the request and what to do.

    Attributes:
        code: the daemon's short name for the mistake, as ``unknown_product``.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ProtocolError(Exception):
    """The other side sent what ``docs/protocol.md`` does not allow."""


class RecordingError(Exception):
    """What came does not belong into one recording, or a recording cannot be written."""
