"""``docs/commands.md``, made from the commands' own argument parsers.

Write it anew with ``PYTHONPATH=tests .venv/bin/python -m docs.commands_page``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from docs.pages import ROOT, VERBS, parser_of

PAGE = ROOT / "docs" / "commands.md"

_HEAD = """\
# Commands

`cortexcast VERB --help` says what this page says; `cortexcast --help` lists the verbs that are installed.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | it did not work: one line says why and what to do |
| 2 | the arguments are wrong, or an extra is not installed |
| 130 | ended by Ctrl-C; verbs that serve end with 0 |
| 141 | the reader of the output went away |

Made from the code by `PYTHONPATH=tests .venv/bin/python -m docs.commands_page`.
"""


def render() -> str:
    """The page's text."""
    return "\n".join([_HEAD, *(line for verb in VERBS for line in _section(parser_of(verb), 2))])


def _section(parser: argparse.ArgumentParser, level: int, summary: str = "") -> Iterator[str]:
    yield f"{'#' * level} {parser.prog}\n"
    yield f"{(parser.description or summary).strip()}\n"
    positional, options, *ours = parser._action_groups
    for title, groups in (("argument", [positional, options]), *((group.title, [group]) for group in ours)):
        actions = [a for group in groups for a in group._group_actions if not isinstance(a, _NOT_ROWS)]
        if actions:
            yield f"| {title} | meaning |\n|---|---|"
            yield from (f"| `{_call(action)}` | {(action.help or '') % vars(action)} |" for action in actions)
            yield ""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, choice in action.choices.items():
                summary = helps[name]
                yield from _section(choice, level + 1, f"{summary[:1].upper()}{summary[1:]}.")


_NOT_ROWS = argparse._HelpAction, argparse._SubParsersAction


def _call(action: argparse.Action) -> str:
    """How an argument is written, as ``--speed X``."""
    if action.choices is not None:
        value = "{" + ",".join(map(str, action.choices)) + "}"
    else:
        value = str(action.metavar or (action.dest.upper() if action.option_strings else action.dest))
    if not action.option_strings:
        return f"[{value}]" if action.nargs == "?" else value
    return ", ".join(action.option_strings) + ("" if action.nargs == 0 else f" {value}")


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
