"""Through real LSL and a real WebSocket: nothing lost, nothing twice, and the frames of `cortexcast run`."""

from __future__ import annotations

from pathlib import Path

import mne
import nibabel
import numpy as np
import pytest
from daemon import run, running
from factories import CAP, eeg_like
from nilearn.datasets import load_mni152_gm_mask
from nilearn.maskers import NiftiLabelsMasker
from numpy.typing import NDArray

from cortexcast_client import Connection, Frame, Marker
from cortexcast_models.bundle import DEFAULTS, read_bundle
from cortexcast_server.simulated_recording import simulate


def write_counting_fif(path: Path, rate_hz: float, duration_s: float) -> Path:
    """A headset's recording whose first channel is the sample's number, in microvolts."""
    n = int(rate_hz * duration_s)
    data = eeg_like(len(CAP), n)
    data[0] = 1e-6 * np.arange(n)
    raw = mne.io.RawArray(data, mne.create_info(list(CAP), rate_hz, "eeg", verbose="error"), verbose="error")
    raw.set_annotations(mne.Annotations([1.0, 2.5], 0.0, ["one", "two"]), verbose="error")
    raw.save(path, fmt="double", verbose="error")
    return path


def collect(url: str, products: list[str], n_frames: int) -> tuple[dict[str, list[Frame]], list[Marker]]:
    """The first frames of each product, and the markers that came with them."""
    frames: dict[str, list[Frame]] = {product: [] for product in products}
    markers = []
    with Connection(url, products, reconnect=False) as connection:
        for event in connection.events():
            if isinstance(event, Frame):
                frames[event.product].append(event)
            elif isinstance(event, Marker):
                markers.append(event)
            if min(map(len, frames.values())) >= n_frames:
                return frames, markers
    raise AssertionError("the connection ended early")


def joined(frames: list[Frame]) -> NDArray[np.float32]:
    return np.concatenate([frame.data for frame in frames], axis=1)


@pytest.mark.parametrize("rate_hz", [128.0, 1000.0])
def test_live_frames_equal_those_of_a_run(tmp_path: Path, rate_hz: float) -> None:
    file = write_counting_fif(tmp_path / "counting_raw.fif", rate_hz=rate_hz, duration_s=8.0)
    out = tmp_path / "offline_raw.fif"
    done = run("run", file, "--out", out)
    assert done.returncode == 0, done.stderr
    offline = mne.io.read_raw(out, verbose="error").get_data()

    with running("--replay", file, "--wait", "10") as daemon:
        frames, _ = collect(daemon.url, ["eeg", "meg"], 150)
    for received in frames.values():
        assert [frame.sequence for frame in received] == list(range(len(received)))
        assert received[-1].dropped == 0
    live = joined(frames["meg"])
    np.testing.assert_array_equal(live, offline[:, : live.shape[1]].astype(np.float32))
    steps = np.diff([frame.t0 for frame in frames["meg"]])
    np.testing.assert_allclose(steps, 0.04, atol=1e-6)


def test_what_comes_once_a_hop_equals_that_of_a_run_too(tmp_path: Path) -> None:
    """A simulated subject's EEG, by the shipped models, all three at once."""
    file = tmp_path / "subject_raw.fif"
    simulate(file, duration_s=16.0)
    tables = {}
    for product, ending in (("fmri", ".nii.gz"), ("stimulus", ".tsv")):
        done = run("run", file, "--product", product, "--out", tmp_path / f"{product}{ending}")
        assert done.returncode == 0, done.stderr
        for kind in ("", "_std"):
            tables[product + kind] = np.genfromtxt(tmp_path / f"{product}{kind}.tsv", delimiter="\t", skip_header=1)

    with running("--replay", file, "--wait", "10") as daemon:
        frames, _ = collect(daemon.url, ["meg", "fmri", "stimulus"], 40)
    for product in ("fmri", "stimulus"):
        received, values = frames[product], tables[product][:, 1:]
        live = joined(received).T
        assert np.abs(live).max() > 0
        np.testing.assert_allclose(live, values[: len(live)], rtol=1e-4, atol=1e-6)
        std = np.array([frame.std for frame in received])
        np.testing.assert_allclose(std, tables[f"{product}_std"][: len(std), 1:], rtol=1e-4)
        np.testing.assert_allclose(np.diff([frame.t0 for frame in received]), 0.25, atol=1e-4)

    # Viewers and nilearn read the volumes in place.
    volumes = nibabel.load(tmp_path / "fmri.nii.gz")
    assert volumes.shape[3] == 16
    fetched = load_mni152_gm_mask(resolution=4)
    assert np.allclose(volumes.affine, fetched.affine)
    masker = NiftiLabelsMasker(
        read_bundle(DEFAULTS["fmri"]).directory / "parcels.nii.gz", standardize=None, keep_masked_labels=False
    )
    means = masker.fit_transform(volumes)
    per_second = tables["fmri"][: 4 * len(means), 1:].reshape(len(means), 4, -1).mean(axis=1)
    assert means.shape[1] > 290
    assert np.median([np.abs(per_second - column[:, np.newaxis]).max(axis=0).min() for column in means.T]) < 1e-3
