"""The ``cortexcast`` command: which verbs it lists, what it imports, how a verb may end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from cortexcast_client.command import main

ROOT = Path(__file__).parents[2]

VERBS = {
    "args": "def main(args):\n    print(args.word)\n    return 3",
    "bug": "def main(args):\n    return 1 // 0",
    "domain": "class SampleError(Exception): ...\ndef main(args):\n    raise SampleError('the cap is off: put it on')",
    "file": "from pathlib import Path\ndef main(args):\n    Path('no-such.fif').read_bytes()",
    "flood": "def main(args):\n    while True: print('wave')",
    "interrupted": "def main(args):\n    raise KeyboardInterrupt",
    "late": "def main(args):\n    import no_such_library",
    "needy": "import no_such_library",
    "ours": "import cortexcast_no_such_module",
    "refused": "def main(args):\n    raise ConnectionError('nobody answers')",
    "waits": "import time\ndef main(args):\n    print('waiting', flush=True)\n    time.sleep(60)",
}
"""Bodies of the verbs of a sample package, which is installed as any package with verbs is."""


@pytest.fixture
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which a package ``cortexcast_sample`` with verbs of ours is installed."""
    package, info = tmp_path / "cortexcast_sample", tmp_path / "cortexcast_sample-1.dist-info"
    package.mkdir()
    info.mkdir()
    (package / "__init__.py").write_text("import no_such_library_in_the_package\n")
    entries = "".join(f"{name} = cortexcast_sample_{name}\n" for name in VERBS)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: cortexcast-sample\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        f"[cortexcast.commands]\n{entries}deep = cortexcast_sample.deep\nabsent = cortexcast_sample.absent\n"
    )
    (package / "deep.py").write_text('"""Run 100 % deep inside.\n\nMore."""\n')
    for name, body in VERBS.items():
        text = f'"""Sample of {name}."""\ndef add_arguments(parser):\n    parser.add_argument("--word")\n{body}\n'
        (tmp_path / f"cortexcast_sample_{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def start(*arguments: str) -> subprocess.Popen[str]:
    """The command as its own process."""
    program = "import sys; from cortexcast_client.command import main; sys.exit(main())"
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.usefixtures("sample")
def test_help_lists_every_verb_without_importing_any(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert all(f" {name} Sample of {name}." in text for name in VERBS)
    assert " deep Run 100 % deep inside. " in text
    assert " absent (not installed) " in text
    assert not any(name.startswith("cortexcast_sample") for name in sys.modules)


def test_every_verb_of_the_project_is_there_and_says_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    text = " ".join(capsys.readouterr().err.split())
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["cortexcast.commands"]
    for name in table:
        assert f" {name} " in text
    assert "(not installed)" not in text


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert capsys.readouterr().out == f"cortexcast {version}\n"


def test_an_unknown_verb_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["wach"])
    assert ended.value.code == 2
    assert "invalid choice: 'wach'" in capsys.readouterr().err


@pytest.mark.usefixtures("sample")
def test_a_verb_gets_its_arguments_and_gives_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["args", "--word", "gamma"]) == 3
    assert capsys.readouterr().out == "gamma\n"


@pytest.mark.usefixtures("sample")
@pytest.mark.parametrize(
    ("verb", "code", "line"),
    [
        ("domain", 1, "cortexcast: the cap is off: put it on"),
        ("file", 1, "cortexcast: no-such.fif: No such file or directory"),
        ("refused", 1, "cortexcast: nobody answers"),
        ("interrupted", 130, ""),
    ],
)
def test_what_is_no_bug_ends_in_one_line(verb: str, code: int, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb]) == code
    assert capsys.readouterr().err.strip() == line


@pytest.mark.usefixtures("sample")
@pytest.mark.parametrize("verb", ["needy", "late"])
def test_a_missing_library_names_the_extra(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb]) == 2
    extra = f"sample_{verb}"
    assert capsys.readouterr().err == (
        f"cortexcast {verb} needs the {extra} extra: pip install 'cortexcast[{extra}]' "
        "(No module named 'no_such_library')\n"
    )


@pytest.mark.usefixtures("sample")
@pytest.mark.parametrize(("verb", "bug"), [("bug", ZeroDivisionError), ("ours", ModuleNotFoundError)])
def test_a_bug_keeps_its_traceback(verb: str, bug: type[Exception]) -> None:
    with pytest.raises(bug):
        main([verb])


@pytest.mark.usefixtures("sample")
def test_a_reader_that_closes_the_pipe_ends_the_verb_quietly() -> None:
    with start("flood") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 141


@pytest.mark.usefixtures("sample")
def test_ctrl_c_ends_the_verb_quietly() -> None:
    with start("waits") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == ""
        assert process.wait() == 130


def test_the_client_needs_numpy_and_websockets_alone() -> None:
    program = (
        "import sys; before = set(sys.modules)\n"
        "import cortexcast_client, cortexcast_client.watch, cortexcast_client.command\n"
        "names = {name.partition('.')[0] for name in sys.modules.keys() - before} - sys.stdlib_module_names\n"
        "print(*sorted(name for name in names if not name.startswith(('_cython', 'cython'))))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["cortexcast_client", "numpy", "websockets"]
