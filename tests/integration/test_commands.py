"""The commands that a person starts with: demo, doctor, streams."""

from __future__ import annotations

import json
import re
from pathlib import Path

from daemon import Process, run
from headset import streaming

from cortexcast_server.simulated_recording import simulate


def test_the_demo_shows_frames_and_loses_none() -> None:
    done = run("demo", "--duration", "4", "--port", "0")
    assert done.returncode == 0, done.stderr
    assert re.search(r"at ws://127\.0\.0\.1:\d+/ws", done.stdout)
    assert re.search(r"^meg .* frames/s .* latency p50", done.stdout, re.MULTILINE)
    *_, account, agreement = done.stdout.splitlines()
    match = re.search(
        r"(\d+) frames received · (\d+) EEG samples in, (\d+) MEG samples out · lost = 0 · latency p50", account
    )
    assert match, account
    received, samples_in, samples_out = map(int, match.groups())
    assert received > 0
    assert samples_in / 500 - samples_out / 200 < 0.2
    assert re.fullmatch(
        r"estimate against the true MEG of the simulation, last [1-9]\d* s: "
        r"explained variance -?\d+\.\d\d \(mag\), -?\d+\.\d\d \(grad\), "
        r"median r 0\.\d\d \(mag\), 0\.\d\d \(grad\)",
        agreement,
    ), agreement


def test_the_demo_shows_a_recording_of_one_s_own(tmp_path: Path) -> None:
    own = simulate(tmp_path / "own_raw.fif", 20.0)
    done = run("demo", "--data", own, "--duration", "6", "--port", "0", "--model", "meg-leadfield")
    assert done.returncode == 0, done.stderr
    assert f"reading {own}; the EEG is replayed" in done.stdout
    assert re.search(r"^meg .* frames/s", done.stdout, re.MULTILINE)
    assert f"estimate against the MEG in {own}, last " in done.stdout
    missing = run("demo", "--data", tmp_path / "none_raw.fif", "--port", "0", "--model", "meg-leadfield")
    assert missing.returncode == 1
    assert missing.stderr.splitlines() == [
        f"cortexcast: {tmp_path / 'none_raw.fif'} does not exist: give the path of a recording"
    ]


def test_the_demo_ends_on_ctrl_c() -> None:
    demo = Process("demo", "--port", "0")
    try:
        demo.wait_for("^meg ")
        demo.interrupt()
        assert demo.finish(10) == 0
        assert demo.errors == ""
    finally:
        demo.kill()


def test_the_doctor_finds_this_machine_well() -> None:
    done = run("doctor")
    assert done.returncode == 0, done.stdout
    assert "multicast: a stream of this machine is found" in done.stdout
    assert "a sample went out and came in" in done.stdout
    for bundle in ("meg-leadfield", "meg-transformer"):
        assert f"bundle {bundle}" in done.stdout
    assert "MNE-LSL uses the same liblsl" in done.stdout


def test_streams_are_listed() -> None:
    none = run("streams", "--wait", "1")
    assert none.returncode == 1
    assert "no LSL streams" in none.stdout
    with streaming("cap"):
        listed = run("streams", "--wait", "1")
        (record,) = map(json.loads, run("streams", "--wait", "1", "--json").stdout.splitlines())
    assert listed.returncode == 0
    assert "'cap' (type EEG, 19 channels, 250 Hz" in listed.stdout
    assert (record["name"], record["n_channels"], record["rate_hz"]) == ("cap", 19, 250.0)
