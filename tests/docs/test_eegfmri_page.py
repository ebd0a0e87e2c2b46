"""What docs/eegfmri.md shows is run as it stands: its readers, against the daemon by default, and its settings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import Daemon, running
from docs.pages import ROOT, code_blocks
from docs.readers import assert_prints
from headset import streaming

from cortexcast_training.eegfmri.eegfmri_preprocessing import EegFmriSettings
from cortexcast_training.eegfmri.fmri_recipe import FmriRecipe
from cortexcast_training.toml_file import read_toml

PAGE = ROOT / "docs" / "eegfmri.md"
SETTINGS, RECORDINGS = code_blocks(PAGE, "toml")
PRINTED = [[r"^volume \(\d+, \d+, \d+\) at \d+\.\d\d s$"], [r"^[a-z ]+: [01]\.\d\d$"]]


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """As everybody starts it."""
    with streaming(), running("--wait", "20") as daemon:
        daemon.wait_for_session()
        yield daemon


@pytest.mark.parametrize(
    ("block", "lines"), list(zip(code_blocks(PAGE, "python"), PRINTED, strict=True)), ids=["volumes", "labels"]
)
def test_python_blocks_print_what_they_promise(daemon: Daemon, block: str, lines: list[str]) -> None:
    assert_prints(block, lines, daemon)


def test_its_settings_are_settings(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(SETTINGS)
    settings = read_toml(path, EegFmriSettings, {})
    assert settings.bold.nuisance.motion == 24
    path.write_text(RECORDINGS + '\n[bundle]\nname = "mine"\ndescription = "of our own"\n')
    assert read_toml(path, FmriRecipe, {}).recordings is not None
