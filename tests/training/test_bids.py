"""What is written is read back, whole subjects or nothing; a recording that cannot be used says why."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import mne
import numpy as np
import pytest

from cortexcast_training import bids, cohort
from cortexcast_training.bids import (
    BRAIN_NAMES,
    BYTES_PER_SAMPLE,
    EEG_NAMES,
    OTHER_NAMES,
    README,
    write_run,
    write_subject,
)
from cortexcast_training.bids_files import find_recordings
from cortexcast_training.cohort import Cohort, write_cohort
from cortexcast_training.disk_space import SpaceError
from cortexcast_training.head import Head, HeadSettings, draw_head
from cortexcast_training.leadfield import CAP, helmet
from cortexcast_training.recording import RecordingError
from cortexcast_training.recording_file import read_recording
from cortexcast_training.simulated_dataset import TRUTH, DatasetError, SimulatedDataset
from cortexcast_training.simulator import RATE_HZ, Simulation, SimulationSettings, simulate
from cortexcast_training.sources import PatchFields, Sources, SourceSettings, draw_sources, patch_fields

SETTINGS = SimulationSettings(duration_s=12.0)
RUN = "sub-01_ses-meg_task-facerecognition_run-01"


@pytest.fixture(scope="module")
def head() -> Head:
    return draw_head(HeadSettings(), 1)


@pytest.fixture(scope="module")
def sources() -> Sources:
    return draw_sources(SourceSettings())


@pytest.fixture(scope="module")
def simulation(head: Head, sources: Sources) -> Simulation:
    return simulate(head, sources, SETTINGS, 9)


def dataset_in(folder: Path) -> SimulatedDataset:
    return SimulatedDataset(folder, "EEG and MEG", "the tests", README)


@pytest.fixture(scope="module")
def folder(head: Head, sources: Sources, simulation: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bids") / "set"
    write_subject(dataset_in(out), "sub-01", head, sources, SETTINGS, [(9, simulation)])
    return out


@pytest.fixture(scope="module")
def path(folder: Path) -> Path:
    (found,) = find_recordings(folder)
    return found.path


class TestRoundTrip:
    def test_signals_events_and_places_come_back(self, path: Path, head: Head, simulation: Simulation) -> None:
        recording = read_recording(path)
        assert recording.rate_hz == RATE_HZ
        assert (recording.subject, recording.run) == ("sub-01", "run-01")
        eeg, meg, artifacts, true_meg = recording.all_signals()
        assert np.array_equal(eeg, simulation.eeg)
        assert np.array_equal(meg, simulation.meg)
        assert np.array_equal(artifacts, np.concatenate([simulation.eog, simulation.ecg]))
        assert true_meg is not None
        assert np.array_equal(true_meg, simulation.brain_meg)
        part = recording.signals(1000, 1003)
        assert np.array_equal(part.stacked(), recording.all_signals().stacked()[:, 1000:1003])
        expected = np.column_stack([simulation.events.samples, simulation.events.codes])
        assert len(expected) >= 3
        assert np.array_equal(recording.events, expected)
        assert recording.electrodes == BRAIN_NAMES
        np.testing.assert_allclose(np.array(recording.positions), head.electrodes, atol=1e-7)
        np.testing.assert_allclose(recording.dev_head_t, head.dev_head_t, atol=1e-7)
        assert recording.good.all()
        assert recording.good_electrodes.all()
        assert recording.good_sensors.all()

    def test_the_layout_is_that_of_ds000117(self, folder: Path, path: Path) -> None:
        assert path.relative_to(folder) == Path("sub-01", "ses-meg", "meg", f"{RUN}_meg.fif")
        raw = mne.io.read_raw_fif(path, verbose="error")
        assert [name for name in raw.ch_names if name.startswith("EEG")] == list(EEG_NAMES)
        assert raw.ch_names[:306] == helmet()["ch_names"]
        assert raw.ch_names[-1] == "STI101"
        assert sum(point["kind"] == 3 for point in raw.info["dig"]) == 70
        channels = [line.split("\t") for line in path.with_name(f"{RUN}_channels.tsv").read_text().splitlines()]
        by_name = {row[0]: row for row in channels}
        assert [by_name[name][1] for name in ("EEG061", "EEG062", "EEG063", "EEG064")] == [
            "HEOG",
            "VEOG",
            "ECG",
            "MISC",
        ]
        assert by_name["EEG001"][4] == CAP[0]
        assert by_name["EEG074"][4] == CAP[-1]
        assert len(channels) == 1 + 306 + 74 + 1
        for name in ("dataset_description.json", str(TRUTH / "dataset_description.json")):
            assert {"Name", "BIDSVersion", "DatasetType"} <= json.loads((folder / name).read_text()).keys()
        assert (folder / "participants.tsv").read_text() == "participant_id\nsub-01\n"
        assert "SIMULATED" in (folder / "README").read_text()

    def test_the_truth_draws_the_same_again(
        self, folder: Path, head: Head, sources: Sources, simulation: Simulation
    ) -> None:
        truth = json.loads((folder / TRUTH / "sub-01" / f"{RUN}_truth.json").read_text())
        settings = HeadSettings.model_validate_json(json.dumps(truth["head"]))
        assert (settings, truth["head_seed"]) == (head.settings, head.seed)
        again = SimulationSettings.model_validate_json(json.dumps(truth["recording"]))
        places = SourceSettings.model_validate_json(json.dumps(truth["sources"]))
        assert places == sources.settings
        assert np.array_equal(simulate(head, sources, again, truth["recording_seed"]).eeg, simulation.eeg)
        fields = np.load(folder / TRUTH / "sub-01" / "sub-01_patches.npz")
        expected: PatchFields = patch_fields(head, sources)
        assert np.array_equal(fields["eeg"], expected.eeg)
        assert np.array_equal(fields["meg"], expected.meg)

    def test_states_are_written_without_gaps(self, folder: Path, simulation: Simulation) -> None:
        lines = (folder / TRUTH / "sub-01" / f"{RUN}_states.tsv").read_text().splitlines()[1:]
        rows = [(int(sample), int(state)) for _, _, sample, state in (line.split("\t") for line in lines)]
        starts = [sample for sample, _ in rows]
        lengths = np.diff([*starts, len(simulation.states)])
        assert np.array_equal(np.repeat([state for _, state in rows], lengths), simulation.states)

    def test_it_takes_no_more_room_than_announced(self, folder: Path) -> None:
        used = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        announced = Cohort(recording=SETTINGS).n_bytes
        assert 0.8 * announced < used <= announced
        assert announced > SETTINGS.n_samples * BYTES_PER_SAMPLE


class TestWriting:
    def test_a_folder_in_use_is_refused_and_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "mine.txt").write_text("keep")
        with pytest.raises(DatasetError, match="is not empty: choose another folder"):
            dataset_in(tmp_path)
        assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]

    @pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
    def test_a_subject_that_is_interrupted_leaves_no_trace(
        self, tmp_path: Path, head: Head, sources: Sources, simulation: Simulation, error: BaseException
    ) -> None:
        short = cut(simulation, 3000)
        dataset = dataset_in(tmp_path / "set")
        write_subject(dataset, "sub-01", head, sources, SETTINGS, [(9, short)])

        def runs() -> Iterator[tuple[int, Simulation]]:
            yield 9, short
            raise error

        with pytest.raises(type(error) if isinstance(error, Exception) else KeyboardInterrupt):
            write_subject(dataset, "sub-02", head, sources, SETTINGS, runs())
        assert not [file for file in dataset.folder.rglob("*") if "sub-02" in file.name or ".writing" in file.name]
        assert [file.name for file in (dataset.folder / TRUTH).glob("sub-*")] == ["sub-01"]
        assert "sub-02" not in (dataset.folder / "participants.tsv").read_text()

    def test_a_cohort_has_its_subjects_and_runs_each_another(
        self, tmp_path: Path, head: Head, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seeds: list[int] = []

        def drawn(_: HeadSettings, seed: int) -> Head:
            seeds.append(seed)
            return head

        monkeypatch.setattr(cohort, "draw_head", drawn)  # boundary elements take seconds
        steps: list[int] = []
        settings = Cohort(subjects=2, runs=2, recording=SimulationSettings(duration_s=2.0))
        write_cohort(settings, tmp_path / "set", lambda _, done, __: steps.append(done))
        found = find_recordings(tmp_path / "set")
        names = [RUN.replace("sub-01", subject)[:-1] + run for subject in ("sub-01", "sub-02") for run in "12"]
        assert [file.name for file in found] == names
        eeg = [read_recording(file.path, min_duration_s=1.0).all_signals().eeg for file in found]
        assert all(not np.array_equal(a, b) for i, a in enumerate(eeg) for b in eeg[:i])
        assert len(set(seeds)) == 2
        assert steps == sorted(steps)
        assert steps[-1] == 6

    def test_a_disk_that_is_too_small_is_found_out_before_anything_is_written(self, tmp_path: Path) -> None:
        huge = Cohort(subjects=10**9, recording=SETTINGS)
        with pytest.raises(SpaceError, match=r"this takes .* GB and .* has .* GB left: simulate fewer"):
            write_cohort(huge, tmp_path / "set")
        assert not (tmp_path / "set").exists()


def cut(simulation: Simulation, n: int) -> Simulation:
    """The first ``n`` samples."""
    inside = simulation.events.samples < n
    parts = {name: value[..., :n] for name, value in vars(simulation).items() if isinstance(value, np.ndarray)}
    events = replace(
        simulation.events, samples=simulation.events.samples[inside], codes=simulation.events.codes[inside]
    )
    return replace(simulation, **parts, events=events)


Edit = Callable[[Any], Any]


def edited(path: Path, to: Path, edit: Edit) -> Path:
    """A copy of the recording alone, changed by ``edit``."""
    raw = edit(mne.io.read_raw_fif(path, preload=True, verbose="error"))
    raw.save(to, verbose="error")
    return to


def without(*types: str) -> Edit:
    def edit(raw: Any) -> Any:
        kinds = zip(raw.ch_names, raw.get_channel_types(), strict=True)
        return raw.drop_channels([name for name, kind in kinds if kind in types])

    return edit


def no_pose(raw: Any) -> Any:
    with raw.info._unlock():
        raw.info["dev_head_t"] = None
    return raw


class TestOtherFiles:
    def test_the_file_alone_is_enough(self, path: Path, tmp_path: Path) -> None:
        """No sidecar, no truth: as a recording of one's own."""
        own = Path(shutil.copy(path, tmp_path / "own_raw.fif"))
        recording = read_recording(own)
        assert recording.signals(0, 0).true_meg is None
        assert recording.simulated, "its header says so"
        assert (recording.subject, recording.run) == ("own_raw", "run-01")
        assert recording.electrodes == BRAIN_NAMES
        assert len(recording.all_signals().artifacts) == 3

    def test_eyes_and_heart_are_no_electrodes_even_where_the_file_calls_them_so(
        self, path: Path, tmp_path: Path
    ) -> None:
        """As ds000117 does."""
        amplifier = dict.fromkeys(["EEG061", "EEG062", "EEG063", "EEG064"], "eeg")
        as_eeg = edited(
            path, tmp_path / "all_eeg_raw.fif", lambda raw: raw.set_channel_types(amplifier, on_unit_change="ignore")
        )
        recording, original = read_recording(as_eeg), read_recording(path)
        assert recording.electrodes == BRAIN_NAMES
        assert np.array_equal(
            recording.all_signals().stacked(), original.all_signals()._replace(true_meg=None).stacked()
        )

    def test_a_cap_of_more_electrodes_than_ds000117_s_keeps_all_of_them(self, path: Path, tmp_path: Path) -> None:
        def edit(raw: Any) -> Any:
            raw.rename_channels({"STI101": "EEG075"})
            return raw.set_channel_types(
                dict.fromkeys([*OTHER_NAMES.values(), "EEG075"], "eeg"), on_unit_change="ignore"
            )

        cap = edited(path, tmp_path / "cap_raw.fif", edit)
        assert read_recording(cap).electrodes == (*EEG_NAMES, "EEG075")

    def test_types_are_those_of_the_table_and_else_of_the_file(self, path: Path, tmp_path: Path) -> None:
        """Whatever the table calls neither EEG, EOG nor ECG is none of them."""
        types = {"EEG001": "OTHER", "EEG002": "RESP", "EEG003": "n/a", "EEG004": "", "EEG005": "VEOG", "EEG061": "EEG"}
        own = Path(shutil.copy(path, tmp_path / "own_raw.fif"))
        rows = ["name\ttype", *(f"{name}\t{kind}" for name, kind in types.items())]
        (tmp_path / "own_raw_channels.tsv").write_text("\n".join(rows) + "\n")
        recording = read_recording(own)
        assert {*recording.electrodes} == {*BRAIN_NAMES, "EEG061"} - {"EEG001", "EEG002", "EEG005"}
        assert len(recording.signals(0, 0).artifacts) == 3, "EEG005, EEG062 and EEG063"

    def test_an_eye_channel_that_is_bad_is_not_regressed(self, path: Path, tmp_path: Path) -> None:
        own = Path(shutil.copy(path, tmp_path / "own_raw.fif"))
        (tmp_path / "own_raw_channels.tsv").write_text("name\tstatus\nEEG061\tbad\n")
        artifacts, all_of_them = (
            read_recording(own).all_signals().artifacts,
            read_recording(path).all_signals().artifacts,
        )
        assert np.array_equal(artifacts, all_of_them[1:])

    @pytest.mark.parametrize(
        ("suffix", "content", "message"),
        [
            ("channels", "name\tunits\nEEG001\tµV\n".encode("latin-1"), r"own_raw_channels\.tsv .*in UTF-8"),
            ("events", b"onset\ttrigger\n1.0\t5\nn/a\t5\n", r"own_raw_events\.tsv, line 3: the onset is 'n/a'"),
        ],
    )
    def test_a_table_that_cannot_be_read_is_named(
        self, path: Path, tmp_path: Path, suffix: str, content: bytes, message: str
    ) -> None:
        own = edited(path, tmp_path / "own_raw.fif", lambda raw: raw.drop_channels(["STI101"]))
        (tmp_path / f"own_raw_{suffix}.tsv").write_bytes(content)
        with pytest.raises(RecordingError, match=message) as error:
            read_recording(own)
        assert "\n" not in str(error.value)

    def test_where_the_trigger_channel_is_silent_events_are_those_of_the_table(
        self, path: Path, tmp_path: Path
    ) -> None:
        def silent(raw: Any) -> Any:
            raw.apply_function(lambda codes: 0 * codes, picks=["STI101"])
            return raw

        own = edited(path, tmp_path / "own_raw.fif", silent)
        (tmp_path / "own_raw_events.tsv").write_text("onset\tvalue\n2.0\t5\n3.0\tn/a\nn/a\tpause\n4.0\t13\n")
        assert read_recording(own).events.tolist() == [[2200, 5], [4400, 13]]

    def test_what_is_marked_as_bad_is_told(self, path: Path, tmp_path: Path) -> None:
        def edit(raw: Any) -> Any:
            raw.info["bads"] = ["EEG005", "MEG 0113"]
            return raw.set_annotations(
                mne.Annotations([2.0, 6.0], [1.0, 1.0], ["BAD_jump", "face"], orig_time=raw.info["meas_date"])
            )

        marked = edited(path, tmp_path / "sub-07_run-03_meg.fif", edit)
        table = "name\ttype\tstatus\nEEG006\tEEG\tbad\nEEG007\tECG\tgood\n"
        (tmp_path / "sub-07_run-03_channels.tsv").write_text(table)
        recording = read_recording(marked)
        assert (recording.subject, recording.run) == ("sub-07", "run-03")
        assert "EEG007" not in recording.electrodes
        bad = {recording.electrodes[i] for i in np.flatnonzero(~recording.good_electrodes)}
        assert bad == {"EEG005", "EEG006"}
        assert np.flatnonzero(~recording.good_sensors).tolist() == [helmet()["ch_names"].index("MEG 0113")]
        np.testing.assert_allclose(np.flatnonzero(~recording.good)[[0, -1]] / RATE_HZ, [2.0, 3.0], atol=0.002)

    def test_sensors_come_in_the_helmets_order_and_times_from_the_first_sample(
        self, path: Path, tmp_path: Path
    ) -> None:
        def edit(raw: Any) -> Any:
            raw.reorder_channels(raw.ch_names[::-1])
            raw.rename_channels(lambda name: name.replace("MEG ", "MEG"))
            return raw.crop(1.0)

        turned = edited(path, tmp_path / "turned_raw.fif", edit)
        recording, original = read_recording(turned), read_recording(path)
        assert np.array_equal(recording.all_signals().meg, original.all_signals().meg[:, 1100:])
        kept = original.events[original.events[:, 0] >= 1100]
        assert np.array_equal(recording.events, kept - [1100, 0])

    @pytest.mark.parametrize(
        ("edit", "message"),
        [
            (without("eeg"), "has no EEG channels"),
            (without("mag", "grad"), "has no MEG channels"),
            (without("mag"), "102 of its 306 sensors are missing, such as MEG0111"),
            (lambda raw: raw.crop(0, 3.0), "is too short: 3.0 s, at least 10 s are needed"),
            (no_pose, "does not say where the head was in the helmet"),
        ],
    )
    def test_what_is_missing_is_said(self, path: Path, tmp_path: Path, edit: Edit, message: str) -> None:
        with pytest.raises(RecordingError, match=message):
            read_recording(edited(path, tmp_path / "poor_raw.fif", edit))

    @pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.99])
    def test_a_truncated_file_is_refused(self, path: Path, tmp_path: Path, share: float) -> None:
        content = path.read_bytes()
        broken = tmp_path / "broken_raw.fif"
        broken.write_bytes(content[: int(share * len(content))])
        with pytest.raises(RecordingError, match=r"truncated|damaged"):
            read_recording(broken)

    def test_a_truncated_file_is_refused_though_mne_does_not_warn(
        self, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As another thread of the process can make it."""
        monkeypatch.setattr("mne._fiff.tag.warn", lambda *_: None)
        content = path.read_bytes()
        broken = tmp_path / "broken_raw.fif"
        for n_bytes in (len(content) // 2, len(content) - 1):
            broken.write_bytes(content[:n_bytes])
            with pytest.raises(RecordingError, match=r"broken_raw\.fif is truncated"):
                read_recording(broken, min_duration_s=1.0)

    def test_a_split_recording_is_whole_or_refused(self, path: Path, tmp_path: Path) -> None:
        split = tmp_path / "sub-07_meg.fif"
        raw = mne.io.read_raw_fif(path, verbose="error")
        raw.save(split, split_size="12MB", split_naming="bids", verbose="error")
        first, second = sorted(tmp_path.glob("*.fif"))
        recording = read_recording(first)
        assert recording.subject == "sub-07"
        assert np.array_equal(recording.all_signals().eeg, read_recording(path).all_signals().eeg)
        second.write_bytes(second.read_bytes()[:-1])
        with pytest.raises(RecordingError, match=r"split-02_meg\.fif is truncated"):
            read_recording(first)

    def test_what_is_no_recording_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(RecordingError, match="is not there"):
            read_recording(tmp_path / "none_raw.fif")
        (tmp_path / "text.fif").write_text("not a recording, but longer than the two tags that MNE looks at first")
        with pytest.raises(RecordingError, match="damaged"):
            read_recording(tmp_path / "text.fif")
        (tmp_path / "x.edf").write_text("0")
        with pytest.raises(RecordingError, match=r"is no \.fif file"):
            read_recording(tmp_path / "x.edf")
        with pytest.raises(RecordingError, match="holds no recordings"):
            find_recordings(tmp_path)

    def test_a_truth_of_another_length_is_refused(
        self, folder: Path, path: Path, tmp_path: Path, head: Head, simulation: Simulation
    ) -> None:
        truth = tmp_path / TRUTH / "sub-01"
        truth.mkdir(parents=True)
        write_run(tmp_path, RUN, head, simulation)
        np.save(truth / f"{RUN}_brain.npy", simulation.brain_meg[:, :-1])
        with pytest.raises(RecordingError, match="is not the truth of"):
            read_recording(tmp_path / f"{RUN}_meg.fif")


def test_bytes_per_sample_counts_every_channel(path: Path) -> None:
    n_channels = len(mne.io.read_raw_fif(path, verbose="error").ch_names)
    assert 4 * (n_channels + 306) == bids.BYTES_PER_SAMPLE
