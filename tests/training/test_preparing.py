"""The folder that is prepared into, what its files were made of, and files that are there as a whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cortexcast_models.manifest import Strict
from cortexcast_training.preparing import FolderError, claim, dataset_name, reason
from cortexcast_training.provenance import InputError, is_of, look, provenance
from cortexcast_training.simulated_dataset import write_json
from cortexcast_training.whole_files import replacing, replacing_folder
from cortexcast_training.windows import WindowError

SAID = {"dataset": "one", "hop": 8, "filters": {"highpass_hz": 1.0}}
DAY_S = 86_400


def claimed(out: Path, **changes: object) -> None:
    claim(out, "prepare.json", SAID | changes, "EEG, prepared")  # type: ignore[arg-type]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class TestClaim:
    def test_a_folder_is_made_and_taken_again_with_what_is_in_it(self, tmp_path: Path) -> None:
        out = tmp_path / "a" / "b"
        claimed(out)
        (out / "sub-01").mkdir()
        about = (out / "dataset_description.json").read_bytes()
        claimed(out)
        assert names(out) == ["dataset_description.json", "prepare.json", "sub-01"]
        assert (out / "dataset_description.json").read_bytes() == about

    @pytest.mark.parametrize("there", ["thesis.txt", "dataset_description.json"])
    def test_a_folder_of_something_else_is_refused_and_left_alone(self, tmp_path: Path, there: str) -> None:
        (tmp_path / there).write_text("precious")
        with pytest.raises(FolderError, match="holds something else than EEG, prepared: give another folder"):
            claimed(tmp_path)
        assert names(tmp_path) == [there]
        assert (tmp_path / there).read_text() == "precious"

    def test_a_file_is_no_folder(self, tmp_path: Path) -> None:
        (tmp_path / "out").write_text("precious")
        with pytest.raises(FolderError, match="is no folder"):
            claimed(tmp_path / "out")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"hop": 4}, r"\(hop was 8\)"),
            ({"dataset": "two"}, r'\(dataset was "one"\)'),
            ({"filters": {"highpass_hz": 0.5}}, r"\(filters.highpass_hz was 1.0\)"),
        ],
    )
    def test_what_was_said_otherwise_is_told_and_stays(
        self, tmp_path: Path, change: dict[str, object], message: str
    ) -> None:
        claimed(tmp_path)
        with pytest.raises(FolderError, match=f"was prepared otherwise {message}: give another folder"):
            claimed(tmp_path, **change)
        assert json.loads((tmp_path / "prepare.json").read_text()) == SAID

    @pytest.mark.parametrize("n_written", [0, 1])
    def test_one_that_was_killed_while_it_claimed_does_not_keep_the_next_from_it(
        self, tmp_path: Path, n_written: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        written: list[Path] = []

        def killed(path: Path, fields: dict[str, object]) -> None:
            if len(written) == n_written:
                (tmp_path / ".new-left").mkdir()
                raise KeyboardInterrupt
            write_json(path, fields)
            written.append(path)

        with monkeypatch.context() as patch:
            patch.setattr("cortexcast_training.preparing.write_json", killed)
            with pytest.raises(KeyboardInterrupt):
                claimed(tmp_path)
        claimed(tmp_path)
        assert names(tmp_path) == [".new-left", "dataset_description.json", "prepare.json"]

    def test_what_killed_commands_left_is_removed_but_not_what_is_still_written(self, tmp_path: Path) -> None:
        claimed(tmp_path)
        for name, age_s in ((".new-old", 2 * DAY_S), ("sub-01/.new-old", 2 * DAY_S), (".new-young", 60)):
            (tmp_path / name / "recording").mkdir(parents=True)
            then = (tmp_path / name).stat().st_mtime - age_s
            os.utime(tmp_path / name, (then, then))
        claimed(tmp_path)
        assert [path.name for path in tmp_path.rglob(".new-*")] == [".new-young"]


def test_a_data_set_is_known_wherever_it_lies(tmp_path: Path) -> None:
    here, there = tmp_path / "here" / "ds", tmp_path / "there" / "ds"
    here.mkdir(parents=True)
    assert dataset_name(here) == "ds"
    (here / "dataset_description.json").write_text('{"Name": "Faces"}')
    shutil.copytree(here, there)
    assert dataset_name(here) == dataset_name(there) == "ds: Faces"
    (there / "dataset_description.json").write_text('{"Name": "Houses"}')
    assert dataset_name(here) != dataset_name(there)


def test_what_is_no_refusal_of_ours_is_told_as_a_defect() -> None:
    assert reason(WindowError("the disk is full")) == "the disk is full"
    assert reason(OSError(28, "No space left on device")) == "[Errno 28] No space left on device"
    assert reason(IndexError("3")) == "IndexError: 3. This is a defect of cortexcast: please report it"


class Settings(Strict):
    hop: int = 8


class TestProvenance:
    @pytest.fixture
    def dataset(self, tmp_path: Path) -> Path:
        folder = tmp_path / "dataset"
        (folder / "sub-01").mkdir(parents=True)
        (folder / "sub-01" / "a.fif").write_text("signals")
        (folder / "b.tsv").write_text("channels")
        return folder

    def made(self, dataset: Path) -> Path:
        path = dataset.parent / "provenance.json"
        path.write_text(provenance(look(self.files(dataset), [dataset]), Settings()).text())
        return path

    def files(self, dataset: Path) -> list[Path]:
        return [dataset / "sub-01" / "a.fif", dataset / "b.tsv"]

    def is_there(self, dataset: Path, known: Path) -> bool:
        return is_of(known, look(self.files(dataset), [dataset]))

    def test_neither_another_time_nor_another_place_is_a_change(self, dataset: Path) -> None:
        known = self.made(dataset)
        assert self.is_there(dataset, known)
        os.utime(dataset / "b.tsv")
        assert self.is_there(dataset, known)
        assert self.is_there(dataset.rename(dataset.with_name("moved")), known)

    @pytest.mark.parametrize("content", ["CHANNELS", "more channels"])
    def test_another_content_is(self, dataset: Path, content: str) -> None:
        known = self.made(dataset)
        (dataset / "b.tsv").write_text(content)
        assert not self.is_there(dataset, known)

    def test_another_file_is(self, dataset: Path) -> None:
        known = self.made(dataset)
        (dataset / "c.tsv").write_text("events")
        assert not is_of(known, look([*self.files(dataset), dataset / "c.tsv"], [dataset]))
        assert not is_of(known, look(self.files(dataset)[:1], [dataset]))
        assert not is_of(dataset / "none.json", look(self.files(dataset), [dataset]))

    @pytest.mark.parametrize("lose", [Path.unlink, lambda path: (path.unlink(), path.symlink_to("nowhere"))])
    def test_a_file_that_is_not_there_is_told(self, dataset: Path, lose: Callable[[Path], object]) -> None:
        lose(dataset / "b.tsv")
        with pytest.raises(InputError, match=r"b\.tsv is not there: fetch it"):
            look(self.files(dataset), [dataset])

    def test_a_file_that_changes_while_it_is_used_is_told(self, dataset: Path) -> None:
        sources = look(self.files(dataset), [dataset])
        (dataset / "b.tsv").write_text("others")
        with pytest.raises(InputError, match=r"b\.tsv has changed meanwhile: prepare again"):
            provenance(sources, Settings())


class TestWholeFiles:
    def test_nothing_takes_the_place_of_what_is_there_when_something_is_raised(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_text("old")

        def write_half() -> None:
            with replacing(path) as fresh:
                fresh.write_text("half")
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            write_half()
        assert path.read_text() == "old"
        assert names(tmp_path) == ["file"]

    def test_many_write_one_file_at_once(self, tmp_path: Path) -> None:
        path = tmp_path / "file"

        def write(number: int) -> None:
            with replacing(path) as fresh, fresh.open("w") as file:
                for _ in range(50):
                    file.write(str(number))
                    file.flush()

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(write, [number % 10 for number in range(64)]))
        assert path.read_text() in {50 * str(number) for number in range(10)}
        assert names(tmp_path) == ["file"]

    def test_many_write_one_folder_at_once(self, tmp_path: Path) -> None:
        def write(number: int) -> None:
            with replacing_folder(tmp_path / "folder") as fresh:
                for name in "ab":
                    (fresh / name).write_text(str(number))

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(write, range(200)))
        assert (tmp_path / "folder" / "a").read_text() == (tmp_path / "folder" / "b").read_text()
        assert names(tmp_path) == ["folder"]
