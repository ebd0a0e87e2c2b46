"""What a file was made of, and how: written beside it, and asked when it might be made again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from pydantic import JsonValue, ValidationError

from cortexcast_models.manifest import Strict


class InputError(Exception):
    """A file to make something of cannot be read, or changed meanwhile. The message says which and what to do."""


@dataclass(frozen=True)
class Source:
    """A file to make something of, as it is before it is read.

    Attributes:
        path: where it lies.
        name: its path in its data set, which stays the same when that moves.
        bytes: its size.
        modified_ns: since 1970.
    """

    path: Path
    name: str
    bytes: int
    modified_ns: int


class Input(Strict):
    """A file that something was made of, as it was then: see ``Source``."""

    file: str
    """Its name."""
    bytes: int
    modified_ns: int
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


def look(paths: Iterable[Path], folders: Sequence[Path]) -> list[Source]:
    """Files as they are now, by name, to be called before they are read.

    Args:
        paths: of the files.
        folders: of the data sets that they belong to.

    Raises:
        InputError: one is not there.
    """
    roots = [folder.absolute() for folder in folders]
    sources = []
    for path in (each.absolute() for each in paths):
        root = next((root for root in roots if path.is_relative_to(root)), Path(path.anchor))
        try:
            stat = path.stat()
        except OSError as error:
            raise _unreadable(path, error) from None
        sources.append(Source(path, path.relative_to(root).as_posix(), stat.st_size, stat.st_mtime_ns))
    return sorted(sources, key=lambda source: source.name)


def provenance(sources: Iterable[Source], settings: Strict) -> Provenance:
    """Of what was made of these files with these settings; reads all of them.

    Raises:
        InputError: one is no longer what it was before.
    """
    return Provenance(
        inputs=tuple(_input(source) for source in sources),
        settings=settings.model_dump(mode="json"),
        cortexcast=version("cortexcast"),
    )


def read_provenance(path: Path) -> Provenance | None:
    """None where there is none."""
    try:
        return Provenance.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def is_of(path: Path, sources: Sequence[Source]) -> bool:
    """Whether what a provenance file tells of was made of these files, wherever they lay; reads those of another time.

    Raises:
        InputError: one cannot be read.
    """
    known = read_provenance(path)
    return (
        known is not None
        and [(each.file, each.bytes) for each in known.inputs] == [(each.name, each.bytes) for each in sources]
        and all(
            was.modified_ns == now.modified_ns or was.sha256 == _sha256(now.path)
            for was, now in zip(known.inputs, sources, strict=True)
        )
    )


def _input(source: Source) -> Input:
    digest = _sha256(source.path)
    stat = source.path.stat()
    if (stat.st_size, stat.st_mtime_ns) != (source.bytes, source.modified_ns):
        raise InputError(f"{source.path} has changed meanwhile: prepare again")
    return Input(file=source.name, bytes=source.bytes, modified_ns=source.modified_ns, sha256=digest)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError(f"{path} is not there: fetch it")
    return InputError(f"{path} cannot be read: {error.strerror}")
