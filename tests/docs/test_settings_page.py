"""docs/settings.md has every setting, with its default, variable and flag, and no other."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from docs.pages import ROOT, code_blocks, code_spans, parser_of, table

from cortexcast_server.settings import Settings, load_settings

PAGE = ROOT / "docs" / "settings.md"
ROWS = table(PAGE, "setting", "default", "variable", "flag", "meaning")


def default_of(cell: str) -> Any:
    """A default as the page writes it: TOML, or ``none``, which TOML has not."""
    default = None if cell == "none" else tomllib.loads(f"default = {cell.strip('`')}")["default"]
    return tuple(default) if isinstance(default, list) else default


def test_every_setting_is_there_with_its_default_and_variable() -> None:
    documented = {row["setting"].strip("`"): default_of(row["default"]) for row in ROWS}
    assert documented == {name: field.default for name, field in Settings.model_fields.items()}
    for row in ROWS:
        assert code_spans(row["variable"]) == [f"CORTEXCAST_{row['setting'].strip('`').upper()}"]


def test_every_flag_of_serve_that_is_a_setting_is_there() -> None:
    flags = {action.dest: list(action.option_strings) for action in parser_of("serve")._actions}
    for row in ROWS:
        assert code_spans(row["flag"]) == flags.get(row["setting"].strip("`"), [])


def test_the_example_is_a_file_that_serve_takes(tmp_path: Path) -> None:
    (example,) = code_blocks(PAGE, "toml")
    file = tmp_path / "cortexcast.toml"
    file.write_text(example, encoding="utf-8")
    settings = load_settings(file, {})
    given = tomllib.loads(example)
    assert given
    assert {name: getattr(settings, name) for name in given} == given
