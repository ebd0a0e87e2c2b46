"""The graph of a hop, streamed by the server's engine, computes what the net computes of a whole recording."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import torch
from factories import chunks, eeg_like
from nets import ABOUT
from nibabel.affines import apply_affine

from cortexcast_models.bundle import Bundle
from cortexcast_server.engine import FMRI, Engine
from cortexcast_server.inference import load
from cortexcast_server.signal import Channel, Signal
from cortexcast_training.eegfmri.band_power import WINDOW
from cortexcast_training.eegfmri.bands import BANDS
from cortexcast_training.eegfmri.centring import SETTLE_HOPS, centred
from cortexcast_training.eegfmri.fmri_bundle import FmriHop, export_fmri
from cortexcast_training.eegfmri.moments import Units
from cortexcast_training.eegfmri.parcels import parcels
from cortexcast_training.eegfmri.runs import electrode_power
from cortexcast_training.eegfmri.simulator import ELECTRODES
from cortexcast_training.eegfmri.vae import BOLD, EEG, N_HOPS, Decoder, Vae, VaeShape

N_FEATURES, N_PARCELS = len(ELECTRODES) * len(BANDS), len(parcels().names)
UNITS = Units(
    np.full(N_FEATURES, 0.5, np.float32),
    np.full(N_PARCELS, 1.5, np.float32),
    np.zeros(0, np.float32),
    np.zeros(0, np.float32),
)
RATE_HZ = 250.0


@pytest.fixture(scope="module")
def vae() -> Vae:
    torch.manual_seed(0)
    return Vae(VaeShape(N_FEATURES, N_PARCELS)).eval()


@pytest.fixture(scope="module")
def bundle(vae: Vae, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("model") / "bundle"
    return export_fmri(folder, FmriHop(vae, UNITS), ABOUT, {})[0]


def offline(vae: Vae, eeg: np.ndarray) -> np.ndarray:
    """Of each hop, ``(n_hops, n_parcels)``."""
    power = electrode_power(eeg, RATE_HZ, ELECTRODES, [None] * len(ELECTRODES), "a test")
    course = centred(power).reshape(len(power), -1) / UNITS.power
    padded = torch.from_numpy(np.concatenate([np.zeros((N_HOPS, N_FEATURES), np.float32), course]))
    windows = torch.stack([padded[hop + 1 : hop + 1 + N_HOPS] for hop in range(len(course))])
    with torch.no_grad():
        decoded = vae.decode(vae.posterior({EEG: windows}).mean)[BOLD].mean
    return decoded.numpy() * UNITS.bold


def streamed(bundle: Bundle, eeg: np.ndarray, gap_at: int | None = None) -> list[np.ndarray]:
    times = np.arange(eeg.shape[1]) / RATE_HZ
    if gap_at is not None:
        times[gap_at:] += 5.0
    signal = Signal("cap", RATE_HZ, tuple(Channel(name, unit="volts") for name in ELECTRODES))
    engine = Engine(signal, bundle.manifest, load(bundle))
    frames = [frame for chunk in chunks(eeg, times, [333] * 20) for frame in engine.push(chunk)]
    return [frame.data[:, 0] for frame in frames if frame.product == FMRI]


def test_streamed_equals_offline(bundle: Bundle, vae: Vae) -> None:
    eeg = eeg_like(len(ELECTRODES), round(30 * RATE_HZ))
    expected, given = offline(vae, eeg), np.array(streamed(bundle, eeg))
    assert len(given) >= 115
    scale = expected[20:].std()
    np.testing.assert_allclose(given, expected[: len(given)], atol=2e-3 * scale)


def test_after_a_gap_the_wearer_is_still_known_and_the_past_is_not(bundle: Bundle, vae: Vae) -> None:
    eeg = eeg_like(len(ELECTRODES), round(40 * RATE_HZ))
    cut = round(20 * RATE_HZ)
    whole, broken = streamed(bundle, eeg), streamed(bundle, eeg, gap_at=cut)
    before = 76
    np.testing.assert_array_equal(broken[:before], whole[:before])
    alone = streamed(bundle, eeg[:, cut:])
    first = len(broken) - len(alone)
    # Nothing but what is known of the wearer: with no history at all, the same at first, another then.
    np.testing.assert_allclose(broken[first : first + SETTLE_HOPS], alone[:SETTLE_HOPS], rtol=1e-4, atol=1e-6)
    assert not np.allclose(broken[first + 10], alone[10], rtol=1e-2)


def test_parcels_lie_where_the_manifest_says(bundle: Bundle) -> None:
    manifest = bundle.manifest
    assert manifest.parcels_file is not None
    assert manifest.estimate_hz == 4.0
    image = nibabel.load(bundle.directory / manifest.parcels_file)
    labels = np.asarray(image.dataobj)
    assert set(np.unique(labels)) <= set(range(N_PARCELS + 1))
    far = []
    for number, channel in enumerate(manifest.channels, 1):
        voxels = np.argwhere(labels == number)
        if len(voxels):
            centre = apply_affine(image.affine, voxels).mean(axis=0)
            far.append(np.linalg.norm(centre - 1000 * np.array(channel.location)))
    assert len(far) > 0.95 * N_PARCELS
    assert np.median(far) < 8.0


def test_the_standard_deviation_is_that_of_noise_and_doubt(vae: Vae) -> None:
    with torch.no_grad():
        given = FmriHop(vae, UNITS)(
            torch.zeros(len(ELECTRODES), WINDOW), torch.zeros(N_FEATURES), torch.zeros(1),
            torch.zeros(N_HOPS, N_FEATURES), torch.zeros(1),
        )  # fmt: skip
    decoder = vae.decoders[BOLD]
    assert isinstance(decoder, Decoder)
    noise = decoder.log_variance.exp().sqrt().detach().numpy() * UNITS.bold
    assert (given[1].numpy() >= noise).all()
