"""A recording is brain, artefacts and noise; each has the statistics that its settings state."""

from __future__ import annotations

from dataclasses import fields as fields_of

import mne
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal

from cortexcast_models.simulation.activity import gates
from cortexcast_training.artefacts import NAMES, Artefacts, ArtefactSettings, draw_artefacts
from cortexcast_training.experiment import CODES, Events, ExperimentSettings, draw_events, evoked_activity
from cortexcast_training.head import Head, template_head
from cortexcast_training.leadfield import CAP, external_fields, helmet, is_magnetometer
from cortexcast_training.sensor_noise import (
    BAND_HZ,
    NoiseSettings,
    draw_eeg_noise,
    draw_meg_noise,
    eeg_noise_density,
    meg_noise_density,
)
from cortexcast_training.simulator import RATE_HZ, Simulation, SimulationSettings, draw_activity, simulate
from cortexcast_training.sources import PatchFields, Sources, SourceSettings, draw_sources, patch_fields

Floats = NDArray[np.float64]

SHORT = SimulationSettings(duration_s=10.0)
QUIET = NoiseSettings(eeg_v=0.0, magnetometer_t=0.0, gradiometer_t_per_m=0.0, environment_t=0.0)
IS_MAG = is_magnetometer()


@pytest.fixture(scope="module")
def head() -> Head:
    return template_head(2)


@pytest.fixture(scope="module")
def sources() -> Sources:
    return draw_sources(SourceSettings())


@pytest.fixture(scope="module")
def fields(head: Head, sources: Sources) -> PatchFields:
    return patch_fields(head, sources)


@pytest.fixture(scope="module")
def simulation(head: Head, sources: Sources) -> Simulation:
    return simulate(head, sources, SHORT, 1)


@pytest.fixture(scope="module")
def artefacts(head: Head) -> Artefacts:
    return draw_artefacts(ArtefactSettings(), head, 132_000, RATE_HZ, 4)


def rms(data: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(data.astype(np.float64) ** 2)))


def differing(a: Simulation, b: Simulation) -> set[str]:
    names = [field.name for field in fields_of(Simulation) if field.name != "events"]
    return {name for name in names if not np.array_equal(getattr(a, name), getattr(b, name))}


class TestRecording:
    def test_shapes(self, simulation: Simulation) -> None:
        n = SHORT.n_samples
        assert n == 11_000
        shapes = {"eeg": 70, "meg": 306, "eog": 2, "ecg": 1, "brain_eeg": 70, "brain_meg": 306}
        for name, channels in shapes.items():
            data = getattr(simulation, name)
            assert data.shape == (channels, n), name
            assert data.dtype == np.float32, name
            assert np.isfinite(data).all(), name
        assert simulation.states.shape == simulation.stim.shape == (n,)

    def test_without_noise_it_is_brain_and_artefacts(self, head: Head, sources: Sources) -> None:
        quiet = simulate(head, sources, SHORT.model_copy(update={"noise": QUIET}), 1)
        for whole, brain, artefacts in (
            (quiet.eeg, quiet.brain_eeg, quiet.artefact_eeg),
            (quiet.meg, quiet.brain_meg, quiet.artefact_meg),
        ):
            np.testing.assert_allclose(whole, brain + artefacts, rtol=0, atol=1e-6 * np.abs(whole).max())

    def test_the_rest_is_the_sensors_noise(self, simulation: Simulation) -> None:
        noise = draw_eeg_noise(SHORT.noise, SHORT.n_samples, RATE_HZ, 1)
        rest = simulation.eeg - simulation.brain_eeg - simulation.artefact_eeg
        np.testing.assert_allclose(rest, noise, rtol=0, atol=1e-6 * np.abs(simulation.eeg).max())
        noise = draw_meg_noise(SHORT.noise, SHORT.n_samples, RATE_HZ, 1)
        rest = simulation.meg - simulation.brain_meg - simulation.artefact_meg
        for sensors in (IS_MAG, ~IS_MAG):
            scale = np.abs(simulation.meg[sensors]).max()
            np.testing.assert_allclose(rest[sensors], noise[sensors], rtol=0, atol=1e-6 * scale)

    def test_the_truth_is_the_patches_seen_by_the_sensors(
        self, simulation: Simulation, sources: Sources, fields: PatchFields
    ) -> None:
        activity = draw_activity(sources, simulation.states, simulation.events, SHORT, 1).astype(np.float64)
        for truth, seen in ((simulation.brain_eeg, fields.eeg), (simulation.brain_meg, fields.meg)):
            np.testing.assert_allclose(truth, seen @ activity, rtol=0, atol=1e-5 * np.abs(truth).max())

    def test_the_eeg_is_average_referenced(self, simulation: Simulation) -> None:
        for data in (simulation.eeg, simulation.brain_eeg, simulation.artefact_eeg):
            assert np.abs(data.mean(axis=0)).max() < 1e-5 * np.abs(data).max()

    def test_the_seed_decides_everything(self, simulation: Simulation, head: Head, sources: Sources) -> None:
        assert not differing(simulation, simulate(head, sources, SHORT, 1))
        assert {"eeg", "meg", "eog", "ecg", "states"} <= differing(simulation, simulate(head, sources, SHORT, 2))

    @pytest.mark.parametrize(
        ("change", "changed"),
        [
            ({"noise": NoiseSettings(eeg_v=1e-6)}, {"eeg"}),
            ({"noise": NoiseSettings(environment_t=0.0)}, {"meg"}),
            ({"artefacts": ArtefactSettings(mains_v=0.0)}, {"eeg", "artefact_eeg"}),
            ({"artefacts": ArtefactSettings(heart_t=0.0)}, {"meg", "artefact_meg"}),
            ({"artefacts": ArtefactSettings(blink_hz=0.0)}, {"eeg", "meg", "artefact_eeg", "artefact_meg", "eog"}),
            ({"experiment": ExperimentSettings(trial_sd=0.0)}, {"eeg", "meg", "brain_eeg", "brain_meg"}),
        ],
    )
    def test_an_ingredient_changes_what_it_is_in_and_no_more(
        self, simulation: Simulation, head: Head, sources: Sources, change: dict[str, object], changed: set[str]
    ) -> None:
        other = simulate(head, sources, SHORT.model_copy(update=change), 1)
        assert differing(simulation, other) == changed


class TestBrain:
    def test_each_states_covariance_is_that_of_its_patches(self, sources: Sources, fields: PatchFields) -> None:
        """Over two minutes in all, at two states, against the closed form."""
        n, transition_s = 132_000, sources.settings.transition_s
        states = np.repeat(np.tile([3, 9], 60), 1100).astype(np.int16)
        none = Events(np.zeros(0, np.int64), np.zeros(0, np.int64))
        activity = draw_activity(sources, states, none, SHORT, 5)
        gate = gates(states, sources.settings.states, transition_s, RATE_HZ)
        always = slice(sources.family("background").patches.start, sources.family("evoked").patches.start)
        for state in (3, 9):
            during = np.flatnonzero(gate[state] > 0.999)
            assert len(during) > 0.4 * n
            patches = np.r_[np.arange(276)[sources.of_state(state)], np.arange(276)[always]]
            silent = np.setdiff1d(np.arange(always.start), patches)
            assert np.abs(activity[np.ix_(silent, during)]).max() < 0.2
            for seen in (fields.eeg, fields.meg[IS_MAG]):
                data = seen.astype(np.float32) @ activity[:, during]
                found = data.astype(np.float64) @ data.T / len(during)
                expected = seen[:, patches] @ seen[:, patches].T
                assert np.trace(found) == pytest.approx(np.trace(expected), rel=0.07)
                assert np.linalg.norm(found - expected) < 0.15 * np.linalg.norm(expected)

    def test_amplitudes_are_those_of_the_settings(self, simulation: Simulation) -> None:
        assert rms(simulation.brain_eeg) == pytest.approx(10e-6, rel=0.3)
        assert 1e-13 < rms(simulation.brain_meg[IS_MAG]) < 1e-12

    def test_alpha_is_at_the_back(self, head: Head, sources: Sources) -> None:
        long = simulate(head, sources, SimulationSettings(duration_s=60.0), 3)
        hz, power = signal.welch(long.brain_eeg, RATE_HZ, nperseg=2200)
        alpha = power[:, (hz >= 9) & (hz <= 11)].mean(axis=1) / power[:, (hz >= 5) & (hz <= 7)].mean(axis=1)
        back = [CAP.index(name) for name in ("O1", "Oz", "O2", "POz")]
        front = [CAP.index(name) for name in ("FC1", "FCz", "FC2", "F1")]
        assert np.median(alpha[back]) > 1.5 * np.median(alpha[front])

    def test_a_linear_map_sees_a_third_and_who_knows_the_state_two_thirds(
        self, sources: Sources, fields: PatchFields
    ) -> None:
        """Of the variance of the noise-free MEG, by Wiener filters from the true covariances."""
        always = slice(64, sources.family("evoked").patches.start)
        noise = eeg_noise_density(NoiseSettings()) * BAND_HZ

        def explained(columns: list[tuple[slice, float]]) -> tuple[float, float]:
            eeg, meg = (
                np.hstack([np.sqrt(share) * seen[:, patches] for patches, share in columns])
                for seen in (fields.eeg, fields.meg[IS_MAG])
            )
            cross = meg @ eeg.T
            weights = cross @ np.linalg.pinv(eeg @ eeg.T + noise, rcond=1e-9, hermitian=True)
            return float((weights * cross).sum()), float((meg**2).sum())

        linear = explained([(slice(0, 64), 1 / 16), (always, 1.0)])
        known = np.array([explained([(sources.of_state(state), 1.0), (always, 1.0)]) for state in range(16)]).sum(
            axis=0
        )
        assert 0.30 < linear[0] / linear[1] < 0.40
        assert 0.60 < known[0] / known[1] < 0.72


class TestNoise:
    def test_eeg_noise_has_the_covariance_that_is_stated(self) -> None:
        settings = NoiseSettings()
        density = eeg_noise_density(settings)
        assert np.sqrt(np.trace(density) * BAND_HZ / 70) == pytest.approx(settings.eeg_v, rel=0.03)
        noise = draw_eeg_noise(settings, 110_000, RATE_HZ, 0).astype(np.float64)
        found = noise @ noise.T / noise.shape[1] / (RATE_HZ / 2)
        np.testing.assert_allclose(found, density, rtol=0, atol=0.02 * density.max())

    def test_meg_noise_has_the_cross_spectrum_that_is_stated(self) -> None:
        settings = NoiseSettings()
        pieces = draw_meg_noise(settings, 165_000, RATE_HZ, 0).reshape(306, -1, 1100)
        taper = signal.windows.hann(1100)
        for hz in (5.0, 40.0):
            wave = taper * np.exp(-2j * np.pi * hz * np.arange(1100) / RATE_HZ)
            bins = pieces @ wave.astype(np.complex64)
            found = 2 * (bins @ bins.conj().T).real / bins.shape[1] / (RATE_HZ * (taper**2).sum())
            expected = meg_noise_density(settings, np.array([hz]))[0]
            for sensors in (IS_MAG, ~IS_MAG):
                block = np.ix_(sensors, sensors)
                assert np.trace(found[block]) == pytest.approx(np.trace(expected[block]), rel=0.15)
            mags = np.ix_(IS_MAG, IS_MAG)  # in the gradiometers, white noise hides what they share
            assert np.linalg.norm(found[mags] - expected[mags]) < 0.4 * np.linalg.norm(expected[mags])

    def test_the_environment_is_correlated_and_the_sensors_own_noise_is_not(self) -> None:
        alone = NoiseSettings(environment_t=0.0)
        own = draw_meg_noise(alone, 22_000, RATE_HZ, 0)
        assert own[IS_MAG].std() == pytest.approx(alone.magnetometer_t * np.sqrt(RATE_HZ / 2), rel=0.01)
        assert own[~IS_MAG].std() == pytest.approx(alone.gradiometer_t_per_m * np.sqrt(RATE_HZ / 2), rel=0.01)
        both = draw_meg_noise(NoiseSettings(), 22_000, RATE_HZ, 0)[IS_MAG].astype(np.float64)
        values = np.linalg.eigvalsh(both @ both.T)[::-1]
        assert values[:15].sum() > 0.9 * values.sum()

    def test_a_distant_source_is_the_same_everywhere(self) -> None:
        """The first three external fields are uniform: gradiometers see nothing, all coils one vector."""
        external = external_fields()
        normals = np.array([channel["loc"][9:12] for channel in helmet()["chs"]])[IS_MAG]
        assert np.abs(external[~IS_MAG, :3]).max() < 1e-9
        fitted = normals @ np.linalg.lstsq(normals, external[IS_MAG, :3], rcond=None)[0]
        np.testing.assert_allclose(fitted, external[IS_MAG, :3], atol=1e-3)
        np.testing.assert_allclose(np.sqrt((external[IS_MAG] ** 2).mean(axis=0)), 1.0)


class TestArtefacts:
    def test_a_blink_is_frontal_and_as_high_as_set(self, artefacts: Artefacts) -> None:
        blink = artefacts.eeg[:, NAMES.index("blink")]
        front = [CAP.index(name) for name in ("Fp1", "Fp2")]
        assert set(np.argsort(blink)[-5:]) >= set(front)
        assert blink[front].mean() - blink[CAP.index("Oz")] == pytest.approx(150e-6, rel=0.1)
        field = np.abs(artefacts.meg[:, NAMES.index("blink")])
        places = np.array([channel["loc"][:3] for channel in helmet()["chs"]])
        strongest = places[IS_MAG][np.argsort(field[IS_MAG])[-10:]]
        assert (strongest[:, 1] > 0.03).all(), "at the front of the helmet"
        assert 5e-13 < field[IS_MAG].max() < 5e-12

    def test_as_many_blinks_and_beats_as_set(self, artefacts: Artefacts) -> None:
        blink, heart = artefacts.waveforms[:2]
        n_blinks = len(signal.find_peaks(blink, height=0.4, distance=200)[0])
        n_beats = len(signal.find_peaks(heart, height=0.7, distance=200)[0])
        assert n_blinks == pytest.approx(0.25 * 120, rel=0.35)
        assert n_beats == pytest.approx(1.1 * 120, rel=0.03)

    def test_the_mains_are_a_line_at_their_frequency(self, artefacts: Artefacts) -> None:
        data = artefacts.eeg[:, 2:] @ artefacts.waveforms[2:]
        hz, power = signal.welch(data, RATE_HZ, nperseg=11_000)
        assert hz[power.mean(axis=0).argmax()] == pytest.approx(50.0, abs=0.2)
        assert rms(data) == pytest.approx(2e-6, rel=0.3)

    def test_eyes_and_heart_show_on_their_own_channels(self, simulation: Simulation) -> None:
        waveforms = draw_artefacts(SHORT.artefacts, template_head(2), SHORT.n_samples, RATE_HZ, 1).waveforms
        assert np.corrcoef(simulation.ecg[0], waveforms[1])[0, 1] > 0.95
        assert np.corrcoef(simulation.eog[1], waveforms[0])[0, 1] > 0.95


class TestExperiment:
    def test_pictures_come_as_often_as_set_and_fit_into_the_recording(self) -> None:
        events = draw_events(ExperimentSettings(), 660_000, RATE_HZ, 0)
        gaps = np.diff(events.samples) / RATE_HZ
        assert gaps.mean() == pytest.approx(3.0, rel=0.01)
        assert (np.abs(gaps - 3.0) <= 0.21).all()
        assert set(events.codes) == {code for codes in CODES.values() for code in codes}
        assert events.samples[0] > 1000
        assert events.samples[-1] < 660_000 - 0.3 * RATE_HZ

    def test_the_trigger_channel_gives_the_events_back(self) -> None:
        events = draw_events(ExperimentSettings(), 66_000, RATE_HZ, 0)
        info = mne.create_info(["STI101"], RATE_HZ, "stim")
        raw = mne.io.RawArray(events.stim(66_000, RATE_HZ)[None], info, verbose="error")
        found = mne.find_events(raw, verbose="error")
        assert np.array_equal(found[:, [0, 2]], np.column_stack([events.samples, events.codes]))

    def test_faces_evoke_a_larger_m170_than_scrambled_faces(self) -> None:
        settings = ExperimentSettings()
        events = draw_events(settings, 660_000, RATE_HZ, 0)
        activity = evoked_activity(settings, events, 660_000, RATE_HZ, 0)
        is_face = np.isin(events.codes, CODES["famous"] + CODES["unfamiliar"])
        window = np.arange(round(0.3 * RATE_HZ))
        trials = activity[:, events.samples[:, None] + window]
        face, scrambled = trials[:, is_face].mean(axis=1), trials[:, ~is_face].mean(axis=1)
        for row, (peak_s, ratio) in enumerate([(0.1, 1.0), (0.1, 1.0), (0.17, 0.5), (0.17, 0.5)]):
            assert face[row].argmax() / RATE_HZ == pytest.approx(peak_s, abs=0.005)
            assert face[row].max() == pytest.approx(1.0, abs=0.12)
            assert scrambled[row].max() == pytest.approx(ratio, abs=0.12)

    def test_without_a_moment_there_is_no_picture(self) -> None:
        assert len(draw_events(ExperimentSettings(), 800, RATE_HZ, 0).samples) == 0
