"""The ``cortexcast`` command: finds the verbs that are installed and imports only the one it runs.

A verb is a module named in the entry-point group ``cortexcast.commands``. It has a docstring whose first line
is the verb's help, ``add_arguments(parser)`` and ``main(args) -> int``.

What can end a verb, and the exit code:

- an exception that one of our packages defines, or an ``OSError``: its message was written for the user and is
  one line; 1. Any other exception is a bug and shows its traceback.
- a third-party module that is missing: one line that names the extra to install; 2.
- Ctrl-C: 130, and a reader that closed the pipe: 141, as shells report these signals.
"""

from __future__ import annotations

import ast
import importlib
import os
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from importlib.machinery import PathFinder
from importlib.metadata import entry_points, version
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, cast

PACKAGES = "cortexcast_"
"""How the names of all our packages begin."""


class Verb(Protocol):
    """A module that is a verb."""

    __doc__: str | None

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the verb's arguments."""

    def main(self, args: Namespace) -> int:
        """Run and return the exit code."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``cortexcast VERB ...`` and return the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    verbs = {entry.name: entry.value for entry in entry_points(group="cortexcast.commands")}
    if arguments and arguments[0] in verbs:
        return _guard(arguments[0], verbs[arguments[0]], arguments[1:])
    overview = _overview(verbs)
    if not arguments:
        overview.print_help(sys.stderr)
        return 2
    overview.parse_args(arguments)  # --help, --version or an unknown verb: each exits
    return 0


def _guard(name: str, module: str, arguments: Sequence[str]) -> int:
    try:
        code = _run(name, module, arguments)
        sys.stdout.flush()  # here, where a closed pipe is still caught
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The interpreter flushes once more when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except ModuleNotFoundError as error:
        extra = _missing_extra(module, error)
        if extra is None:
            raise
        _say(f"cortexcast {name} needs the {extra} extra: pip install 'cortexcast[{extra}]' ({error})")
        return 2
    except Exception as error:
        message = _user_message(error)
        if message is None:
            raise
        _say(f"cortexcast: {message}")
        return 1
    return code


def _run(name: str, module: str, arguments: Sequence[str]) -> int:
    verb = cast("Verb", importlib.import_module(module))
    parser = ArgumentParser(f"cortexcast {name}", description=verb.__doc__, formatter_class=RawDescriptionHelpFormatter)
    verb.add_arguments(parser)
    return verb.main(parser.parse_args(arguments))


def _missing_extra(module: str, error: ModuleNotFoundError) -> str | None:
    """The extra that brings a verb's third-party modules; None if the missing module is of our own."""
    package = module.partition(".")[0]
    if not package.startswith(PACKAGES) or (error.name or "").startswith(PACKAGES):
        return None
    return package.removeprefix(PACKAGES)


def _user_message(error: Exception) -> str | None:
    """What an error that is not a bug tells the user."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, OSError) or type(error).__module__.startswith(PACKAGES):
        return str(error)
    return None


def _overview(verbs: Mapping[str, str]) -> ArgumentParser:
    parser = ArgumentParser("cortexcast", description="Live MEG-like channels from an LSL EEG headset.")
    parser.add_argument("--version", action="version", version=f"cortexcast {version('cortexcast')}")
    choices = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for name, module in sorted(verbs.items()):
        choices.add_parser(name, help=_summary(module).replace("%", "%%"))
    return parser


def _summary(module: str) -> str:
    """The first docstring line of a module, read without importing it or the packages around it."""
    package, *rest = module.split(".")
    spec = find_spec(package)
    for part in rest:
        if spec is not None:
            spec = PathFinder.find_spec(f"{spec.name}.{part}", spec.submodule_search_locations)
    if spec is None or spec.origin is None:
        return "(not installed)"
    docstring = ast.get_docstring(ast.parse(Path(spec.origin).read_bytes())) or ""
    return docstring.partition("\n")[0]


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
