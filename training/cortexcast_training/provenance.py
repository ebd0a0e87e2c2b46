"""What a file was made of, and how: written beside it, and asked when it might be made again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from pydantic import JsonValue, ValidationError

from cortexcast_models.manifest import Strict


class Input(Strict):
    """A file that something was made of, as it was then."""

    file: str
    bytes: int
    modified_ns: int
    """Since 1970."""
    sha256: str


class Provenance(Strict):
    """What something was made of, and how."""

    inputs: tuple[Input, ...]
    settings: dict[str, JsonValue]
    cortexcast: str
    """The version."""

    def text(self) -> str:
        """As a file."""
        return self.model_dump_json(indent=1) + "\n"


def provenance(inputs: Iterable[Path], settings: Strict) -> Provenance:
    """Of what is made now of these files with these settings; reads all of them."""
    return Provenance(
        inputs=tuple(_input(path.absolute()) for path in inputs),
        settings=settings.model_dump(mode="json"),
        cortexcast=version("cortexcast"),
    )


def read_provenance(path: Path) -> Provenance | None:
    """None where there is none."""
    try:
        return Provenance.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def is_of(path: Path, inputs: Iterable[Path]) -> bool:
    """Whether what a provenance file tells of was made of these files as they are now, by their sizes and times."""
    known = read_provenance(path)
    if known is None:
        return False
    try:
        now = [(str(each.absolute()), (stat := each.stat()).st_size, stat.st_mtime_ns) for each in inputs]
    except OSError:  # one is gone, or a link to nothing: who makes it again will tell
        return False
    return [(each.file, each.bytes, each.modified_ns) for each in known.inputs] == now


def _input(path: Path) -> Input:
    stat = path.stat()
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return Input(file=str(path), bytes=stat.st_size, modified_ns=stat.st_mtime_ns, sha256=digest)
