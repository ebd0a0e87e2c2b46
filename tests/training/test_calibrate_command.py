"""`cortexcast calibrate`: from a recording to a bundle for that head; what is wrong is one line, and writes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mne
import numpy as np
import pytest
from nets import ABOUT, disturbed, net_shape, shown_heads, untrained
from prepared import hidden_state_recording

from cortexcast_client.command import main
from cortexcast_models.bundle import read_bundle
from cortexcast_server.inference import load
from cortexcast_training import calibrate_meg
from cortexcast_training.calibration import N_BLOCKS, Calibrated, Gain, calibrate
from cortexcast_training.novelty import Novelty
from cortexcast_training.prepare import PrepareSettings
from cortexcast_training.trained import Trained, export_trained, load_trained
from cortexcast_training.transformer_bundle import Hop

SHAPE = net_shape(n_sensors=306, lookahead=2, n_components=8)


@pytest.fixture(scope="module")
def trained() -> Trained:
    recording = hidden_state_recording(100, 0, n_sensors=306)
    net, units, _ = untrained([recording], SHAPE)
    hop = Hop(disturbed(net, 0.1), Novelty(SHAPE, 2), units).eval()
    window = np.ascontiguousarray(recording.eeg[: SHAPE.n_tokens * SHAPE.token].T)
    return Trained(hop, ("sub-00",), ("sub-90",), window, simulated=True)


@pytest.fixture(scope="module")
def model(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "bundle"
    export_trained(folder, trained, PrepareSettings().preprocessing, ABOUT)
    return folder


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "data"
    assert main(["simulate", "meg", str(folder), "--duration", "12"]) == 0
    return next(folder.rglob("*_meg.fif"))


@pytest.fixture(autouse=True)
def heads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrate_meg, "draw_shown", lambda *_: shown_heads(SHAPE))


def gaining(monkeypatch: pytest.MonkeyPatch, by: float) -> None:
    """The calibration itself runs; what it is said to have gained is given."""
    before = np.full(N_BLOCKS, 0.25)

    def given(*args: Any) -> Calibrated:
        result = calibrate(*args)
        return Calibrated(result.net, Gain(before, before + by, before - 0.1), result.steps)

    monkeypatch.setattr(calibrate_meg, "calibrate", given)


def test_from_a_recording_to_a_bundle(
    recording: Path,
    model: Path,
    trained: Trained,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    gaining(monkeypatch, 0.125)
    out = tmp_path / "mine"
    assert main(["calibrate", str(recording), "--model", str(model), "--out", str(out), "--name", "mine"]) == 0
    said = capsys.readouterr().out
    for part in ("0.250", "0.375", "0.150"):
        assert part in said
    bundle = read_bundle(out)
    load(bundle)
    assert bundle.digest in said
    manifest = bundle.manifest
    assert (manifest.name, manifest.trained_on) == ("mine", "simulated")
    assert manifest.training is not None
    assert manifest.training.data == ("made up", f"calibrated on {recording.name} (simulated), 12 s")
    assert manifest.training.train_subjects == ("sub-00", "sub-01 (calibrated to)")
    assert [metric.value for metric in manifest.metrics] == [0.375, 0.25, 0.15]
    again = load_trained(out)
    assert again.train_subjects == manifest.training.train_subjects
    assert not np.allclose(again.hop.net.wiener, trained.hop.net.wiener)


def test_where_nothing_is_gained_nothing_is_written(
    recording: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gaining(monkeypatch, 0.0)
    assert main(["calibrate", str(recording), "--model", str(model), "--out", str(tmp_path / "mine")]) == 1
    said = capsys.readouterr().err
    assert "gains nothing that is sure: by cross-validation it explains 0.250 of the variance before and 0.250" in said
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_what_is_wrong_is_one_line(
    recording: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def holding(kind: str) -> str:
        path = recording.with_name(f"sub-{kind}_meg.fif")
        mne.io.read_raw_fif(recording, verbose="error").pick(kind).save(path, verbose="error")
        return str(path)

    out = str(tmp_path / "mine")
    for arguments, message in (
        (["missing.fif", "--model", str(model)], "missing.fif is not there"),
        ([str(recording), "--model", "meg-leadfield"], "holds no trained.pt and cannot be calibrated"),
        ([str(recording), "--model", "nothing"], "no bundle 'nothing'"),
        ([str(recording), "--model", str(model), "--name", "Not A Name"], "'Not A Name' cannot name a bundle"),
        ([holding("eeg"), "--model", str(model)], "has no MEG channels: a simultaneous recording of EEG and MEG"),
        ([holding("meg"), "--model", str(model)], "has no EEG channels: a simultaneous recording of EEG and MEG"),
    ):
        assert main(["calibrate", *arguments, "--out", out]) == 1
        said = capsys.readouterr().err
        assert message in said
        assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
