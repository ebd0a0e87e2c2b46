"""Bundles prove themselves: what is damaged or not what it says is refused in one line."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundles import write_small_bundle
from daemon import run
from factories import WEIGHTS, manifest_fields, onnx_linear
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from cortexcast_models.bundle import (
    BundleError,
    pack_golden,
    parse_manifest,
    read_bundle,
    shipped_bundles,
    write_bundle,
)
from cortexcast_server.inference import load


def test_a_good_bundle_loads_and_computes(tmp_path: Path) -> None:
    bundle = read_bundle(write_small_bundle(tmp_path / "small"))
    eeg = np.full((19, 8), 1e-5, np.float32)
    np.testing.assert_allclose(load(bundle)({"eeg": eeg})["meg"], WEIGHTS @ eeg, rtol=1e-5)


@pytest.mark.parametrize("name", shipped_bundles())
def test_every_shipped_bundle_proves_itself(name: str) -> None:
    load(read_bundle(name))


@given(st.data())
def test_a_flipped_bit_anywhere_is_found(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = write_small_bundle(tmp_path_factory.mktemp("bundle") / "small")
    path = folder / data.draw(st.sampled_from(["model.onnx", "golden.npz"]))
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    with pytest.raises(BundleError, match=rf"{path.name} does not have the sha256 .* damaged"):
        read_bundle(folder)


def unknown_key(manifest: dict[str, Any]) -> None:
    manifest["sampling_rate"] = 200


def nested_unknown_key(manifest: dict[str, Any]) -> None:
    manifest["preprocessing"]["resample"]["rate"] = 200


def wrong_hop(manifest: dict[str, Any]) -> None:
    manifest["hop"] = 4


def edge_above_nyquist(manifest: dict[str, Any]) -> None:
    manifest["preprocessing"]["filters"][0]["hz"] = 120.0


def weak_stopband(manifest: dict[str, Any]) -> None:
    manifest["preprocessing"]["resample"]["stopband_db"] = 19.0


def mag_in_tesla_per_metre(manifest: dict[str, Any]) -> None:
    manifest["channels"][0]["unit"] = "T/m"


def location_of_five(manifest: dict[str, Any]) -> None:
    manifest["channels"][1]["location"] = [0.0] * 5


def electrode_nowhere(manifest: dict[str, Any]) -> None:
    manifest["montage"][0]["position"][2] = float("nan")


def swapped_axes(manifest: dict[str, Any]) -> None:
    manifest["inputs"][0]["axes"] = ["time", "channel"]


def batch_of_two(manifest: dict[str, Any]) -> None:
    manifest["outputs"][0] |= {"axes": ["batch", "channel", "time"], "shape": [2, 3, 8]}


def estimate_as_input(manifest: dict[str, Any]) -> None:
    manifest["inputs"].append({**manifest["outputs"][0], "name": "meg_in"})


def eeg_as_output(manifest: dict[str, Any]) -> None:
    manifest["outputs"].append({**manifest["inputs"][0], "name": "eeg_out"})


def two_estimates(manifest: dict[str, Any]) -> None:
    manifest["outputs"].append({**manifest["outputs"][0], "name": "meg_too"})


def states(manifest: dict[str, Any], inputs: list[str], outputs: list[str]) -> None:
    for side, names in (("inputs", inputs), ("outputs", outputs)):
        tensors = [{"name": n, "role": "state", "shape": [4], "axes": ["unit"], "state_of": "memory"} for n in names]
        manifest[side].extend(tensors)


def two_inputs_of_one_state(manifest: dict[str, Any]) -> None:
    states(manifest, ["a", "b"], ["c"])


def state_without_output(manifest: dict[str, Any]) -> None:
    states(manifest, ["a"], [])


def file_outside(manifest: dict[str, Any]) -> None:
    manifest["files"]["../model.onnx"] = "0" * 64


def lists_itself(manifest: dict[str, Any]) -> None:
    manifest["files"]["manifest.json"] = "0" * 64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (unknown_key, "sampling_rate: unknown key"),
        (nested_unknown_key, "preprocessing.resample.rate: unknown key"),
        (wrong_hop, "tensor 'meg' is channel 3 x time 8, the manifest implies channel 3 x time 4"),
        (edge_above_nyquist, "not below the Nyquist rate"),
        (weak_stopband, "stopband_db: .* greater than or equal to 20"),
        (mag_in_tesla_per_metre, "'MEG 0111' is a mag in T/m, must be in T"),
        (location_of_five, "'MEG 0112' has a location of 5 numbers, not 0, 3 or 12"),
        (electrode_nowhere, "montage.0.position.2: .* finite"),
        (swapped_axes, "tensor 'eeg' is time 19 x channel 8, the manifest implies channel 19 x time 8"),
        (batch_of_two, "tensor 'meg' is batch 2 x channel 3 x time 8, the manifest implies channel 3 x time 8"),
        (estimate_as_input, "inputs.1.role: .* should be 'eeg' or 'state'"),
        (eeg_as_output, "outputs.1.role: .* should be 'estimate', 'std', 'novelty' or 'state'"),
        (two_estimates, "exactly one tensor of role 'estimate', has 2"),
        (two_inputs_of_one_state, "states of the inputs: 'memory' is there twice"),
        (state_without_output, "each state input needs a state output"),
        (file_outside, r"files.\.\./model.onnx.*: .* should match pattern"),
        (lists_itself, "manifest.json, which cannot hold its own sha256"),
    ],
)
def test_a_manifest_says_what_is_wrong_with_it(tmp_path: Path, change: Any, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        read_bundle(write_small_bundle(tmp_path / "small", change=change))


def test_a_batch_of_one_and_a_state_are_allowed(tmp_path: Path) -> None:
    def change(manifest: dict[str, Any]) -> None:
        manifest["inputs"][0] |= {"axes": ["batch", "channel", "time"], "shape": [1, 19, 8]}
        states(manifest, ["memory_in"], ["memory_out"])

    read_bundle(write_small_bundle(tmp_path / "small", change=change))


def test_a_graph_of_other_shapes_is_refused(tmp_path: Path) -> None:
    bundle = read_bundle(write_small_bundle(tmp_path / "small", graph=onnx_linear(WEIGHTS[:2], 8)))
    with pytest.raises(BundleError, match=r"output 'meg' is .*\[2, 8\] in the graph but .*\[3, 8\] in the manifest"):
        load(bundle)


def test_what_is_no_graph_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not a graph that ONNX Runtime reads"):
        load(read_bundle(write_small_bundle(tmp_path / "small", graph=b"not ONNX")))


def test_a_graph_that_computes_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"deviates from its golden tensor by 0\.0"):
        load(read_bundle(write_small_bundle(tmp_path / "small", golden_scale=1.01)))


EEG = np.full((19, 8), 1e-5, np.float32)
MEG = WEIGHTS @ EEG


def npy(array: NDArray[np.float32]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("golden", "message"),
    [
        (b"", "golden.npz is not an .npz"),
        (b"text", "golden.npz is not an .npz"),
        (pack_golden({"eeg": EEG, "meg": MEG})[:-30], "golden.npz is not an .npz"),
        (npy(EEG), "golden.npz is not an .npz"),
        (pack_golden({"eeg": EEG}), "tensor 'meg' is missing"),
        (pack_golden({"meg": MEG}), "tensor 'eeg' is missing"),
        (
            pack_golden({"eeg": EEG[:, :7], "meg": MEG}),
            r"tensor 'eeg' is float32 \(19, 7\), the manifest has .*\(19, 8\)",
        ),
        (pack_golden({"eeg": EEG, "meg": MEG[0]}), r"tensor 'meg' is float32 \(8,\)"),
        (pack_golden({"eeg": np.nan * EEG, "meg": MEG}), "tensor 'eeg' holds values that are not finite"),
        (pack_golden({"eeg": EEG, "meg": np.inf * MEG}), "tensor 'meg' holds values that are not finite"),
        (pack_golden({"eeg": 0 * EEG, "meg": 0 * MEG}), "output 'meg' is zero throughout and proves nothing"),
    ],
)
def test_golden_tensors_that_prove_nothing_are_refused(tmp_path: Path, golden: bytes, message: str) -> None:
    fields = manifest_fields()
    del fields["files"]
    files = {"model.onnx": onnx_linear(WEIGHTS, 8), "golden.npz": golden}
    bundle = write_bundle(tmp_path / "small", fields, files)
    with pytest.raises(BundleError, match=message) as caught:
        load(bundle)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_missing_bundle_are_told(tmp_path: Path) -> None:
    folder = write_small_bundle(tmp_path / "small")
    (folder / "golden.npz").unlink()
    with pytest.raises(BundleError, match=r"golden.npz is missing"):
        read_bundle(folder)
    with pytest.raises(BundleError, match="no bundle 'nowhere': give the name of a shipped one"):
        read_bundle("nowhere")


def test_writing_replaces_a_bundle_but_nothing_else(tmp_path: Path) -> None:
    folder = write_small_bundle(tmp_path / "small")
    write_small_bundle(folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep me")
    with pytest.raises(BundleError, match="not a bundle"):
        write_small_bundle(tmp_path / "mine")
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep me"


def test_an_invalid_manifest_is_not_written(tmp_path: Path) -> None:
    fields = manifest_fields(version="one")
    del fields["files"]
    with pytest.raises(BundleError, match="version"):
        write_bundle(tmp_path / "small", fields, {"model.onnx": b"", "golden.npz": b""})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../leaked", "folder/file", "folder\\file", "..", ".hidden", "", "C:file"])
def test_no_file_is_written_outside_the_folder(tmp_path: Path, name: str) -> None:
    fields = manifest_fields()
    del fields["files"]
    with pytest.raises(BundleError, match="should match pattern"):
        write_bundle(tmp_path / "small", fields, {"model.onnx": b"", "golden.npz": b"", name: b""})
    assert list(tmp_path.iterdir()) == []


def test_a_manifest_that_is_not_json_is_told() -> None:
    with pytest.raises(BundleError, match="here: manifest: Invalid JSON"):
        parse_manifest(b"{", source="here")


def test_the_command_lists_shows_and_verifies(tmp_path: Path) -> None:
    folder = write_small_bundle(tmp_path / "small")
    shown, verified = run("models", "show", folder), run("models", "verify", folder)
    assert "three sums of nineteen electrodes" in shown.stdout
    assert "golden output 'meg': deviates by" in verified.stdout
    assert (shown.returncode, verified.returncode) == (0, 0)
    listed = run("models", "list").stdout.splitlines()
    assert [line.split()[0] for line in listed] == shipped_bundles()


def test_the_command_refuses_in_one_line(tmp_path: Path) -> None:
    folder = write_small_bundle(tmp_path / "small", change=unknown_key)
    done = run("serve", "--model", folder)
    assert done.returncode == 1
    assert done.stderr.startswith("cortexcast: ")
    assert done.stderr.count("\n") == 1
    assert "sampling_rate: unknown key" in done.stderr
