"""Strict settings from a TOML file."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from cortexcast_models.manifest import Strict

Settings = TypeVar("Settings", bound=Strict)


class SettingsError(Exception):
    """A file of settings cannot be used. The message says which key and why."""


def read_toml(path: Path | None, kind: type[Settings], flags: dict[str, Any]) -> Settings:
    """Settings from a file, where there is one, and flags, which win.

    Args:
        path: None takes the defaults.
        kind: what the file describes.
        flags: by key, ``recording.duration_s`` being one inside a table; None means not given.

    Raises:
        SettingsError: no such file, no TOML, an unknown key, or a value that cannot be.
    """
    fields = {} if path is None else _load(path)
    for key, value in flags.items():
        if value is not None:
            *tables, last = key.split(".")
            table = fields
            for name in tables:
                table = table.setdefault(name, {})
                if not isinstance(table, dict):
                    raise SettingsError(f"{path}: {'.'.join(tables)} must be a table")
            table[last] = value
    try:
        # By way of JSON: of Python's own values, strict models take neither lists as tuples nor tables as models.
        return kind.model_validate_json(json.dumps(fields, default=str))
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, each['loc'])) or 'settings'}: {each['msg']}"
            for each in error.errors(include_url=False)[:5]
        )
        raise SettingsError(f"{path or 'settings'}: {problems}") from None


def _load(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not TOML: {error}") from None
