"""Training sees what the server sees: the same EEG, and MEG that goes with it sample by sample."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from factories import chunks, manifest_fields
from hypothesis import given, settings
from hypothesis import strategies as st

from cortexcast_models.bundle import parse_manifest
from cortexcast_server.engine import EEG, Engine
from cortexcast_server.signal import Channel, Signal
from cortexcast_training.leadfield import CAP, electrode_positions, helmet
from cortexcast_training.manifest_fields import montage
from cortexcast_training.prepare import PrepareSettings, prepare
from cortexcast_training.recording import Recording, RecordingError, Signals

RATE_HZ = 1100.0
SETTINGS = PrepareSettings(settle_s=1.0)
HOP_S = SETTINGS.hop / SETTINGS.preprocessing.resample.rate_hz
PLACES = tuple(tuple(electrode_positions()[name].tolist()) for name in CAP)


def make_recording(seconds: float = 6.0, seed: int = 0, **changes: Any) -> Recording:
    """Noise on an offset."""
    rng, n = np.random.default_rng(seed), round(seconds * RATE_HZ)
    signals = Signals(
        eeg=(1e-5 * rng.standard_normal((70, n)) + 1e-3 * rng.standard_normal((70, 1))).astype(np.float32),
        meg=(1e-12 * rng.standard_normal((306, n))).astype(np.float32),
        artifacts=(1e-4 * rng.standard_normal((3, n))).astype(np.float32),
    )._replace(**{name: changes.pop(name) for name in Signals._fields if name in changes})
    fields: dict[str, Any] = {
        "name": "a recording",
        "subject": "sub-01",
        "run": "run-01",
        "simulated": False,
        "rate_hz": RATE_HZ,
        "n_samples": n,
        "signals": signals.part,
        "electrodes": CAP,
        "positions": PLACES,
        "good_electrodes": np.ones(70, bool),
        "good_sensors": np.ones(306, bool),
        "dev_head_t": helmet()["dev_head_t"]["trans"],
        "events": np.zeros((0, 2), np.int64),
        "good": np.ones(n, bool),
    }
    return Recording(**{**fields, **changes})


def with_signals(recording: Recording, **changes: Any) -> Recording:
    """The recording, some of its signals replaced."""
    signals = recording.all_signals()._replace(**changes)
    return replace(recording, signals=signals.part, n_samples=signals.eeg.shape[1])


def engine_of(recording: Recording) -> Engine:
    """The server's engine as it stands before a model that was trained on such recordings."""
    electrodes = montage()
    fields = manifest_fields(
        hop=SETTINGS.hop,
        montage=electrodes,
        preprocessing=SETTINGS.preprocessing.model_dump(mode="json"),
        inputs=[{"name": "eeg", "role": "eeg", "shape": [70, 8], "axes": ["channel", "time"]}],
    )
    manifest = parse_manifest(json.dumps(fields).encode(), source="the test")
    channels = zip(recording.electrodes, recording.positions, strict=True)
    signal = Signal("headset", RATE_HZ, tuple(Channel(name, unit="V", position=place) for name, place in channels))
    return Engine(signal, manifest, lambda _: {"meg": np.zeros((3, SETTINGS.hop), np.float32)})


@given(st.lists(st.integers(1, 2000), max_size=6), st.sampled_from([CAP, CAP[:40], ("Fp1", "X1", *CAP[10:30])]))
@settings(max_examples=4)
def test_the_eeg_is_what_the_server_gives_the_model(sizes: list[int], worn: tuple[str, ...]) -> None:
    places = electrode_positions()
    recording = make_recording(
        2.0,
        electrodes=worn,
        positions=tuple(tuple(places[name].tolist()) if name in places else None for name in worn),
        good_electrodes=np.ones(len(worn), bool),
    )
    eeg = recording.all_signals().eeg[: len(worn)]
    recording = with_signals(recording, eeg=eeg)
    times = 100.0 + np.arange(recording.n_samples) / RATE_HZ
    engine = engine_of(recording)
    frames = [frame for chunk in chunks(eeg, times, sizes, 100.0) for frame in engine.push(chunk)]
    served = np.concatenate([frame.data for frame in frames if frame.product == EEG], axis=1).T
    prepared = prepare(recording, SETTINGS).eeg
    assert served.shape == prepared.shape
    np.testing.assert_allclose(prepared, served, rtol=0, atol=3e-7 * np.abs(served).max())
    assert np.abs(prepared.mean(axis=1)).max() < 1e-6 * np.abs(prepared).max()


def test_eeg_and_meg_stay_simultaneous() -> None:
    """One waveform in both modalities comes out as one waveform, to the sample."""
    rng = np.random.default_rng(0)
    waveform = np.cumsum(rng.standard_normal(6600)).astype(np.float32)
    eeg_map, meg_map = (rng.standard_normal((n, 1)).astype(np.float32) for n in (70, 306))
    recording = make_recording(
        eeg=1e-6 * eeg_map * waveform, meg=1e-13 * meg_map * waveform, artifacts=np.zeros((0, 6600), np.float32)
    )
    prepared = prepare(recording, SETTINGS)
    stacked = np.concatenate([prepared.eeg / prepared.eeg.std(), prepared.meg / prepared.meg.std()], axis=1)
    stacked = stacked[np.repeat(prepared.good, SETTINGS.hop)]
    values = np.linalg.svd(stacked, compute_uv=False)
    assert values[1] < 1e-5 * values[0], "all channels follow one time course"


def blinking(artifacts_show_it: bool) -> Recording:
    recording = make_recording(20.0, meg=np.zeros((306, 22_000), np.float32))
    blink = np.zeros(22_000, np.float32)
    blink[3000::2500] = 1.0
    blink = np.convolve(blink, np.hanning(300)).astype(np.float32)[:22_000]
    rng = np.random.default_rng(1)
    eeg, meg = recording.all_signals().eeg, 1e-14 * rng.standard_normal((306, 22_000)).astype(np.float32)
    eeg[:3] += 1e-4 * blink
    meg[:100] += 1e-12 * blink
    eog = recording.all_signals().artifacts[:2] * 0.01
    return with_signals(recording, eeg=eeg, meg=meg, artifacts=eog + 1e-4 * blink if artifacts_show_it else eog)


def test_eyes_are_taken_out_of_the_meg_and_never_out_of_the_eeg() -> None:
    seen, unseen = (prepare(blinking(shown), SETTINGS) for shown in (True, False))
    assert seen.meg.std() < 0.3 * unseen.meg.std()
    assert np.array_equal(seen.eeg, unseen.eeg)
    kept = prepare(blinking(True), SETTINGS.model_copy(update={"regress_artifacts": False}))
    assert kept.meg.std() == pytest.approx(unseen.meg.std(), rel=0.02)


def test_the_truth_goes_the_same_way_and_keeps_what_the_eyes_took() -> None:
    recording = make_recording(4.0)
    prepared = prepare(with_signals(recording, true_meg=recording.all_signals().meg), SETTINGS)
    plain = prepare(recording, SETTINGS.model_copy(update={"regress_artifacts": False}))
    assert prepared.true_meg is not None
    np.testing.assert_allclose(prepared.true_meg, plain.meg, rtol=0, atol=1e-6 * plain.meg.std())
    assert prepare(recording, SETTINGS).true_meg is None


@given(st.integers(1300, 4000), st.integers(1, 900), st.sampled_from(["marked", "eeg", "meg", "artifacts"]))
@settings(max_examples=6)
def test_what_is_bad_is_marked_and_nothing_from_it_is_left(begin: int, length: int, how: str) -> None:
    """A hop is good only if none of its samples, and nothing that the filters mix into them, is bad."""
    recording, end = make_recording(4.0), min(begin + length, 4400)
    good = np.ones(4400, bool)
    if how == "marked":
        good[begin:end] = False
        recording = replace(recording, good=good)
    else:
        getattr(recording.all_signals(), how)[1, begin:end] = np.nan
    prepared = prepare(recording, SETTINGS)
    assert np.isfinite(prepared.eeg).all()
    assert np.isfinite(prepared.meg).all()
    per_hop = HOP_S * RATE_HZ
    first, last = int(begin / per_hop), int((end - 1) / per_hop)
    settled = round(SETTINGS.settle_s / HOP_S)
    assert prepared.good[settled : max(settled, first - 1)].all()
    assert not prepared.good[first : last + 1 + settled].any()
    assert prepared.good[last + 3 + settled :].all()


def test_what_the_filters_ring_after_a_bad_part_is_not_good() -> None:
    """An electrode is touched, and marked exactly: 5 mV for 0.2 s."""
    begin, end = round(3.0 * RATE_HZ), round(3.2 * RATE_HZ)
    good = np.ones(round(8.0 * RATE_HZ), bool)
    good[begin:end] = False
    touched = make_recording(8.0, good=good)
    touched.all_signals().eeg[3, begin:end] += 5e-3
    undisturbed, prepared = prepare(make_recording(8.0), PrepareSettings()), prepare(touched, PrepareSettings())
    rings = np.abs(prepared.eeg - undisturbed.eeg).max(axis=1) / undisturbed.eeg.std()
    assert rings[round(3.8 * prepared.rate_hz)] > 100, "0.6 s after it"
    assert rings[np.repeat(prepared.good, prepared.hop)].max() < 0.5
    assert prepared.good[-1]


def test_a_channel_that_is_marked_as_bad_harms_nothing() -> None:
    bad = make_recording(good_electrodes=np.arange(70) != 4, good_sensors=np.arange(306) != 7)
    eeg, meg, *_ = bad.all_signals()
    eeg[4], meg[7] = np.nan, 1e30
    prepared = prepare(bad, SETTINGS)
    settled = round(SETTINGS.settle_s / HOP_S)
    assert prepared.good[settled:].all()
    assert not prepared.good[:settled].any()
    assert np.isfinite(prepared.eeg).all()
    assert np.abs(prepared.meg).max() < 1e-10


@pytest.mark.parametrize(
    ("recording", "message"),
    [
        (make_recording(0.01), "a recording is too short"),
        (make_recording(0.9), "a recording: no good data are left: it is too short"),
        (make_recording(3.0, good=np.zeros(3300, bool)), "no good data are left: .* marked as bad"),
        (make_recording(3.0, good=np.arange(3300) % 1000 > 0), "nowhere for longer than the filters need .*, 1 s"),
        (make_recording(3.0, good_electrodes=np.arange(70) < 7), "a recording: 7 good channels are left"),
        (
            make_recording(3.0, electrodes=tuple(f"EEG{i:03d}" for i in range(70)), positions=(None,) * 70),
            "a recording: 0 of 70 EEG channels can be placed",
        ),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(recording: Recording, message: str) -> None:
    with pytest.raises(RecordingError, match=message) as caught:
        prepare(recording, SETTINGS)
    assert "\n" not in str(caught.value)
