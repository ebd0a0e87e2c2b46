"""Bundles prove themselves: what is damaged or not what it says is refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundles import write_small_bundle
from daemon import run
from factories import WEIGHTS, manifest_fields, onnx_linear
from hypothesis import given
from hypothesis import strategies as st

from cortexcast_models.bundle import BundleError, parse_manifest, read_bundle, shipped_bundles, write_bundle
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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (unknown_key, "sampling_rate: unknown key"),
        (nested_unknown_key, "preprocessing.resample.rate: unknown key"),
        (wrong_hop, r"tensor 'meg' has shape \(3, 8\), the manifest implies \(3, 4\)"),
        (edge_above_nyquist, "not below the Nyquist rate"),
    ],
)
def test_a_manifest_says_what_is_wrong_with_it(tmp_path: Path, change: Any, message: str) -> None:
    with pytest.raises(BundleError, match=message):
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
