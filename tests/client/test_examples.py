"""The examples as a user runs them, beside a daemon that replays a simulated recording."""

from __future__ import annotations

import re
import runpy
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import nbformat
import numpy as np
import pytest
from daemon import Daemon, replaying
from nbclient import NotebookClient
from pythonosc.osc_message import OscMessage

EXAMPLES = Path(__file__).parents[2] / "clients" / "examples"
ADDRESS = "ws://127.0.0.1:8765/ws"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with replaying(tmp_path_factory.mktemp("examples")) as daemon:
        yield daemon


@contextmanager
def example(name: str, *arguments: str) -> Iterator[IO[str]]:
    """What an example prints, while it runs."""
    process = subprocess.Popen([sys.executable, EXAMPLES / name, *arguments], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        try:
            yield process.stdout
        finally:
            process.kill()


def test_every_example_is_run() -> None:
    """That in C by test_c_example.py."""
    assert {path.name for path in EXAMPLES.iterdir() if path.is_file()} == {
        "bci_loop.py",
        "decode_frame.c",
        "mne_lsl_consumer.py",
        "notebook.ipynb",
    }


def test_the_bci_loop_sends_osc_eight_times_a_second(daemon: Daemon) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(20)
        with example("bci_loop.py", daemon.url, "--osc", f"127.0.0.1:{listener.getsockname()[1]}"):
            messages = [OscMessage(listener.recv(1024)) for _ in range(20)]
    assert {message.address for message in messages} == {"/cortexcast/alpha"}
    shares, times = zip(*(message.params for message in messages), strict=True)
    assert all(0 < share < 1 for share in shares)
    assert len(set(shares)) == len(shares)
    assert times[-1] - times[0] == pytest.approx(19 * 0.12, abs=0.05)


def test_the_bci_loop_tells_alpha_from_the_rest() -> None:
    functions = runpy.run_path(str(EXAMPLES / "bci_loop.py"))
    times = np.arange(200) / 200.0
    alpha, beta = (np.sin(2 * np.pi * hz * times)[np.newaxis].astype(np.float32) for hz in (10, 20))
    assert functions["alpha_share"](alpha, 200.0) > 0.99
    assert functions["alpha_share"](alpha + beta, 200.0) == pytest.approx(0.5, abs=0.01)
    assert functions["alpha_share"](beta, 200.0) < 0.01


def test_mne_lsl_prints_band_power(daemon: Daemon) -> None:
    with example("mne_lsl_consumer.py", "simulated_raw") as lines:
        line = next(lines)
    amplitudes = re.fullmatch(r"\d+\.\d\d s  theta (\S+) fT  alpha (\S+) fT  beta (\S+) fT\n", line)
    assert amplitudes is not None, line
    assert all(1 < float(amplitude) < 1e4 for amplitude in amplitudes.groups())


def test_the_notebook_runs_and_is_kept_without_outputs(daemon: Daemon) -> None:
    notebook = nbformat.reads((EXAMPLES / "notebook.ipynb").read_text(), as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert sum(ADDRESS in cell.source for cell in code) == 1
    for cell in code:
        cell.source = cell.source.replace(ADDRESS, daemon.url)
    NotebookClient(notebook, timeout=60).execute()
    kinds = {kind for cell in code for output in cell.outputs for kind in output.get("data", {})}
    assert "image/png" in kinds
    assert sum("image/png" in output.get("data", {}) for cell in code for output in cell.outputs) == 2
    (shown,) = (output.data["text/plain"] for output in code[1].outputs if "data" in output)
    assert shown.startswith("<RawArray | 306 x 20")
