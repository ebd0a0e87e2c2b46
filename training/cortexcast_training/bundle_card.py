"""A model card beside a run, and in its bundle."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from cortexcast_models.bundle import MANIFEST_FILE, Bundle, write_bundle
from cortexcast_models.manifest import Metric

RESULTS, CARDS = "evaluation.json", "card"


def write_card(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a card's files into a folder, which is made."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def put_card(bundle: Bundle, metrics: Sequence[Metric], files: Mapping[str, bytes], replaced: Collection[str]) -> None:
    """Put a card and its headline into a bundle, in place of older ones.

    Args:
        bundle: to put it into.
        metrics: the headline.
        files: the card's.
        replaced: all that an older card may be made of.
    """
    fields = json.loads((bundle.directory / MANIFEST_FILE).read_bytes())
    kept = fields.pop("files").keys() - set(replaced)
    fields["metrics"] = [metric.model_dump(mode="json", exclude_none=True) for metric in metrics]
    write_bundle(bundle.directory, fields, {**{name: (bundle.directory / name).read_bytes() for name in kept}, **files})
