"""The project's pages taken apart: code blocks, tables, links; and the commands that they name."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
from importlib.metadata import entry_points
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("docker/*.md"))]
PAGE_NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
VERBS = {entry.name: entry.value for entry in sorted(entry_points(group="cortexcast.commands"))}
"""The module of each verb."""

Row = dict[str, str]


def code_blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def shell_lines(page: Path, program: str) -> list[list[str]]:
    """The arguments of every call of a program in a page's shell blocks, without comments."""
    lines = [line for block in code_blocks(page, "sh") for line in block.replace("\\\n", " ").splitlines()]
    return [words[1:] for line in lines if (words := shlex.split(line, comments=True)) and words[0] == program]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def table(page: Path, *columns: str) -> list[Row]:
    """The rows of the page's tables that have exactly these columns, by column."""
    rows: list[Row] = []
    header: list[str] = []
    for line in [*prose(page).splitlines(), ""]:
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if not cells:
            header = []
        elif not header:
            header = cells
        elif header == list(columns) and not set(line) <= set("|-: "):
            rows.append(dict(zip(columns, cells, strict=True)))
    return rows


def code_spans(text: str) -> list[str]:
    """What stands between single backticks, in order."""
    return re.findall(r"`([^`\n]+)`", text)


def parser_of(verb: str) -> argparse.ArgumentParser:
    """The verb's own argument parser."""
    module = importlib.import_module(VERBS[verb])
    parser = argparse.ArgumentParser(f"cortexcast {verb}", description=module.__doc__)
    module.add_arguments(parser)
    return parser
