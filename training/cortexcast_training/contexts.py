"""What recordings show of their wearers' heads, as the model will have seen it when it has been streamed for a while.

Training draws for each window a stretch of its recording, of any length, under the headset that the window is seen
with. So the net learns what to make of seconds and of minutes, and of few electrodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cortexcast_training.adaptation import Adaptation, Context, covariances
from cortexcast_training.net import Net
from cortexcast_training.windows import Prepared

Singles = NDArray[np.float32]

_MARK_HOPS = 25
"""Contexts begin and end at every so many-th hop: a second."""

_MOST_WINDOWS = 64
"""That the net reads at once."""

_SMALLEST_SIZE = 1e-6
"""Of a direction, in proportion to the largest: below it there is none."""


class Contexts:
    """Contexts of recordings, drawn at random.

    Args:
        sums: of each recording, as ``recording_sums`` gives them.
    """

    def __init__(self, sums: Sequence[Tensor]) -> None:
        self._until = [torch.cat([torch.zeros_like(each[:, :1]), each.cumsum(dim=1)], dim=1) for each in sums]

    def draw(self, recordings: NDArray[np.int64], headsets: NDArray[np.int64], rng: np.random.Generator) -> Context:
        """A context for each of these windows: of a stretch of its recording, be it before or after it, or of none.

        Args:
            recordings: the number of each window's recording, and
            headsets: that of what is worn.
            rng: draws.
        """
        known = []
        for recording, headset in zip(recordings, headsets, strict=True):
            until = self._until[recording][headset]
            length = int(rng.integers(len(until)))
            begin = int(rng.integers(len(until) - length))
            known.append(until[begin + length] - until[begin])
        return _context(torch.stack(known))


def recording_sums(adaptation: Adaptation, recording: Prepared, eeg_unit: float, worn: Tensor) -> Tensor:
    """What each second of a recording adds to a context, ``(n_headsets, n_seconds, n_features + 1)``: tokens are last.

    Args:
        adaptation: knows the directions.
        recording: whose.
        eeg_unit: of the net, in V.
        worn: ``(n_headsets, n_electrodes, n_electrodes)``, what the canonical montage shows under each headset.
    """
    parts = [
        torch.cat([adaptation.features(summed, tokens), tokens[:, None]], dim=1)
        for summed, tokens in _by_second(recording, eeg_unit, worn)
    ]
    return torch.stack(parts, dim=1)


@torch.no_grad()
def visited_states(net: Net, recording: Prepared, sums: Tensor, eeg_unit: float, worn: Tensor) -> Tensor:
    """How many tokens of each second of a recording are in each state, ``(n_headsets, n_seconds, n_experts)``.

    A token is in a state as far as the net weights that expert. Tokens without a window around them count for none.

    Args:
        net: knows the states.
        recording: whose.
        sums: of the recording, as ``recording_sums`` gives them.
        eeg_unit: of the net, in V.
        worn: as for ``recording_sums``.
    """
    n, n_window, hop = net.shape.n_tokens - net.shape.lookahead, net.shape.n_tokens, recording.hop
    starts = [
        min(start, stretch.stop // hop - n_window)
        for stretch in recording.stretches()
        if stretch.stop - stretch.start >= n_window * hop
        for start in range(stretch.start // hop, stretch.stop // hop - net.shape.lookahead, n)
    ]
    weights = torch.zeros(len(worn), len(recording.good), net.shape.n_experts)
    for first in range(0, len(starts), _MOST_WINDOWS):
        some = starts[first : first + _MOST_WINDOWS]
        eeg = torch.from_numpy(np.stack([recording.eeg[start * hop : (start + n_window) * hop].T for start in some]))
        for headset, known in enumerate(sums.sum(dim=1)):
            given = net(worn[headset] @ (eeg / eeg_unit), _context(known.expand(len(some), -1))).weights
            for start, of_window in zip(some, given, strict=True):
                weights[headset, start : start + n] = of_window
    return torch.stack([each.sum(dim=1) for each in weights.split(_MARK_HOPS, dim=1)], dim=1)


def whole_context(adaptation: Adaptation, recordings: Sequence[Prepared], eeg_unit: float) -> Context:
    """Of all that recordings of one wearer show."""
    worn = torch.eye(len(adaptation.mean))[None]
    sums = [recording_sums(adaptation, recording, eeg_unit, worn).sum(dim=1) for recording in recordings]
    return _context(torch.stack(sums).sum(dim=0))


def mean_covariance(recording: Prepared, eeg_unit: float) -> Singles:
    """Over a recording, ``(n_electrodes, n_electrodes)``, its trace one."""
    total, n_tokens = np.zeros((recording.eeg.shape[1],) * 2), 0.0
    for summed, tokens in _by_second(recording, eeg_unit, torch.eye(recording.eeg.shape[1])[None]):
        total += summed[0].numpy()
        n_tokens += float(tokens)
    return np.asarray(total / max(n_tokens, 1.0), np.float32)


def covariance_directions(covariances: Singles, n: int) -> tuple[Singles, Singles]:
    """The average covariance, and the principal directions about it, scaled to one standard deviation.

    Args:
        covariances: ``(n_recordings, n_electrodes, n_electrodes)``.
        n: directions; those that the recordings do not have are zero.

    Returns:
        ``(n_electrodes, n_electrodes)`` and ``(n + 1, n_electrodes, n_electrodes)``. The last direction is that of more
        noise at all electrodes, to which the others are orthogonal: it is no other head.
    """
    mean = covariances.mean(axis=0)
    away = (covariances - mean).reshape(len(covariances), -1).astype(np.float64)
    noise = (_noise(len(mean)) - mean).ravel()
    noise /= np.linalg.norm(noise)
    along_noise = away @ noise
    _, sizes, rows = np.linalg.svd(away - np.outer(along_noise, noise), full_matrices=False)
    there = np.flatnonzero(sizes[:n] > _SMALLEST_SIZE * sizes[0])
    directions = np.zeros((n + 1, mean.size), np.float32)
    directions[there] = np.sqrt(len(covariances)) * rows[there] / sizes[there, np.newaxis]
    spread = np.sqrt(np.mean(along_noise**2))
    if spread > _SMALLEST_SIZE * np.linalg.norm(mean):
        directions[-1] = noise / spread
    return mean, directions.reshape(n + 1, *mean.shape)


def _noise(n_electrodes: int) -> NDArray[np.float64]:
    """The covariance of independent noise, alike at all electrodes, average referenced; its trace one."""
    return (np.eye(n_electrodes) - 1 / n_electrodes) / (n_electrodes - 1)


def _by_second(recording: Prepared, eeg_unit: float, worn: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Of the good hops of each second, the sum of their covariances under each headset, and how many they are."""
    n = len(recording.good) * recording.hop
    whole = recording.eeg[:n].reshape(-1, recording.hop, recording.eeg.shape[1])
    for first in range(0, len(recording.good), _MARK_HOPS):
        hops = slice(first, first + _MARK_HOPS)
        tokens = whole[hops][recording.good[hops]]
        scaled = torch.from_numpy(np.ascontiguousarray(tokens)).swapaxes(1, 2) / eeg_unit
        summed = torch.stack([covariances(matrix @ scaled).sum(dim=0) for matrix in worn])
        yield summed, torch.full((len(worn),), float(len(scaled)))


def _context(sums: Tensor) -> Context:
    return Context(sums[:, :-1].contiguous(), sums[:, -1:].contiguous())
