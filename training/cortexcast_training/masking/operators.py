"""What stands in the place of what is masked. Zero is nothing that a net has seen; interpolation tells of neighbours.

- ``token``: what the net has learned to take for nothing known.
- ``surrogate``: a course with the same spectrum, and the same correlations among features or parcels, at other phases.
- ``donor``: what another subject's showed at another time.

Source of surrogates: Prichard & Theiler, *Phys. Rev. Lett.* 73 (1994).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Singles = NDArray[np.float32]
Operator = Literal["token", "surrogate", "donor"]

OPERATORS: tuple[Operator, ...] = ("token", "surrogate", "donor")


def surrogates(courses: Singles, rng: np.random.Generator, n: int) -> list[Singles]:
    """Courses ``(n_times, n_courses)`` at other phases, the same for all."""
    spectrum = np.fft.rfft(courses, axis=0)
    turned = []
    for _ in range(n):
        phases = np.exp(2j * np.pi * rng.random(len(spectrum)))
        # The mean stays, and so does what is real.
        phases[0] = 1.0
        if len(courses) % 2 == 0:
            phases[-1] = 1.0
        turned.append(np.fft.irfft(spectrum * phases[:, np.newaxis], len(courses), axis=0).astype(np.float32))
    return turned


def donated(donors: Sequence[Singles], n_times: int, least: int, rng: np.random.Generator, n: int) -> list[Singles]:
    """Courses of others, each turned in time and as long as asked for.

    Args:
        donors: ``(n_times of theirs, n_courses)`` each.
        n_times: of what they stand in for.
        least: times by which a donor is turned at the least: both may have watched the same film.
        rng: draws donors and turns.
        n: how many.
    """
    drawn = []
    for number in range(n):
        donor = donors[(int(rng.integers(len(donors))) + number) % len(donors)]
        shift = rng.integers(least, max(least + 1, len(donor) - least))
        drawn.append(np.resize(np.roll(donor, -shift, axis=0), (n_times, donor.shape[1])))
    return drawn
