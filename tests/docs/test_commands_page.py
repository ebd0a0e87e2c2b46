"""docs/commands.md is what the commands say of themselves; whatever a page calls exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from docs.commands_page import PAGE, render
from docs.pages import PAGE_NAMES, PAGES, README, ROOT, VERBS, code_spans, parser_of, prose, shell_lines, table

CALLS = [(page, arguments) for page in PAGES for arguments in shell_lines(page, "cortexcast")]


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), f"write it anew as {PAGE.name} says"


def test_the_readme_lists_every_verb_once() -> None:
    listed = [code_spans(row["command"]) for row in table(README, "command", "what it does")]
    assert sorted(listed) == sorted([f"cortexcast {verb}"] for verb in VERBS)


@pytest.mark.parametrize(("page", "arguments"), CALLS, ids=[f"{page.name}: {' '.join(words)}" for page, words in CALLS])
def test_every_command_line_parses(page: Path, arguments: list[str]) -> None:
    verb, *rest = arguments
    parser_of(verb).parse_args(rest)


@pytest.mark.parametrize("page", PAGES, ids=PAGE_NAMES)
def test_verbs_and_targets_that_prose_names_exist(page: Path) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for span in code_spans(prose(page)):
        match re.split(r"[ ]+", span):
            case ["cortexcast", word, *_] if word.isalpha() and word.islower():
                assert word in VERBS, span
            case ["make", word, *_]:
                assert word in targets, span
