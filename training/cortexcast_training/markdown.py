"""Pieces of model cards in Markdown."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from cortexcast_training.metrics import Interval


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def interval(interval: Interval | None, digits: int = 3) -> str:
    """A value and its 95 % confidence interval; nothing for None."""
    if interval is None:
        return ""
    spread = "" if interval.ci95 is None else f" [{interval.ci95[0]:.{digits}f}, {interval.ci95[1]:.{digits}f}]"
    return f"{interval.value:.{digits}f}{spread}"


def percent(interval: Interval) -> str:
    """Likewise of a share."""
    spread = "" if interval.ci95 is None else f" [{100 * interval.ci95[0]:.1f}, {100 * interval.ci95[1]:.1f}]"
    return f"{100 * interval.value:.1f} %{spread}"


def figure(shown: Collection[str], name: str, caption: str) -> list[str]:
    """A picture, if it is one of those that are there."""
    return [f"![{caption}]({name})"] if name in shown else []
