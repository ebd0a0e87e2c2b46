"""The bundle computes what the net does, in ONNX Runtime, in the server, hop by hop."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from nets import ABOUT, disturbed, net_shape, untrained
from numpy.typing import NDArray
from prepared import hidden_state_recording

from cortexcast_models.bundle import Bundle, Infer, read_bundle
from cortexcast_server.inference import load
from cortexcast_server.model import Model
from cortexcast_training import onnx_export
from cortexcast_training.checkpoint import CheckpointError
from cortexcast_training.manifest_fields import TOLERANCE
from cortexcast_training.novelty import Novelty
from cortexcast_training.onnx_export import ExportError
from cortexcast_training.prepare import PrepareSettings
from cortexcast_training.recipe import BundleSettings, Recipe, RecordedData
from cortexcast_training.scaling import Units
from cortexcast_training.train_meg import about
from cortexcast_training.trained import FILE, Trained, export_trained, load_trained, save_trained
from cortexcast_training.transformer_bundle import Hop, export

SHAPE = net_shape(n_sensors=306, lookahead=2, n_components=8)
WINDOW = SHAPE.n_tokens * SHAPE.token


@pytest.fixture(scope="module")
def eeg() -> NDArray[np.float32]:
    """A stretch in volts, ``(n_electrodes, n)``."""
    return np.ascontiguousarray(hidden_state_recording(40, 7, n_sensors=306).eeg.T)


@pytest.fixture(scope="module")
def hop() -> Hop:
    recording = hidden_state_recording(100, 0, n_sensors=306)
    net, units, _ = untrained([recording], SHAPE)
    novelty = Novelty(SHAPE, 2)
    torch.nn.init.normal_(novelty.mean, std=0.1, generator=torch.Generator().manual_seed(0))
    return Hop(disturbed(net, 0.1), novelty, Units(units.eeg, units.meg * np.linspace(0.5, 2, 306))).eval()


@pytest.fixture(scope="module")
def exported(hop: Hop, eeg: NDArray[np.float32], tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, float]:
    return export(
        tmp_path_factory.mktemp("export") / "bundle", hop, PrepareSettings().preprocessing, eeg[:, :WINDOW], ABOUT
    )


@pytest.fixture(scope="module")
def infer(exported: tuple[Bundle, float]) -> Infer:
    return load(read_bundle(exported[0].directory))


def test_the_graph_does_not_tell_where_it_was_made(exported: tuple[Bundle, float]) -> None:
    graph = exported[0].model_path.read_bytes()
    assert b"cortexcast_training" not in graph
    assert str(Path(__file__).parents[2]).encode() not in graph


@torch.no_grad()
def remembered(hop: Hop, eeg: NDArray[np.float32]) -> torch.Tensor:
    """The memory of EEG in volts, ``(n_electrodes, n)``, hop by hop."""
    memory = torch.zeros(SHAPE.n_electrodes, SHAPE.n_electrodes)
    for end in range(SHAPE.token, eeg.shape[1] + 1, SHAPE.token):
        token = torch.from_numpy(eeg[:, end - SHAPE.token : end].copy()) / hop.eeg_unit
        memory = hop.net.adaptation.remember(memory, token)
    return memory


def deviation(given: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    return float(np.abs(given - expected).max() / np.sqrt(np.mean(expected.astype(np.float64) ** 2)))


def test_the_graph_is_the_net(infer: Infer, exported: tuple[Bundle, float], hop: Hop, eeg: NDArray[np.float32]) -> None:
    assert exported[1] <= TOLERANCE
    for first in range(0, eeg.shape[1] - WINDOW, 40):
        window = np.ascontiguousarray(eeg[:, first : first + WINDOW])
        memory = remembered(hop, eeg[:, :first])
        with torch.no_grad():
            visited = torch.arange(SHAPE.n_experts) * float(first)
            expected = hop(torch.from_numpy(window), memory, visited)
        given = infer({"eeg": window, "memory": memory.numpy(), "visited": visited.numpy()})
        for name, tensor in zip(("meg", "meg_std", "novelty", "memory_next", "visited_next"), expected, strict=True):
            assert deviation(given[name], tensor.numpy()) <= TOLERANCE, name


def test_hop_by_hop_it_gives_what_windows_give(
    infer: Infer, exported: tuple[Bundle, float], hop: Hop, eeg: NDArray[np.float32]
) -> None:
    """Streamed as the server does, against the net's own estimate of all tokens of each window."""
    manifest = exported[0].manifest
    model = Model(manifest, infer)
    padded = np.pad(eeg, ((0, 0), (WINDOW, 0)))
    for end in range(SHAPE.token, eeg.shape[1] + 1, SHAPE.token):
        streamed = model.step(np.ascontiguousarray(eeg[:, end - SHAPE.token : end]))
        window = padded[:, end : end + WINDOW] / hop.eeg_unit.item()
        with torch.no_grad():
            context = hop.net.adaptation.context(remembered(hop, eeg[:, :end]))
            whole = hop.net.estimate(hop.net(torch.from_numpy(window.astype(np.float32))[None], context))
        if end < SHAPE.token * (1 + SHAPE.lookahead):
            assert streamed is None
            continue
        assert streamed is not None
        assert streamed.std is not None
        assert streamed.novelty is not None
        unit = hop.meg_unit.numpy()
        assert deviation(streamed.data, whole.meg[0, -1].numpy() * unit[:, None]) < TOLERANCE
        assert deviation(streamed.std, whole.variance[0, -1].sqrt().numpy() * unit) < TOLERANCE


def test_the_manifest_says_what_the_net_reads_and_gives(exported: tuple[Bundle, float]) -> None:
    manifest = exported[0].manifest
    assert (manifest.window, manifest.hop, manifest.lookahead) == (WINDOW, 8, 16)
    assert manifest.preprocessing == PrepareSettings().preprocessing
    assert manifest.trained_on == "simulated"
    assert [channel.type for channel in manifest.channels].count("mag") == 102
    assert manifest.training is not None
    assert manifest.training.held_out_subjects == ABOUT.held_out_subjects


def test_export_says_nothing(
    hop: Hop, eeg: NDArray[np.float32], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The exporter's log would stand between the user's lines. Its warnings are errors here."""
    level = logging.getLogger("torch.onnx").level
    export(tmp_path / "bundle", hop, PrepareSettings().preprocessing, eeg[:, :WINDOW], ABOUT)
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")
    assert logging.getLogger("torch.onnx").level == level


def test_a_graph_that_computes_something_else_is_not_written(
    hop: Hop, eeg: NDArray[np.float32], exported: tuple[Bundle, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = exported[0].model_path.read_bytes()
    monkeypatch.setattr(onnx_export, "_graph", lambda *_: other)
    turned = Hop(hop.net, hop.novelty, Units(hop.eeg_unit.item(), 1.001 * hop.meg_unit.double().numpy()))
    with pytest.raises(ExportError, match=r"output 'meg' of the graph deviates from torch by 0\.00"):
        export(tmp_path / "bundle", turned, PrepareSettings().preprocessing, eeg[:, :WINDOW], ABOUT)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("simulated", [True, False])
def test_recordings_in_a_folder_that_were_simulated_are_said_to_be(
    hop: Hop, eeg: NDArray[np.float32], simulated: bool
) -> None:
    data = RecordedData(folder="/data/study", validation=("sub-02",))
    recipe = Recipe(recordings=data, bundle=BundleSettings(name="mine", description="my own"))
    said = about(recipe, Trained(hop, ("sub-01",), ("sub-02",), eeg[:, :WINDOW], simulated))
    assert said.trained_on == ("simulated" if simulated else "recorded")
    assert said.intended_use.startswith("Trained on simulation") == simulated
    assert (said.data, said.licence) == (("study",), "that of the recordings")


class TestTrained:
    def test_what_is_saved_comes_back(self, hop: Hop, eeg: NDArray[np.float32], tmp_path: Path) -> None:
        save_trained(tmp_path, Trained(hop, ("sub-00",), ("sub-01", "sub-02"), eeg[:, :WINDOW], simulated=True))
        loaded = load_trained(tmp_path)
        window = torch.from_numpy(eeg[:, 40 : 40 + WINDOW].copy())
        inputs = window, remembered(hop, eeg[:, :40]), torch.ones(SHAPE.n_experts)
        with torch.no_grad():
            for given, expected in zip(loaded.hop(*inputs), hop(*inputs), strict=True):
                assert deviation(given.numpy(), expected.numpy()) < TOLERANCE
        assert loaded.simulated
        assert (loaded.train_subjects, loaded.validation_subjects) == (("sub-00",), ("sub-01", "sub-02"))
        assert np.array_equal(loaded.golden_eeg, eeg[:, :WINDOW])
        assert loaded.units.eeg == pytest.approx(hop.eeg_unit.item())
        np.testing.assert_allclose(loaded.units.meg, hop.meg_unit.numpy())

    def test_beside_its_graph_it_is_small_and_the_same(
        self, hop: Hop, eeg: NDArray[np.float32], tmp_path: Path
    ) -> None:
        trained = Trained(hop, ("sub-00",), ("sub-01",), eeg[:, :WINDOW], simulated=True)
        save_trained(tmp_path, trained)
        bundle, _ = export_trained(tmp_path / "bundle", trained, PrepareSettings().preprocessing, ABOUT)
        in_bundle = bundle.directory / FILE
        assert in_bundle.stat().st_size < 0.5 * (tmp_path / FILE).stat().st_size
        loaded = load_trained(bundle.directory)
        for name, tensor in hop.state_dict().items():
            assert torch.equal(loaded.hop.state_dict()[name], tensor)

    def test_a_damaged_one_is_told(self, hop: Hop, eeg: NDArray[np.float32], tmp_path: Path) -> None:
        save_trained(tmp_path, Trained(hop, (), (), eeg[:, :WINDOW], simulated=False))
        content = (tmp_path / FILE).read_bytes()
        (tmp_path / FILE).write_bytes(content[:-2000])
        with pytest.raises(CheckpointError, match=r"trained\.pt is damaged"):
            load_trained(tmp_path)
