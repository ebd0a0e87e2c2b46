"""`cortexcast replay` as a process of its own, over real LSL and HTTP."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pylsl
import pytest
from recordings import write_fif

PATIENCE_S = 30.0
RUN = "import sys; from cortexcast_client.command import main; sys.exit(main())"

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    processes = []

    def start(*arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", RUN, "replay", *map(str, arguments)]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def control_url(process: subprocess.Popen[str]) -> tuple[str, str]:
    """The line that describes the recording, and the address of the control."""
    assert process.stdout is not None
    description, control = process.stdout.readline(), process.stdout.readline()
    address = re.search(r"http://\S+", control)
    assert address is not None, control
    return description, address.group()


def test_it_plays_to_the_end_and_says_what(start: Start, tmp_path: Path) -> None:
    path = write_fif(tmp_path / "short_raw.fif", annotations=[(0.1, 0.0, "face")])
    out, err = start(path, "--port", 0).communicate(timeout=PATIENCE_S)
    assert err == ""
    assert out.startswith("'short_raw': 2 EEG, 1 EOG, 1 STIM channels at 200 Hz, 0.5 s, 1 annotation")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_can_be_watched_and_paused_and_ends_well_when_asked(
    start: Start, tmp_path: Path, number: signal.Signals
) -> None:
    path = write_fif(tmp_path / f"long{number}_raw.fif", duration_s=10.0)
    process = start(path, "--loop", "--name", f"cap {number}", "--port", 0)
    _, url = control_url(process)
    assert pylsl.resolve_bypred(f"name='cap {number}'", 1, PATIENCE_S)
    (replay,) = httpx.get(url).json()
    assert replay["status"]["state"] == "playing"
    paused = httpx.post(f"{url}/{replay['id']}/pause").json()
    assert paused["status"]["state"] == "paused"
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out, err) == (0, "", "")


def test_it_ends_when_its_replay_is_closed(start: Start, tmp_path: Path) -> None:
    process = start(write_fif(tmp_path / "closed_raw.fif", duration_s=60.0), "--port", 0)
    _, url = control_url(process)
    (replay,) = httpx.get(url).json()
    assert httpx.delete(f"{url}/{replay['id']}").status_code == 204
    assert process.wait(PATIENCE_S) == 0


def refused(process: subprocess.Popen[str]) -> str:
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert err.count("\n") == 1
    assert err.startswith("cortexcast: ")
    return err


def test_a_file_that_cannot_be_replayed_is_refused_in_one_line(start: Start, tmp_path: Path) -> None:
    path = write_fif(tmp_path / "cut_raw.fif")
    path.write_bytes(path.read_bytes()[:-100])
    assert f"{path} is truncated" in refused(start(path, "--port", 0))


def test_a_port_in_use_is_refused_in_one_line(start: Start, tmp_path: Path) -> None:
    path = write_fif(tmp_path / "short_raw.fif")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refused(start(path, "--port", port))
    assert f"cannot listen on 127.0.0.1:{port}" in line
    assert "--port" in line


def test_a_file_that_goes_away_while_it_plays_is_told_in_one_line(start: Start, tmp_path: Path) -> None:
    path = write_fif(tmp_path / "gone_raw.fif", duration_s=2.5)
    process = start(path, "--loop", "--port", 0)
    control_url(process)
    path.unlink()
    assert f"{path} cannot be read" in refused(process)
