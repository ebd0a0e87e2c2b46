"""What is seen in a film, by an encoder of images: one point of its space for each volume, the mean over its frames."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from pydantic import Field, PositiveFloat, PositiveInt

from cortexcast_models.manifest import Strict
from cortexcast_training.eegfmri.stimulus import Stimulus

Singles = NDArray[np.float32]

_ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"}
_COLOURS = 3


class FrameError(Exception):
    """Frames cannot be encoded. The message says why, and what to do."""


class FrameSettings(Strict):
    """How frames are shown to the encoder."""

    fps: PositiveFloat
    """Frames a second."""
    tr_s: PositiveFloat
    """From volume to volume of the scan; the film begins with the first one."""
    per_volume: PositiveInt = 4
    """Frames that are encoded of each volume, evenly spaced; fewer where there are not so many."""
    size: PositiveInt = 224
    """Pixels, where the graph leaves it open. An image is scaled to that height and cropped in its middle."""
    mean: tuple[float, float, float] = Field((0.485, 0.456, 0.406), strict=False)
    """Of red, green and blue, from 0 to 1, that the encoder wants subtracted, and"""
    std: tuple[float, float, float] = Field((0.229, 0.224, 0.225), strict=False)
    """divided by. Those of most encoders that were trained on ImageNet."""


class Encoder:
    """An encoder of images: an ONNX graph that takes ``(n, 3, height, width)``, float32, and gives ``(n, dimensions)``.

    Args:
        path: of the graph.
        settings: how images are shown to it.

    Raises:
        FrameError: it is no graph, or one of another kind.
    """

    def __init__(self, path: Path, settings: FrameSettings) -> None:
        try:
            self._session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's own classes have no common public root
            raise FrameError(f"{path} is not a graph that ONNX Runtime reads: {str(error).splitlines()[0]}") from None
        given = self._session.get_inputs()
        shape = given[0].shape if given else []
        if len(given) != 1 or len(shape) != 4 or shape[1] != _COLOURS or given[0].type != "tensor(float)":
            said = ", ".join(f"{each.type} {each.shape}" for each in given)
            raise FrameError(
                f"{path} takes {said or 'nothing'}: an encoder of images takes float (n, 3, height, width)"
            )
        self._name, self._settings, self._path = given[0].name, settings, path
        self.height, self.width = (side if isinstance(side, int) else settings.size for side in shape[2:])

    def __call__(self, frame: Path) -> Singles:
        """The point of a frame, ``(dimensions,)``.

        Raises:
            FrameError: it is no image, or the graph does not give a point.
        """
        try:
            with Image.open(frame) as image:
                pixels = np.asarray(self._cropped(image.convert("RGB")), np.float32) / 255
        except (OSError, UnidentifiedImageError) as error:
            raise FrameError(f"{frame} is no image, or damaged: {error}") from None
        scaled = (pixels - np.array(self._settings.mean)) / np.array(self._settings.std)
        try:
            (point, *_) = self._session.run(
                None, {self._name: scaled.transpose(2, 0, 1)[np.newaxis].astype(np.float32)}
            )
        except Exception as error:  # as above
            raise FrameError(f"{self._path} cannot take one image: {str(error).splitlines()[0]}") from None
        if point.ndim != 2 or point.shape[0] != 1 or not np.isfinite(point).all():
            raise FrameError(f"{self._path} gives {point.shape} of an image: an encoder gives finite (1, dimensions)")
        return np.asarray(point[0], np.float32)

    def _cropped(self, image: Image.Image) -> Image.Image:
        scale = max(self.height / image.height, self.width / image.width)
        larger = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
        left, top = (larger.width - self.width) // 2, (larger.height - self.height) // 2
        return larger.crop((left, top, left + self.width, top + self.height))


def frames_of(folder: Path) -> list[Path]:
    """A film's frames, by name.

    Raises:
        FrameError: there are none.
    """
    found = sorted((path for path in folder.glob("*") if path.suffix.lower() in _ENDINGS), key=_in_order)
    if not found:
        raise FrameError(f"{folder} has no images: write the film's frames there first, such as with ffmpeg")
    return found


def _in_order(path: Path) -> list[tuple[int, str]]:
    """Numbers in names by their value: ``10000`` comes after ``9999``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name)]


def encode(
    frames: Sequence[Path], encoder: Encoder, settings: FrameSettings, say: Callable[[int, int], None] = lambda *_: None
) -> Stimulus:
    """What is seen while each volume is taken, from the film's beginning to its end.

    Args:
        frames: in the film's order.
        encoder: of images.
        settings: how frames follow each other.
        say: hears how many volumes are done, and of how many.

    Raises:
        FrameError: a frame is no image, or the encoder gives no point.
    """
    volumes = list(_by_volume(len(frames), settings))
    points = []
    for done, numbers in enumerate(volumes):
        say(done, len(volumes))
        points.append(np.mean([encoder(frames[number]) for number in numbers], axis=0))
    say(len(volumes), len(volumes))
    embedding = np.array(points, np.float32)
    return Stimulus(embedding, (), np.zeros((0, embedding.shape[1]), np.float32), np.full(len(points), -1))


def _by_volume(n_frames: int, settings: FrameSettings) -> Iterator[NDArray[np.int64]]:
    """The numbers of the frames that stand for each volume."""
    n_volumes = int(np.ceil(n_frames / settings.fps / settings.tr_s - 1e-9))
    for volume in range(n_volumes):
        begin = volume * settings.tr_s * settings.fps
        end = min(n_frames, begin + settings.tr_s * settings.fps)
        middles = begin + (np.arange(settings.per_volume) + 0.5) * (end - begin) / settings.per_volume
        yield np.unique(middles.astype(np.int64).clip(0, n_frames - 1))
