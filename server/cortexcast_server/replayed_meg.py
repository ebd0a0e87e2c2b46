"""What a file that is being replayed holds beside its EEG: the MEG of the samples that a reader of the stream got."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cortexcast_server.player import Player
from cortexcast_server.recording import ReadAhead, Recording, RecordingError


class ReplayedMeg:
    """The MEG channels of a replay's file.

    Args:
        player: the replay.
        columns: of the file's MEG, in the order wanted; from ``find_sensors``.
    """

    def __init__(self, player: Player, columns: NDArray[np.intp]) -> None:
        self._player = player
        self._columns = columns
        self._reader = ReadAhead(player.recording.read_meg, player.recording)

    def at(self, stamps: NDArray[np.float64]) -> NDArray[np.float32]:
        """The MEG of samples by the stamps that they were sent with, which ascend.

        Returns:
            float32 ``(n_sensors, n)`` in T and T/m; NaN where no sample was sent with a stamp, or the file cannot be
            read.
        """
        meg = np.full((len(self._columns), len(stamps)), np.nan, np.float32)
        samples = self._player.samples_at(stamps)
        for stretch in np.split(np.arange(len(stamps)), np.flatnonzero(np.diff(samples) != 1) + 1):
            if len(stretch) and samples[stretch[0]] >= 0:
                meg[:, stretch] = self._read(samples[stretch[0]], samples[stretch[-1]] + 1)
        return meg

    def _read(self, start: int, stop: int) -> NDArray[np.float32] | float:
        try:
            return self._reader.read(start, stop)[:, self._columns].T
        except RecordingError:  # the replay trips over it too, and says so
            return np.nan


def find_sensors(recording: Recording, names: Sequence[str]) -> NDArray[np.intp] | None:
    """The columns of a recording's MEG that have these names, blanks aside; None where one is missing."""
    column = {name.replace(" ", ""): number for number, name in enumerate(recording.meg_names)}
    wanted = [column.get(name.replace(" ", "")) for name in names]
    if None in wanted:
        return None
    return np.array(wanted, np.intp)
