"""Pictures of model cards: what they say above all, and small files of them."""

from __future__ import annotations

import io

from matplotlib.figure import Figure
from PIL import Image

_COLOURS = 64


def titled(title: str, data: str, n_subjects: int, size: tuple[float, float]) -> Figure:
    """A figure that says what it shows, and of what data.

    Args:
        title: what it shows.
        data: ``simulated`` or ``recorded``.
        n_subjects: it is of so many.
        size: in inches.
    """
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(f"{title}\n({data}, {n_subjects} subject{'s' if n_subjects > 1 else ''})", fontsize=10)
    return figure


def png(figure: Figure) -> bytes:
    """The file."""
    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=85)
    # With a palette it takes a third of the bytes: the card lies in the bundle.
    Image.open(drawn).convert("RGB").quantize(_COLOURS).save(small, "png", optimize=True)
    return small.getvalue()
