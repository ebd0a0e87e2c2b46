"""`cortexcast simulate meg`: settings from file and flags, one line for every mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cortexcast_client.command import main
from cortexcast_training.bids_files import find_recordings
from cortexcast_training.cohort import Cohort
from cortexcast_training.recording_file import read_recording
from cortexcast_training.simulated_dataset import TRUTH
from cortexcast_training.toml_file import SettingsError, read_toml

CONFIG = """\
subjects = 3
seed = 5

[head]
scale_sd = 0

[sources]
states = 8

[sources.network]
knee_hz = 6
exponent = 2
rhythms = [{ hz = 20, width_hz = 2, share = 0.3 }]

[recording]
duration_s = 10

[recording.noise]
eeg_v = 1e-6
"""


def test_a_file_and_flags_together(tmp_path: Path) -> None:
    path = tmp_path / "cohort.toml"
    path.write_text(CONFIG)
    settings = read_toml(path, Cohort, {"subjects": 1, "recording.duration_s": 20.0, "runs": None})
    assert (settings.subjects, settings.runs, settings.seed) == (1, 1, 5)
    assert settings.recording.duration_s == 20.0
    assert settings.recording.noise.eeg_v == 1e-6
    assert settings.sources.network.rhythms[0].hz == 20.0
    assert settings.sources.states == 8
    assert settings.head.scale_sd == 0.0
    assert settings.head.skull_log_sd == Cohort().head.skull_log_sd


def test_without_a_file_settings_are_the_defaults() -> None:
    assert read_toml(None, Cohort, {"runs": None}) == Cohort()


def test_every_setting_survives_json() -> None:
    assert Cohort.model_validate_json(Cohort().model_dump_json()) == Cohort()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[head]\nsize = 3", r"head\.size: Extra inputs are not permitted"),
        ("subjects = 1.5", "subjects: Input should be a valid integer"),
        ("subjects = 0", "subjects: Input should be greater than 0"),
        ("[recording]\nduration_s = 1e6", r"recording\.duration_s: Input should be less than or equal to 900"),
        ("subjects = ", "is not TOML"),
        ("recording = 3", "recording must be a table"),
        ("[head]\nico = 5", r"head\.ico: Input should be less than or equal to 4"),
        ("seed = 2020-01-01", "seed: Input should be a valid integer"),
    ],
)
def test_a_wrong_file_says_which_key_and_why(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "cohort.toml"
    path.write_text(content)
    with pytest.raises(SettingsError, match=message):
        read_toml(path, Cohort, {"recording.duration_s": 10.0} if "recording = 3" in content else {})


def test_the_command_writes_what_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "set"
    assert main(["simulate", "meg", str(out), "--duration", "10", "--seed", "3"]) == 0
    assert "1 simulated subjects, 10 s of EEG and MEG each" in " ".join(capsys.readouterr().out.split())
    (found,) = find_recordings(out)
    assert read_recording(found.path).all_signals().eeg.shape == (70, 11_000)
    (truth,) = (out / TRUTH / "sub-01").glob("*_truth.json")
    assert json.loads(truth.read_text())["recording"]["duration_s"] == 10.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "missing.toml"], "missing.toml cannot be read: No such file or directory"),
        (["--subjects", "0"], "subjects: Input should be greater than 0"),
        (["--subjects", "1000000000"], "GB left: simulate fewer subjects or shorter recordings"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    out = tmp_path / "set"
    assert main(["simulate", "meg", str(out), *arguments]) == 1
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not out.exists()


def test_a_folder_in_use_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    assert main(["simulate", "meg", str(tmp_path)]) == 1
    assert "is not empty" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]
