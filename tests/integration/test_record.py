"""``cortexcast record`` of real daemons: what is in the file, and that nothing that came is lost however it ends."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import mne
import numpy as np
import pytest
from daemon import Daemon, Process, run, running
from disk import full_disk
from headset import streaming
from proxy import Proxy

from cortexcast_server.simulated_recording import simulate

MEG_RATE_HZ = 200.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a simulated recording."""
    folder = tmp_path_factory.mktemp("record")
    simulate(folder / "subject_raw.fif", duration_s=20.0)
    return folder


@pytest.fixture(scope="module")
def daemon(folder: Path) -> Iterator[Daemon]:
    """One that replays it in a loop, by the shipped models."""
    with running("--replay", folder / "subject_raw.fif", "--loop", "--wait", "10") as daemon:
        daemon.wait_for_session()
        yield daemon


@contextmanager
def recording(url: str, out: Path, *products: str) -> Iterator[Process]:
    """A recorder, gone with the block."""
    arguments = [word for product in products for word in ("--product", product)]
    record = Process("record", url, *arguments, "--out", out, "--overwrite")
    try:
        yield record
    finally:
        record.kill()


def size_of(out: Path, product: str = "meg") -> int:
    """How much has been recorded by now."""
    file = out.with_name(f"{out.name}.partial") / f"{product}.f32"
    return file.stat().st_size if file.exists() else 0


def wait_until_larger(out: Path, n_bytes: int, product: str = "meg") -> None:
    """Wait until so many bytes more have been recorded."""
    wanted = size_of(out, product) + n_bytes
    until = time.monotonic() + 30
    while size_of(out, product) < wanted:
        assert time.monotonic() < until, f"{size_of(out, product)} bytes of {wanted}"
        time.sleep(0.02)


def read(out: Path) -> Any:
    return mne.io.read_raw(out, verbose="error")


def labels(raw: Any, label: str) -> list[tuple[float, float]]:
    return [(float(a["onset"]), float(a["duration"])) for a in raw.annotations if a["description"] == label]


def test_the_file_is_that_of_an_offline_run_from_where_it_began(folder: Path, tmp_path: Path) -> None:
    """EEG beside MEG, sample for sample; the same sensors; and each marker at the same sample."""
    offline, out = tmp_path / "offline_raw.fif", tmp_path / "live_raw.fif"
    assert run("run", folder / "subject_raw.fif", "--out", offline).returncode == 0
    with (
        running("--replay", folder / "subject_raw.fif", "--wait", "10") as daemon,
        recording(daemon.url, out, "eeg", "meg") as record,
    ):
        wait_until_larger(out, 6 * 200 * 306 * 4)
        record.interrupt()
        assert record.finish() == 0, record.errors
        said, *_ = record.lines()
    live, whole = read(out), read(offline)
    assert said.startswith(f"{out}: eeg and meg, 376 channels, 200 Hz, ")
    assert live.get_channel_types(unique=True) == ["eeg", "grad", "mag"]
    meg = live.copy().pick("meg")
    for ours, theirs in zip(meg.info["chs"], whole.info["chs"], strict=True):
        for key in ("ch_name", "kind", "coil_type", "unit", "unit_mul", "cal", "range"):
            assert ours[key] == theirs[key]
        np.testing.assert_array_equal(ours["loc"], theirs["loc"])
    # MEG begins or ends with EEG but for the look-ahead: what is missing there is annotated.
    known = np.flatnonzero(np.isfinite(meg.get_data()[0]))
    values = meg.get_data()[:, known]
    expected = whole.get_data()
    matches = [n for n in range(expected.shape[1]) if np.array_equal(expected[:, n], values[:, 0])]
    (first,) = matches
    np.testing.assert_array_equal(values, expected[:, first : first + values.shape[1]])
    offset_s = (first - known[0]) / MEG_RATE_HZ
    markers = {(a["description"], round((a["onset"] + offset_s) * MEG_RATE_HZ)) for a in live.annotations}
    there = {(a["description"], round(a["onset"] * MEG_RATE_HZ)) for a in whole.annotations}
    ours = {(label, sample) for label, sample in markers if not label.startswith("BAD")}
    assert len(ours) > 3
    assert all(any((label, sample + near) in there for near in (-1, 0, 1)) for label, sample in ours)


def test_sigterm_after_a_lost_network_and_a_daemon_that_began_anew(small: Path, tmp_path: Path) -> None:
    """What the history holds comes again without a gap; the new session is appended after a gap of its length."""
    out = tmp_path / "long_raw.fif"
    with (
        streaming(),
        running("--model", small, "--name", "headset", "--wait", "20") as daemon,
        Proxy(daemon.url) as proxy,
        recording(proxy.url, out) as record,
    ):
        daemon.wait_for_session()
        second = 200 * 3 * 4
        wait_until_larger(out, second)
        proxy.cut()
        threading.Timer(2.0, proxy.mend).start()
        wait_until_larger(out, 3 * second)
        port = daemon.url.split(":")[-1].removesuffix("/ws")
        daemon.interrupt()
        assert daemon.finish() == 0
        with DaemonAt(port, small) as again:
            again.wait_for_session()
            wait_until_larger(out, 2 * second)
            record.popen.terminate()
            assert record.finish() == 0, record.errors
        said = record.lines()
    raw = read(out)
    missing = np.isnan(raw.get_data()[0])
    ((onset_s, duration_s),) = labels(raw, "BAD_gap")
    assert 0.1 < duration_s < 30
    assert missing.sum() == round(duration_s * raw.info["sfreq"])
    assert missing[round(onset_s * raw.info["sfreq"])]
    assert raw.duration > 6
    assert any("missing 1 times" in line for line in said)


class DaemonAt(Daemon):
    """One at a given port."""

    def __init__(self, port: str, model: Path) -> None:
        Process.__init__(self, "serve", "--port", port, "--model", model, "--wait", "20")

    def __enter__(self) -> DaemonAt:
        self.wait_until_serving()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def test_a_full_disk_and_then_room_again(daemon: Daemon, tmp_path: Path) -> None:
    out = tmp_path / "full_raw.fif"
    with ExitStack() as stack:
        with full_disk(at_bytes=2_000_000):  # which the recorder inherits
            record = stack.enter_context(recording(daemon.url, out))
        assert record.finish() == 1
    assert record.errors.splitlines()[-1] == (
        f"cortexcast: cannot write {out}: File too large; what came is kept in {out}.partial: "
        f"'cortexcast record --recover --out {out}' makes the file of it"
    )
    assert not out.exists()
    again = run("record", daemon.url, "--out", out)
    assert again.returncode == 1
    assert again.stderr.startswith(f"cortexcast: {out}.partial is there: another record writes to it, or one was cut")
    recovered = run("record", "--recover", "--out", out)
    assert recovered.returncode == 0, recovered.stderr
    assert read(out).n_times == 2_000_000 // (306 * 4)
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_a_recorder_that_was_killed(daemon: Daemon, tmp_path: Path) -> None:
    out = tmp_path / "killed_raw.fif"
    with recording(daemon.url, out):
        wait_until_larger(out, 200 * 306 * 4)
        early = run("record", "--recover", "--out", out)
        assert early.returncode == 1
        assert early.stderr == (
            f"cortexcast: another record writes to {out}.partial: end that one, and it makes the file\n"
        )
        wait_until_larger(out, 200 * 306 * 4)
    held = size_of(out)
    assert run("record", "--recover", "--out", out).returncode == 0
    assert read(out).n_times == held // (306 * 4)


def test_fmri_is_recorded_as_misc(daemon: Daemon, tmp_path: Path) -> None:
    out = tmp_path / "bold_raw.fif"
    done = run("record", daemon.url, "--product", "fmri", "--duration", "3", "--out", out)
    assert done.returncode == 0, done.stderr
    raw = read(out)
    assert raw.get_channel_types(unique=True) == ["misc"]
    assert (len(raw.ch_names), raw.info["sfreq"]) == (300, 4.0)
    assert "fmri of subject_raw" in raw.info["description"]
    assert "in %, by fmri-vae" in raw.info["description"]
    assert np.isfinite(raw.get_data()).all()


def test_no_signal_is_annotated(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "flat_raw.fif"
    with (
        streaming(data=np.zeros((19, 2500), np.float32)),
        running("--model", small, "--name", "headset", "--wait", "20") as daemon,
    ):
        daemon.wait_for_session()
        done = run("record", daemon.url, "--duration", "4", "--out", out)
    assert done.returncode == 0, done.stderr
    raw = read(out)
    silent = np.isnan(raw.get_data()[0])
    assert silent.any()
    assert sum(duration for _, duration in labels(raw, "BAD_no_signal")) * 200 == pytest.approx(silent.sum())
    assert "without signal" in done.stdout


def test_what_ends_it_is_told_once_what_came_is_written(daemon: Daemon, tmp_path: Path) -> None:
    """Products of two rates; the file holds the first of them."""
    out = tmp_path / "mixed_raw.fif"
    done = run("record", daemon.url, "--product", "meg", "--product", "fmri", "--out", out)
    assert done.returncode == 1
    assert done.stderr.endswith("no common grid of samples: record each to a file of its own\n")
    assert done.stderr.count("\n") == 1
    assert read(out).n_times > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "a.fif"], "a.fif: name the output *_raw.fif, as MNE expects of raw data"),
        (["--out", "no/a_raw.fif"], "no is not a folder: make it first"),
        (["--out", "there_raw.fif"], "there_raw.fif exists: choose another name, or add --overwrite"),
        (["--out", "a_raw.fif", "--recover"], "there is no a_raw.fif.partial to recover"),
        (["--out", "a_raw.fif", "--product", "mri"], "no product 'mri'"),
        (["--out", "a_raw.fif", "--session", "x"], "no session 'x'"),
        (["--out", "a_raw.fif", "--duration", "0"], "no frame arrived, so there is no file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_one_line_and_leave_nothing(
    daemon: Daemon, tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "there_raw.fif").write_text("another recording")
    done = run("record", daemon.url, *arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"cortexcast: {message}")
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["there_raw.fif"]


def test_nobody_there(tmp_path: Path) -> None:
    done = run("record", "ws://127.0.0.1:9/ws", "--out", "a_raw.fif", cwd=tmp_path)
    assert (done.returncode, list(tmp_path.iterdir())) == (1, [])
    assert done.stderr.startswith("cortexcast: no daemon at ws://127.0.0.1:9/ws: start one with")


def test_overwriting_replaces_the_file_at_the_end(daemon: Daemon, tmp_path: Path) -> None:
    out = tmp_path / "there_raw.fif"
    out.write_text("another recording")
    with recording(daemon.url, out) as record:
        wait_until_larger(out, 10_000)
        assert out.read_text() == "another recording"
        record.popen.send_signal(signal.SIGHUP)
        assert record.finish() == 0
    assert read(out).n_times > 0
