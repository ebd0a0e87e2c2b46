"""What the README shows is run as it stands, against the daemon that it starts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import Daemon, run, running
from docs.pages import README, code_blocks, shell_lines
from docs.readers import ADDRESS, assert_prints

from cortexcast_models.bundle import DEFAULT, DEFAULTS, read_bundle
from cortexcast_server.simulated_recording import simulate

RECORDING = "recording_raw.fif"
PYTHON = code_blocks(README, "python")
COMMANDS = shell_lines(README, "cortexcast")
PRINTED = [
    [r"^frame \d+ at \d+\.\d{3} s, shape \(306, 8\)$", r"^first channel: -?\d\.\d\de-1\d ± \d\.\d\de-1\d$"],
    [r"^\(306, 200\) \['grad', 'mag'\] 200 Hz$"],
]
"""Lines that each block of Python prints, in this order, among others."""

SHORT = [arguments for arguments in COMMANDS if arguments[0] in ("doctor", "run", "streams")]
"""Those that end by themselves."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with the recording that the README speaks of."""
    folder = tmp_path_factory.mktemp("readme")
    simulate(folder / RECORDING, duration_s=8.0)
    return folder


@pytest.fixture(scope="module")
def daemon(folder: Path) -> Iterator[Daemon]:
    """The README's daemon that replays a recording."""
    (arguments,) = [arguments for arguments in COMMANDS if arguments[:2] == ["serve", "--replay"]]
    with running(*arguments[1:], cwd=folder) as daemon:
        daemon.wait_for_session()
        yield daemon


@pytest.mark.parametrize(
    ("block", "lines"),
    list(zip(PYTHON, PRINTED, strict=True)),
    ids=["subscribe", "MNE-LSL"],
)
def test_python_blocks_print_what_they_promise(daemon: Daemon, block: str, lines: list[str]) -> None:
    assert_prints(block, lines, daemon)


def test_the_subscriber_names_the_default_address() -> None:
    assert ADDRESS in PYTHON[0]


@pytest.mark.parametrize("arguments", SHORT, ids=" ".join)
def test_commands_that_end_succeed(daemon: Daemon, folder: Path, arguments: list[str]) -> None:
    done = run(*arguments, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    if "--out" in arguments:
        assert (folder / arguments[arguments.index("--out") + 1]).is_file()


def test_the_numbers_of_fmri_are_those_of_the_shipped_bundles() -> None:
    text = " ".join(README.read_text(encoding="utf-8").split())
    fmri, stimulus = (
        {metric.name.split(":")[0]: metric.value for metric in read_bundle(DEFAULTS[product]).manifest.metrics}
        for product in ("fmri", "stimulus")
    )
    assert f"with its BOLD by {fmri['r, mean over outputs, by model']:.3f} on average" in text
    assert f"{100 * fmri['share of the ceiling']:.1f} % of the ceiling" in text
    assert f"told in {100 * stimulus['two-way identification']:.1f} % of cases" in text


def test_every_short_command_is_run() -> None:
    assert {arguments[0] for arguments in SHORT} == {"doctor", "run", "streams"}


def test_the_numbers_are_those_of_the_shipped_bundle() -> None:
    text = " ".join(README.read_text(encoding="utf-8").split())
    manifest = read_bundle(DEFAULT).manifest
    n_mag, n_grad = (sum(channel.type == kind for channel in manifest.channels) for kind in ("mag", "grad"))
    assert f"{len(manifest.channels)} MEG channels" in text
    assert f"{n_mag} magnetometers and {n_grad} gradiometers" in text
    assert f"{len(manifest.montage)} electrodes" in text
    assert f"{manifest.rate_hz:g} Hz" in text
    assert f"{manifest.rate_hz / manifest.hop:g} frames a second" in text
    explained = {metric.name.split(":")[0]: f"{metric.value:.3f}" for metric in manifest.metrics}
    magnetometers = explained["explained variance, magnetometers"]
    assert f"{magnetometers} of the variance of the magnetometers" in text
    assert f"{explained['explained variance, gradiometers']} of that of the gradiometers" in text
