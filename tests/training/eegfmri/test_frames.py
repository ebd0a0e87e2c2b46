"""What is seen in each volume is what the encoder makes of its frames; what cannot be encoded is one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from PIL import Image

from cortexcast_client.command import main
from cortexcast_training.eegfmri.frames import Encoder, FrameError, FrameSettings, _by_volume, encode, frames_of
from cortexcast_training.eegfmri.stimulus import read_stimulus

SETTINGS = FrameSettings(fps=10.0, tr_s=2.0, size=32, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


def write_encoder(
    path: Path, shape: tuple[int | str, ...] = ("n", 3, "h", "w"), axes: tuple[int, ...] = (2, 3)
) -> Path:
    """The mean colour of an image."""
    given = helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)
    out = helper.make_tensor_value_info("point", TensorProto.FLOAT, None)
    which = helper.make_tensor("axes", TensorProto.INT64, [len(axes)], axes)
    node = helper.make_node("ReduceMean", ["image", "axes"], ["point"], keepdims=0)
    graph = helper.make_graph([node], "mean", [given], [out], [which])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


def write_frames(folder: Path, colours: list[tuple[int, int, int]]) -> Path:
    folder.mkdir()
    for number, colour in enumerate(colours):
        Image.new("RGB", (64, 48), colour).save(folder / f"{number:05d}.png")
    return folder


def test_each_volume_is_the_mean_of_its_own_frames(tmp_path: Path) -> None:
    red, green = (255, 0, 0), (0, 255, 0)
    folder = write_frames(tmp_path / "film", [red] * 20 + [green] * 20 + [red, green] * 5)
    stimulus = encode(frames_of(folder), Encoder(write_encoder(tmp_path / "e.onnx"), SETTINGS), SETTINGS)
    np.testing.assert_allclose(stimulus.embedding[:2], [[1, 0, 0], [0, 1, 0]], atol=1e-3)
    assert stimulus.embedding.shape == (3, 3)
    assert stimulus.embedding[2, 0] == pytest.approx(0.5, abs=0.26)
    assert (stimulus.shown == -1).all()


@given(st.integers(1, 500), st.floats(1, 60), st.floats(0.3, 5), st.integers(1, 8))
def test_frames_stand_for_the_volume_in_which_they_are_shown(n: int, fps: float, tr_s: float, per_volume: int) -> None:
    settings = FrameSettings(fps=fps, tr_s=tr_s, per_volume=per_volume)
    volumes = list(_by_volume(n, settings))
    assert len(volumes) == pytest.approx(n / fps / tr_s, abs=1)
    for volume, numbers in enumerate(volumes):
        assert 1 <= len(numbers) <= per_volume
        assert (numbers < n).all()
        assert (numbers >= np.floor(volume * tr_s * fps) - 1).all()
        assert (numbers <= np.ceil((volume + 1) * tr_s * fps)).all()


def test_images_are_scaled_and_cropped_in_their_middle(tmp_path: Path) -> None:
    image = np.zeros((50, 100, 3), np.uint8)
    image[:, 25:75] = 255
    Image.fromarray(image).save(tmp_path / "wide.png")
    encoder = Encoder(write_encoder(tmp_path / "e.onnx", ("n", 3, 20, 20)), SETTINGS)
    assert (encoder.height, encoder.width) == (20, 20)
    assert encoder(tmp_path / "wide.png").min() > 0.95


def test_the_command_writes_what_preprocessing_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = write_frames(tmp_path / "film", [(9, 9, 9)] * 50), tmp_path / "stimuli" / "film.npz"
    encoder = write_encoder(tmp_path / "e.onnx")
    given = ["--encoder", str(encoder), "--fps", "10", "--tr", "2.1", "--out", str(out)]
    assert main(["data", "frames", str(folder), *given]) == 0
    assert "3 volumes of 2.1 s, 3 dimensions" in capsys.readouterr().out
    assert read_stimulus(out).embedding.shape == (3, 3)


def test_what_cannot_be_encoded_is_told(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match="has no images"):
        frames_of(tmp_path)
    (tmp_path / "e.onnx").write_text("nonsense")
    with pytest.raises(FrameError, match="is not a graph that ONNX Runtime reads"):
        Encoder(tmp_path / "e.onnx", SETTINGS)
    with pytest.raises(FrameError, match=r"takes tensor\(float\) \['n', 70, 'h', 'w'\]: an encoder of images takes"):
        Encoder(write_encoder(tmp_path / "eeg.onnx", ("n", 70, "h", "w")), SETTINGS)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    good = Encoder(write_encoder(tmp_path / "good.onnx"), SETTINGS)
    with pytest.raises(FrameError, match=r"broken\.png is no image, or damaged"):
        good(tmp_path / "broken.png")
    Image.new("RGB", (8, 8)).save(tmp_path / "fine.png")
    with pytest.raises(FrameError, match=r"gives \(1, 3, 32\) of an image"):
        Encoder(write_encoder(tmp_path / "rows.onnx", axes=(3,)), SETTINGS)(tmp_path / "fine.png")


def test_frames_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("f9.png", "f10.png", "f9999.png", "f10000.png", "f1.jpg"):
        (tmp_path / name).touch()
    assert [path.stem for path in frames_of(tmp_path)] == ["f1", "f9", "f10", "f9999", "f10000"]
