"""What a user does wrong with streams, files and settings: one line that says what to do, and a non-zero exit."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import mne
import numpy as np
import pylsl
import pytest
from daemon import run, running
from factories import CAP, eeg_like
from headset import streaming

from cortexcast_client import Connection, Flags, Frame, Status
from cortexcast_server.lsl_metadata import make_marker_info


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def refusal(*arguments: str | Path) -> str:
    """The one line of a command that fails."""
    done = run(*arguments)
    assert done.returncode == 1, done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("cortexcast: ")
    return line


def serve_refusal(small: Path, *arguments: str) -> str:
    return refusal("serve", "--port", "0", "--wait", "1", "--model", small, *arguments)


def test_no_stream_lists_what_there_is(small: Path) -> None:
    outlet = pylsl.StreamOutlet(make_marker_info("keys", "keys-1"))
    line = serve_refusal(small)
    assert "no stream matches type 'EEG'" in line
    assert "'keys' (type Markers" in line
    assert "cortexcast doctor" in line
    del outlet


def test_two_streams_are_listed(small: Path, stack: ExitStack) -> None:
    for name in ("left", "right"):
        stack.enter_context(streaming(name, source_id=name))
    line = serve_refusal(small)
    assert "2 streams match" in line
    assert "'left'" in line
    assert "'right'" in line
    assert "--source-id" in line


def test_a_marker_stream_is_no_headset(small: Path) -> None:
    outlet = pylsl.StreamOutlet(make_marker_info("keys", "keys-1"))
    assert "choose one with EEG at a fixed rate" in serve_refusal(small, "--name", "keys")
    del outlet


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": CAP[:6]}, "6 of 6 EEG channels can be placed on the head, at least 8"),
        ({"names": tuple(f"ch{k}" for k in range(16))}, "channels without a place: ch0, ch1"),
        ({"unit": "furlongs"}, "unit 'furlongs' is not a voltage"),
        ({"unit": "volts"}, "--unit microvolts"),
        ({"rate_hz": 64.0}, "at least 100 Hz"),
    ],
)
def test_a_stream_that_cannot_be_used_says_why(
    small: Path, stack: ExitStack, options: dict[str, Any], message: str
) -> None:
    stack.enter_context(streaming(**options))
    assert message in serve_refusal(small)


def test_a_wrong_unit_can_be_corrected(small: Path, stack: ExitStack) -> None:
    stack.enter_context(streaming(unit="volts"))
    with running("--model", small, "--unit", "microvolts", "--wait", "10") as daemon:
        with Connection(daemon.url, ["eeg"], reconnect=False) as connection:
            frames = list(islice(connection, 60))
        assert 1e-6 < frames[-1].data.std() < 1e-4


def test_nan_and_flat_channels_are_flagged_and_not_fatal(small: Path, stack: ExitStack) -> None:
    data = 1e6 * eeg_like(len(CAP), 2500)
    data[CAP.index("Cz")] = np.nan
    data[CAP.index("O1")] = 7.0
    stack.enter_context(streaming(data=data))
    statuses, flags = [], []
    daemon = stack.enter_context(running("--model", small, "--wait", "10"))
    connection = stack.enter_context(Connection(daemon.url, ["meg"], reconnect=False))
    for event in connection.events():
        if isinstance(event, Status):
            statuses.append(event)
            if set(event.bad_channels) == {"Cz", "O1"}:
                break
        elif isinstance(event, Frame):
            flags.append(event.flags)
            assert np.isfinite(event.data).all()
    assert set(statuses[-1].interpolated) == {"Cz", "O1"}
    assert Flags.BAD_CHANNELS in flags[-1]


def test_a_port_in_use_is_told(small: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        line = refusal("serve", "--port", port, "--model", small, "--idle")
        assert f"cannot listen on 127.0.0.1:{port}" in line
        assert "--port" in line


def test_an_unknown_setting_is_told_with_those_there_are(tmp_path: Path) -> None:
    config = tmp_path / "mine.toml"
    config.write_text("prot = 9000\n")
    line = refusal("serve", "--config", config)
    assert "unknown setting 'prot'" in line
    assert "port" in line
    config.write_text("port = 'many'\n")
    assert "setting 'port'" in refusal("serve", "--config", config)
    config.write_text("port = \n")
    assert "is not TOML" in refusal("serve", "--config", config)
    assert "cannot read" in refusal("serve", "--config", tmp_path / "none.toml")


def write_recording(path: Path, kind: str = "eeg") -> Path:
    info = mne.create_info(list(CAP), 250.0, kind, verbose="error")
    mne.io.RawArray(eeg_like(len(CAP), 5000), info, verbose="error").save(path, verbose="error")
    return path


@pytest.mark.parametrize("verb", ["replay", "run", "serve"])
def test_recordings_that_cannot_be_used_say_why(tmp_path: Path, small: Path, verb: str) -> None:
    def command(path: Path) -> list[str | Path]:
        before: list[str | Path] = ["serve", "--port", "0", "--model", small, "--replay"] if verb == "serve" else [verb]
        after: dict[str, list[str | Path]] = {
            "replay": ["--port", "0"],
            "run": ["--model", small, "--out", tmp_path / "out_raw.fif"],
        }
        return [*before, path, *after.get(verb, [])]

    assert "EEG" in refusal(*command(write_recording(tmp_path / "misc_raw.fif", "misc")))
    truncated = write_recording(tmp_path / "cut_raw.fif")
    truncated.write_bytes(truncated.read_bytes()[:200_000])
    assert "truncated" in refusal(*command(truncated))
    assert "none_raw.fif" in refusal(*command(tmp_path / "none_raw.fif"))
    assert not (tmp_path / "out_raw.fif").exists()


def test_run_keeps_an_output_that_is_there(tmp_path: Path, small: Path) -> None:
    source, out = write_recording(tmp_path / "in_raw.fif"), tmp_path / "out_raw.fif"
    out.write_bytes(b"precious")
    line = refusal("run", source, "--model", small, "--out", out)
    assert "--overwrite" in line
    assert out.read_bytes() == b"precious"
    assert "_raw.fif" in refusal("run", source, "--model", small, "--out", tmp_path / "out.fif")
    assert run("run", source, "--model", small, "--out", out, "--overwrite").returncode == 0
    assert mne.io.read_raw(out, verbose="error").get_channel_types() == ["mag", "grad", "grad"]
