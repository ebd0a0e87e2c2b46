"""`cortexcast data prepare`: recordings in the layout of ds000117, whatever is wrong with one of them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import mne
import numpy as np
import pytest
from daemon import CORTEXCAST
from docs.pages import ROOT, shell_lines
from ds000117 import DERIVATIVES, EMPTY_ROOM, NOISE_GRAD, NOISE_MAG, SSS_GAIN, lay_out

from cortexcast_client.command import main
from cortexcast_training.bids import BRAIN_NAMES, write_subject
from cortexcast_training.bids_files import find_recordings, holds_meg, sidecar
from cortexcast_training.empty_room import noise_covariance
from cortexcast_training.head import HeadSettings, draw_head
from cortexcast_training.leadfield import is_magnetometer
from cortexcast_training.prepare import PrepareSettings, prepare
from cortexcast_training.prepared_dataset import PROVENANCE, recorded_subjects
from cortexcast_training.provenance import read_provenance
from cortexcast_training.recipe import DataError, RecordedData
from cortexcast_training.recording import Recording, RecordingError
from cortexcast_training.recording_file import read_recording
from cortexcast_training.simulated_dataset import SimulatedDataset
from cortexcast_training.simulator import SimulationSettings, simulate
from cortexcast_training.sources import SourceSettings, draw_sources
from cortexcast_training.virtual_helmet import virtual_helmet_map
from cortexcast_training.windows import read_all, read_prepared

SETTINGS = SimulationSettings(duration_s=12.0)
STEM = "ses-meg_task-facerecognition"
NAMES = [f"sub-01_{STEM}_run-01", f"sub-01_{STEM}_run-02", f"sub-02_{STEM}_run-01"]


@pytest.fixture(scope="module")
def ds000117(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three recordings of two subjects."""
    folder = tmp_path_factory.mktemp("simulated")
    dataset = SimulatedDataset(folder / "simulated", "EEG and MEG", "the tests", "made up\n")
    head, sources = draw_head(HeadSettings(), 1), draw_sources(SourceSettings())
    for subject, seeds in (("sub-01", (1, 2)), ("sub-02", (3,))):
        runs = [(seed, simulate(head, sources, SETTINGS, seed)) for seed in seeds]
        write_subject(dataset, subject, head, sources, SETTINGS, runs)
    return lay_out(folder / "simulated", folder / "ds000117")


@pytest.fixture
def copy(ds000117: Path, tmp_path: Path) -> Path:
    """One to harm: what is not changed is linked."""
    return Path(shutil.copytree(ds000117, tmp_path / "ds000117", copy_function=os.link))


@pytest.fixture(scope="module")
def prepared(ds000117: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prepared") / "out"
    assert main(["data", "prepare", str(ds000117), "--out", str(out)]) == 0
    return out


def run(dataset: Path, out: Path, *flags: str) -> int:
    return main(["data", "prepare", str(dataset), "--out", str(out), *flags])


def begin(dataset: Path, out: Path, *flags: str) -> subprocess.Popen[bytes]:
    """Without processes of its own: one that is killed leaves none behind."""
    command = [*CORTEXCAST, "data", "prepare", str(dataset), "--out", str(out), "--workers", "1", *flags]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.glob("[!.]*/*.npy"))
    }


class TestLayout:
    def test_every_recording_is_found_with_its_empty_room_and_nothing_else(self, ds000117: Path) -> None:
        raw, sss = find_recordings(ds000117), find_recordings(ds000117, "sss")
        assert [file.name for file in raw] == [file.name for file in sss] == NAMES
        assert {file.empty_room for file in raw} == {ds000117 / EMPTY_ROOM}
        assert all("proc-sss" in file.path.name for file in sss)
        (room,) = {file.empty_room for file in sss}
        assert room is not None
        assert room.relative_to(ds000117).is_relative_to(DERIVATIVES)
        assert [file.name for file in find_recordings(ds000117, subjects=["01"], runs=["run-02"])] == [NAMES[1]]

    def test_what_runs_share_is_found_above_them_also_for_derivatives(self, ds000117: Path) -> None:
        table = ds000117 / "sub-01" / "ses-meg" / "sub-01_ses-meg_task-facerecognition_channels.tsv"
        for processing in ("", "sss"):
            file = find_recordings(ds000117, processing)[1]
            assert sidecar(file.path, "channels", ".tsv") == table
            events = sidecar(file.path, "events", ".tsv")
            assert events is not None
            assert "run-02_events" in events.name

    @pytest.mark.parametrize("links", ["files", "folders"])
    def test_what_lies_elsewhere_and_is_linked_is_the_same(self, ds000117: Path, tmp_path: Path, links: str) -> None:
        """As git-annex keeps each file, or as folders are shared between data sets."""
        linked = tmp_path / "linked"
        if links == "files":
            objects = tmp_path / "objects"
            objects.mkdir()

            def annex(path: str, to: str) -> None:
                kept = objects / str(len(list(objects.iterdir())))
                os.link(path, kept)
                Path(to).symlink_to(kept)

            shutil.copytree(ds000117, linked, copy_function=annex)
        else:
            for path in (*ds000117.glob("sub-*/ses-*"), ds000117 / DERIVATIVES):
                to = linked / path.relative_to(ds000117)
                to.parent.mkdir(parents=True, exist_ok=True)
                to.symlink_to(path)
        assert holds_meg(linked)
        for processing in ("", "sss"):
            for file, original in zip(
                find_recordings(linked, processing), find_recordings(ds000117, processing), strict=True
            ):
                paths, originals = ((each.path, each.empty_room, *each.tables) for each in (file, original))
                assert len(paths) == 4
                assert [path and path.relative_to(linked) for path in paths] == [
                    path and path.relative_to(ds000117) for path in originals
                ]
        recording = read_recording(find_recordings(linked)[0].path)
        assert recording.electrodes == BRAIN_NAMES

    def test_of_what_was_processed_alone_the_empty_room_is_found(self, copy: Path) -> None:
        (copy / EMPTY_ROOM).unlink()
        assert all(file.empty_room is not None for file in find_recordings(copy, "sss"))

    def test_a_damaged_sidecar_is_told_and_keeps_no_other_from_it(
        self, copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (about, *_) = sorted(copy.glob("sub-01/ses-meg/*_meg.json"))
        about.unlink()
        about.write_text('{"AssociatedEmptyRoom": ')
        assert run(copy, tmp_path / "out") == 1
        lines = capsys.readouterr().err.splitlines()
        assert [line.split(": ")[1] for line in lines] == NAMES[:2]
        assert all("_meg.json cannot be read" in line and line.endswith(": correct it") for line in lines)
        assert [path.name for path in (tmp_path / "out").glob("sub-*")] == NAMES[2:]

    def test_of_several_empty_rooms_the_first_that_is_there_is_taken(self, copy: Path) -> None:
        (about,) = copy.glob("sub-02/ses-meg/*_meg.json")
        about.unlink()
        about.write_text(json.dumps({"AssociatedEmptyRoom": ["sub-emptyroom/gone_meg.fif", f"bids::{EMPTY_ROOM}"]}))
        assert find_recordings(copy)[2].empty_room == copy / EMPTY_ROOM
        room = find_recordings(copy, "sss")[2].empty_room
        assert room is not None
        assert "_proc-sss" in room.name

    def test_real_sidecars_load(self, real_data: Path, copy: Path) -> None:
        """The real table of channels and the real triggers of ds000117, for a recording of simulated signals."""
        real = real_data / "bids" / "ds000117" / "sub-01" / "ses-meg"
        table = copy / "sub-01" / "ses-meg" / "sub-01_ses-meg_task-facerecognition_channels.tsv"
        table.unlink()
        shutil.copy(real / table.name, table)
        file = find_recordings(copy)[0]
        raw = mne.io.read_raw_fif(file.path, preload=True, verbose="error")
        raw.drop_channels(["STI101"])
        raw.set_channel_types(dict.fromkeys(["EEG061", "EEG062", "EEG063", "EEG064"], "eeg"), on_unit_change="ignore")
        raw.save(file.path, overwrite=True, verbose="error")
        events = file.path.with_name(file.path.name.replace("_meg.fif", "_events.tsv"))
        events.unlink()
        shutil.copy(real / "meg" / events.name, events)
        recording = read_recording(file.path)
        assert recording.electrodes == BRAIN_NAMES
        assert len(BRAIN_NAMES) == 70
        assert len(recording.signals(0, 0).artifacts) == 3, "HEOG, VEOG and ECG"
        assert recording.good_electrodes.all()
        assert recording.good_sensors.all()
        assert recording.events[0].tolist() == [26628, 13]
        assert set(recording.events[:, 1]) == {5, 6, 7, 13, 14, 15, 17, 18, 19}

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"processing": "tsss"}, r"_proc-tsss_meg\.fif; there are such for --proc sss, no --proc"),
            ({"subjects": ["sub-09"]}, "has no subject 09: there are 01, 02"),
            ({"runs": ["05"]}, "has no run 05: there are 01, 02"),
        ],
    )
    def test_what_is_not_there_is_said(self, ds000117: Path, options: dict[str, object], message: str) -> None:
        with pytest.raises(RecordingError, match=message):
            find_recordings(ds000117, **options)  # type: ignore[arg-type]


class TestPrepared:
    def test_it_is_what_a_recording_alone_gives(self, ds000117: Path, prepared: Path) -> None:
        assert [f"{each.subject}_{each.run}" for each in read_all(prepared)] == NAMES
        recording = read_recording(find_recordings(ds000117)[0].path)
        alone, there = prepare(recording, PrepareSettings()), read_prepared(prepared / NAMES[0])
        assert there.simulated
        assert there.true_meg is None
        for name in ("eeg", "meg", "good", "events"):
            # Products are rounded otherwise on another number of threads.
            one, other = getattr(alone, name), getattr(there, name)
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-6 * float(np.std(one)))
        assert len(there.events) == len(recording.events) > 0
        np.testing.assert_allclose(there.events[:, 0] / there.rate_hz, recording.events[:, 0] / 1100, atol=0.0025)

    def test_each_output_knows_its_files_its_settings_and_the_version(self, ds000117: Path, prepared: Path) -> None:
        known = read_provenance(prepared / NAMES[1] / PROVENANCE)
        assert known is not None
        assert known.settings == PrepareSettings().model_dump(mode="json")
        assert known.cortexcast
        stem = "sub-01/ses-meg/meg/sub-01_ses-meg_task-facerecognition_run-02"
        assert [each.file for each in known.inputs] == [
            f"{stem}_events.tsv", f"{stem}_meg.fif",
            "sub-01/ses-meg/sub-01_ses-meg_task-facerecognition_channels.tsv", EMPTY_ROOM.as_posix(),
        ]  # fmt: skip
        for each in known.inputs:
            assert hashlib.sha256((ds000117 / each.file).read_bytes()).hexdigest() == each.sha256
        about = json.loads((prepared / "dataset_description.json").read_text())
        assert about["DatasetType"] == "derivative"
        assert about["GeneratedBy"][0]["Name"] == "cortexcast data prepare"

    def test_the_truth_of_a_simulation_is_among_its_files(self, ds000117: Path, tmp_path: Path) -> None:
        assert run(ds000117.with_name("simulated"), tmp_path / "out", "--subjects", "sub-02") == 0
        (folder,) = (tmp_path / "out").glob("sub-*")
        known = read_provenance(folder / PROVENANCE)
        assert known is not None
        assert [each.file for each in known.inputs if each.file.endswith("_brain.npy")] == [
            f"derivatives/truth/sub-02/sub-02_{STEM}_run-01_brain.npy"
        ]
        assert read_prepared(folder).true_meg is not None

    def test_noise_is_that_of_the_empty_room_in_the_band(self, ds000117: Path, prepared: Path) -> None:
        covariance = noise_covariance(ds000117 / EMPTY_ROOM, PrepareSettings())
        power = covariance.diagonal()
        # White noise up to 550 Hz, of which some 37 Hz are left: 1 to 40 Hz less what the filters' flanks take.
        for kind, sd in ((is_magnetometer(), NOISE_MAG), (~is_magnetometer(), NOISE_GRAD)):
            assert np.median(power[kind]) == pytest.approx(sd**2 * 38 / 550, rel=0.15)
        recording = read_recording(find_recordings(ds000117)[0].path)
        to_helmet = virtual_helmet_map(recording.dev_head_t, recording.good_sensors)
        expected, noise = to_helmet @ covariance @ to_helmet.T, read_prepared(prepared / NAMES[0]).noise
        unit = np.sqrt(expected.diagonal())
        np.testing.assert_allclose(noise / np.outer(unit, unit), expected / np.outer(unit, unit), atol=1e-6)

    def test_what_is_marked_as_bad_in_the_empty_room_is_left_out(self, ds000117: Path, tmp_path: Path) -> None:
        raw = mne.io.read_raw_fif(ds000117 / EMPTY_ROOM, preload=True, verbose="error")
        raw.apply_function(lambda meg: meg + 1e-10 * (np.arange(len(meg)) // 100 == 50), picks="meg", verbose="error")
        raw.set_annotations(mne.Annotations(5000 / 1100, 100 / 1100, "BAD_door"))
        raw.save(tmp_path / "room_meg.fif", verbose="error")
        covariance = noise_covariance(tmp_path / "room_meg.fif", PrepareSettings())
        undisturbed = noise_covariance(ds000117 / EMPTY_ROOM, PrepareSettings())
        np.testing.assert_allclose(covariance.diagonal(), undisturbed.diagonal(), rtol=0.2)
        raw.set_annotations(mne.Annotations(0.0, 20.0, "BAD_all"))
        raw.save(tmp_path / "bad_meg.fif", verbose="error")
        with pytest.raises(RecordingError, match=r"is too short: of 20\.0 s .*, less than 1\.5 s are left"):
            noise_covariance(tmp_path / "bad_meg.fif", PrepareSettings())

    def test_sss_goes_the_same_way(self, ds000117: Path, prepared: Path, tmp_path: Path) -> None:
        assert run(ds000117, tmp_path / "sss", "--proc", "sss", "--subjects", "sub-02") == 0
        sss, recorded = (read_prepared(folder / NAMES[2]) for folder in (tmp_path / "sss", prepared))
        assert np.array_equal(sss.eeg, recorded.eeg)
        assert np.array_equal(sss.events, recorded.events)
        assert sss.noise is not None
        assert recorded.noise is not None
        for one, other in ((sss.meg, SSS_GAIN * recorded.meg), (sss.noise, SSS_GAIN**2 * recorded.noise)):
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-5 * np.abs(other).max())


class TestAgain:
    @pytest.fixture
    def out(self, prepared: Path, tmp_path: Path) -> Path:
        return Path(shutil.copytree(prepared, tmp_path / "out"))

    def times(self, out: Path) -> Iterator[int]:
        return (path.stat().st_mtime_ns for path in sorted(out.rglob("*.npy")))

    def test_what_is_there_is_kept_and_what_is_missing_is_made(self, ds000117: Path, prepared: Path, out: Path) -> None:
        shutil.rmtree(out / NAMES[1])
        kept = list(self.times(out))
        assert run(ds000117, out) == 0
        assert contents(out) == contents(prepared)
        shutil.rmtree(out / NAMES[1])
        assert list(self.times(out)) == kept

    def test_what_was_made_of_other_files_is_made_anew(self, copy: Path, tmp_path: Path) -> None:
        out = tmp_path / "anew"
        assert run(copy, out, "--subjects", "sub-02") == 0
        before = read_prepared(out / NAMES[2]).eeg.copy()
        table = copy / "sub-02" / "ses-meg" / "sub-02_ses-meg_task-facerecognition_channels.tsv"
        text = table.read_text()
        table.unlink()
        table.write_text("\n".join(x.replace("good", "bad") if x[:6] == "EEG001" else x for x in text.split("\n")))
        assert run(copy, out, "--subjects", "sub-02") == 0
        assert not np.array_equal(read_prepared(out / NAMES[2]).eeg, before)

    def test_other_settings_are_refused(
        self, ds000117: Path, out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        recipe = tmp_path / "recipe.toml"
        recipe.write_text(
            f'[recordings]\nfolder = "{out}"\nvalidation = ["sub-02"]\n[prepare]\nhop = 4\n'
            '[bundle]\nname = "mine"\ndescription = "a test"\n'
        )
        assert run(ds000117, out, "--config", str(recipe)) == 1
        assert "was prepared otherwise (hop was 8)" in capsys.readouterr().err
        data = RecordedData(folder=str(out), validation=("sub-02",))
        with pytest.raises(DataError, match=r"was not prepared as the recipe's \[prepare\] says \(hop was 8\)"):
            recorded_subjects(data, PrepareSettings(hop=4))

    def test_a_folder_of_something_else_is_refused(
        self, ds000117: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "thesis.txt").write_text("precious")
        assert run(ds000117, tmp_path) == 1
        assert "holds something else than EEG and MEG, prepared: give another folder" in capsys.readouterr().err
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]

    def test_what_was_processed_goes_to_a_folder_of_its_own(
        self, ds000117: Path, out: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = list(self.times(out))
        assert run(ds000117, out, "--proc", "sss") == 1
        assert 'was prepared otherwise (processing was "")' in capsys.readouterr().err
        assert list(self.times(out)) == before

    def test_a_data_set_that_was_copied_elsewhere_is_the_same(self, ds000117: Path, out: Path, tmp_path: Path) -> None:
        before = list(self.times(out))
        moved = shutil.copytree(ds000117, tmp_path / "elsewhere" / "ds000117", copy_function=shutil.copyfile)
        assert run(moved, out) == 0
        assert list(self.times(out)) == before

    def test_what_was_made_of_a_file_that_is_now_damaged_is_gone(
        self, copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "out"
        assert run(copy, out, "--subjects", "sub-01") == 0
        first, second = (path.name for path in sorted(out.glob("sub-*")))
        path = find_recordings(copy)[0].path
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content[: len(content) // 2])
        assert run(copy, out, "--subjects", "sub-01") == 1
        assert f"cortexcast: {first}: " in capsys.readouterr().err
        assert [each.name for each in out.glob("sub-*")] == [second]

    def test_what_was_made_of_a_file_that_is_no_longer_there_stays(
        self, copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "out"
        assert run(copy, out, "--subjects", "sub-02") == 0
        before = contents(out)
        (table,) = copy.glob("sub-02/ses-meg/*_channels.tsv")
        table.unlink()
        table.symlink_to("what-git-annex-dropped")
        assert run(copy, out, "--subjects", "sub-02") == 1
        assert "_channels.tsv is not there: fetch it" in capsys.readouterr().err
        assert contents(out) == before

    @pytest.mark.parametrize(
        ("trips_over", "message"),
        [
            (lambda path: [][path.stat().st_size], "IndexError: list index out of range. This is a defect"),
            (os.utime, "_meg.fif has changed meanwhile: prepare again"),
        ],
    )
    def test_whatever_is_wrong_with_one_keeps_no_other_from_it(
        self,
        copy: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        trips_over: Callable[[Path], object],
        message: str,
    ) -> None:
        def read(path: Path) -> Recording:
            if "run-02" in path.name:
                trips_over(path)
            return read_recording(path)

        monkeypatch.setattr("cortexcast_training.prepared_dataset.read_recording", read)
        assert run(copy, tmp_path / "out", "--subjects", "sub-01", "--workers", "1") == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert "run-02: " in line
        assert message in line
        (there,) = (tmp_path / "out").glob("sub-*")
        assert "run-01" in there.name

    def test_what_was_killed_is_completed_by_the_same_command(
        self, ds000117: Path, prepared: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "out"
        command = begin(ds000117, out)
        while not any(out.glob("sub-*")):
            assert command.poll() is None
            time.sleep(0.01)
        command.kill()
        assert command.wait() == -signal.SIGKILL
        assert contents(out).items() < contents(prepared).items()
        assert run(ds000117, out) == 0
        assert contents(out) == contents(prepared)

    def test_two_commands_at_once_prepare_one_folder(self, ds000117: Path, prepared: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        commands = [begin(ds000117, out, "--subjects", "sub-02") for _ in range(2)]
        assert [command.wait() for command in commands] == [0, 0]
        assert contents(out) == {name: digest for name, digest in contents(prepared).items() if name[:6] == "sub-02"}
        assert not [path for path in out.iterdir() if path.name.startswith(".")]

    def test_one_that_is_damaged_keeps_no_other_from_it(
        self, copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = find_recordings(copy)[0].path
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content[: len(content) // 2])
        assert run(copy, tmp_path / "out") == 1
        told = capsys.readouterr()
        (line,) = told.err.splitlines()
        assert line.startswith(f"cortexcast: {NAMES[0]}: ")
        assert "truncated" in line
        assert "2 of 3 recordings" in told.out
        assert [each.name for each in sorted((tmp_path / "out").glob("sub-*"))] == NAMES[1:]

    def test_a_damaged_empty_room_is_told_for_each_that_needs_it(
        self, copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (copy / EMPTY_ROOM).unlink()
        (copy / EMPTY_ROOM).write_bytes(b"not a recording, but longer than the two tags that MNE looks at first")
        assert run(copy, tmp_path / "out") == 1
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 3
        assert all("sub-emptyroom" in line and "damaged" in line for line in lines)

    def test_without_an_empty_room_there_is_no_noise(self, copy: Path, tmp_path: Path) -> None:
        (copy / EMPTY_ROOM).unlink()
        assert run(copy, tmp_path / "out", "--subjects", "sub-02") == 0
        assert read_prepared(tmp_path / "out" / NAMES[2]).noise is None

    def test_a_cluster_that_is_not_there_is_one_line(
        self, ds000117: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("cortexcast_training.workers.CONNECT_S", 0.2)
        assert run(ds000117, tmp_path / "out", "--cluster", "tcp://127.0.0.1:1") == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert "there is no Dask scheduler at tcp://127.0.0.1:1" in line


class TestSplit:
    def test_subjects_are_trained_on_validated_with_or_held_out(self, prepared: Path) -> None:
        data = RecordedData(folder=str(prepared), validation=("sub-02",))
        train, validation, held_out = recorded_subjects(data, PrepareSettings())
        assert [path.name for path in train] == NAMES[:2]
        assert [path.name for path in validation] == NAMES[2:]
        assert held_out == []

    @pytest.mark.parametrize(
        ("validation", "held_out", "message"),
        [
            (("sub-09",), (), "has no sub-09: its subjects are sub-01, sub-02"),
            (("sub-01",), ("sub-02",), "has no subjects beside those to validate and to hold out"),
            (("sub-01",), ("sub-01",), "sub-01: a subject is either validated with or held out"),
        ],
    )
    def test_a_split_that_cannot_be_is_told(
        self, prepared: Path, validation: tuple[str, ...], held_out: tuple[str, ...], message: str
    ) -> None:
        data = RecordedData(folder=str(prepared), validation=validation, held_out=held_out)
        with pytest.raises(DataError, match=message):
            recorded_subjects(data, PrepareSettings())


def test_the_page_s_commands_do_what_it_says(
    ds000117: Path, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distributed import LocalCluster

    monkeypatch.chdir(tmp_path)
    Path("ds000117").symlink_to(ds000117)
    whole, some, on_a_cluster = shell_lines(ROOT / "docs" / "prepare.md", "cortexcast")
    assert main(some) == 0
    assert [path.name for path in sorted(Path("prepared/sss").glob("sub-*"))] == [NAMES[0], NAMES[2]]
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        address = on_a_cluster.index("--cluster") + 1
        assert main([*on_a_cluster[:address], cluster.scheduler_address]) == 0
    assert contents(Path("prepared/ds000117")) == contents(prepared), "as one machine gives it"
    before = sorted(path.stat().st_mtime_ns for path in Path("prepared").rglob("*.npy"))
    assert main(whole) == 0
    assert sorted(path.stat().st_mtime_ns for path in Path("prepared").rglob("*.npy")) == before
