"""Random numbers by seed and ingredient: another setting of one ingredient leaves every other one as it was."""

from __future__ import annotations

import numpy as np


def stream(seed: int, *ingredient: str | int) -> np.random.Generator:
    """The random numbers of one ingredient, independent of those of every other."""
    words = [word if isinstance(word, int) else int.from_bytes(word.encode(), "big") for word in ingredient]
    return np.random.default_rng([seed, *words])


def derived_seed(seed: int, *ingredient: str | int) -> int:
    """A seed for what draws by one of its own, such as each subject of a group."""
    return int(stream(seed, *ingredient).integers(2**32))
