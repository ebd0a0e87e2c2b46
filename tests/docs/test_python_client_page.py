"""What docs/python-client.md shows is run as it stands, against a daemon that replays a recording with markers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import mne
import pytest
from daemon import Daemon, Process, replaying
from docs.pages import ROOT, code_blocks, shell_lines
from docs.readers import ADDRESS, assert_prints

PAGE = ROOT / "docs" / "python-client.md"
PRINTED = [
    [r"^eeg \(70, 8\) in V, from \d+\.\d{3} s on$", r"^meg \(306, 8\) in T(/m)?, from \d+\.\d{3} s on$"],
    [r"^frame \d+, flags .*REPLAYED.*$", r"^marker state/\d+ at \d+\.\d{3} s$"],
    [r"^\['grad', 'mag'\] 200 Hz, 4\.\d s$", r"^alpha in 102 magnetometers$"],
]
"""Lines that each block of Python prints, in this order, among others."""

RECORDS = [arguments for arguments in shell_lines(PAGE, "cortexcast") if arguments[0] == "record"]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with replaying(tmp_path_factory.mktemp("client")) as daemon:
        yield daemon


@pytest.mark.parametrize(
    ("block", "lines"),
    list(zip(code_blocks(PAGE, "python"), PRINTED, strict=True)),
    ids=["Connection", "AsyncConnection", "Recording"],
)
def test_python_blocks_print_what_they_promise(daemon: Daemon, block: str, lines: list[str]) -> None:
    assert_prints(block, lines, daemon)


@pytest.mark.parametrize("arguments", [a for a in RECORDS if "--recover" not in a], ids=" ".join)
def test_what_it_records_is_a_file_that_mne_reads(daemon: Daemon, tmp_path: Path, arguments: list[str]) -> None:
    address = daemon.url.removeprefix("ws://").removesuffix("/ws")
    given = [word.replace(ADDRESS, address) for word in arguments]
    if not any(word.startswith("ws://") for word in given):
        given.append(daemon.url)  # the tests' daemon takes a free port
    out = tmp_path / given[given.index("--out") + 1]
    record = Process(*given, cwd=tmp_path)
    try:
        while not list(tmp_path.glob("*.partial/meg.f32")):
            assert record.popen.poll() is None, record.errors
        record.interrupt()
        assert record.finish() == 0, record.errors
        raw = mne.io.read_raw(out, verbose="error")
        assert len(raw.ch_names) == 306 + 70 * ("eeg" in given)
    finally:
        record.kill()
