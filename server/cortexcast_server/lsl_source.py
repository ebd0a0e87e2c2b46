"""Inlets: EEG in chunks of volts, and markers. Never reopened: after a loss, make a new one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import pylsl

from cortexcast_server.lsl_metadata import eeg_layout
from cortexcast_server.lsl_streams import describe
from cortexcast_server.signal import Chunk, SignalError

_OPEN_TRIES = 10
_OPEN_TRY_S = 0.5  # a sender that is frozen must not keep the daemon from ending
_CLOCK_PERIOD_S = 5.0
_MAX_PULL = 4096


class SourceLostError(Exception):
    """The stream went away."""


class NoAnswerError(SignalError):
    """The stream is announced but does not answer."""


class _Inlet:
    """An open inlet and the offset of its sender's clock.

    Args:
        info: the resolved stream.
        go_on: asked between tries.

    Raises:
        NoAnswerError: the sender does not answer, or ``go_on`` turned false.
    """

    def __init__(self, info: pylsl.StreamInfo, go_on: Callable[[], bool]) -> None:
        # recover=False: liblsl's recovery takes a stream of another rate for the lost one.
        self.lsl = pylsl.StreamInlet(info, max_buflen=60, recover=False)
        for _ in range(_OPEN_TRIES):
            with suppress(pylsl.util.TimeoutError, pylsl.util.LostError):
                self.info = self.lsl.info(_OPEN_TRY_S)
                self.clock_offset = self.lsl.time_correction(_OPEN_TRY_S)
                self._clock_read = pylsl.local_clock()
                return
            if not go_on():
                break
        raise NoAnswerError(
            f"stream {describe(info)} is announced but does not answer: is its sender alive, and the network open for "
            "LSL's ports (16572 to 16604)? 'cortexcast doctor' checks"
        )

    def open(self) -> None:
        """Begin to receive: samples queue up from here on."""
        with suppress(pylsl.util.TimeoutError, pylsl.util.LostError):  # the next pull would open it, or tell the loss
            self.lsl.open_stream(_OPEN_TRY_S)

    def follow_clock(self) -> None:
        """Read the offset anew from time to time: clocks drift apart by seconds a day."""
        now = pylsl.local_clock()
        if now - self._clock_read > _CLOCK_PERIOD_S:
            self._clock_read = now
            with suppress(pylsl.util.TimeoutError, pylsl.util.LostError):  # a loss is the next pull's to tell
                self.clock_offset = self.lsl.time_correction(0.01)

    def close(self) -> None:
        """Disconnect."""
        self.lsl.close_stream()


class LslSource:
    """An inlet on an EEG stream.

    Args:
        info: the resolved stream.
        unit: overrides the unit that the stream declares.
        go_on: asked while the sender does not answer.

    Raises:
        SignalError: the stream has no usable EEG, or does not answer.
    """

    def __init__(
        self, info: pylsl.StreamInfo, unit: str | None = None, go_on: Callable[[], bool] = lambda: True
    ) -> None:
        self._inlet = _Inlet(info, go_on)
        self._layout = eeg_layout(self._inlet.info, unit)
        self._inlet.open()
        self.signal = self._layout.signal
        self.source_id: str = info.source_id()
        self.uid = info.uid()

    def read(self, timeout_s: float) -> Chunk | None:
        """The samples that have arrived, waiting for the first; None if none came in time.

        Raises:
            SourceLostError: the stream went away.
        """
        try:
            samples, stamps = self._inlet.lsl.pull_chunk(timeout_s, _MAX_PULL, min_samples=1, as_numpy=True)
        except pylsl.util.LostError:
            raise SourceLostError from None
        received = pylsl.local_clock()
        self._inlet.follow_clock()
        if not len(stamps):
            return None
        return Chunk(self._layout.to_volts(samples), stamps, received, self._inlet.clock_offset)

    def close(self) -> None:
        """Disconnect."""
        self._inlet.close()


class MarkerSource:
    """An inlet on a stream of string markers.

    Raises:
        NoAnswerError: the stream does not answer.
    """

    def __init__(self, info: pylsl.StreamInfo, go_on: Callable[[], bool]) -> None:
        self.name = info.name()
        self.source_id = info.source_id()
        self.lost = False
        """The stream went away."""
        self._inlet = _Inlet(info, go_on)
        self._inlet.open()

    def read(self) -> Sequence[tuple[str, float]]:
        """The markers that have arrived: label and time, in this machine's LSL clock."""
        if self.lost:
            return ()
        try:
            samples, stamps = self._inlet.lsl.pull_chunk(0.0)
        except pylsl.util.LostError:
            self.lost = True
            return ()
        self._inlet.follow_clock()
        offset = self._inlet.clock_offset
        return [(", ".join(sample), stamp + offset) for sample, stamp in zip(samples, stamps, strict=True)]

    def close(self) -> None:
        """Disconnect."""
        self._inlet.close()
