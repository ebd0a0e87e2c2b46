"""`cortexcast data fetch` and `status` against a server on this machine, which does what servers and networks do."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import Process
from disk import full_disk
from s3_server import Bucket, cut_after, failing, serving, with_a_wrong_byte

from cortexcast_client.command import main
from cortexcast_training.fetch.ledger import LEDGER

RUN = "ds000117/sub-01/ses-meg/meg/sub-01_ses-meg_task-facerecognition_run-01_meg.fif"
OTHER_RUN = RUN.replace("run-01", "run-02")
N_BYTES = 3_000_000


def content_of(number: int, n_bytes: int) -> bytes:
    return random.Random(number).randbytes(n_bytes)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """Two subjects of faces, small."""
    objects = {
        "ds000117/participants.tsv": b"participant_id\nsub-01\nsub-02\n",
        "ds000117/empty.txt": b"",
        "ds000117/sub-01/ses-mri/anat/sub-01_ses-mri_T1w.nii.gz": content_of(9, 100),
        RUN: content_of(1, N_BYTES),
        OTHER_RUN: content_of(2, N_BYTES),
        RUN.replace("sub-01", "sub-02"): content_of(3, 1000),
    }
    with serving(Bucket("openneuro.org", objects)) as bucket:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", bucket.url)
        monkeypatch.chdir("/")
        yield bucket


def fetch(folder: Path, *arguments: str) -> int:
    return main(["data", "fetch", "ds000117", "--to", str(folder), *arguments])


def held(folder: Path) -> dict[str, bytes]:
    """What of the data set is in the folder, by its key."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != LEDGER]
    return {f"ds000117/{path.relative_to(folder).as_posix()}": path.read_bytes() for path in paths}


def wanted(bucket: Bucket) -> dict[str, bytes]:
    return {key: content for key, content in bucket.objects.items() if "ses-mri" not in key}


def test_what_is_wanted_is_fetched_as_it_is(bucket: Bucket, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch(tmp_path / "faces") == 0
    assert held(tmp_path / "faces") == wanted(bucket)
    said = capsys.readouterr()
    assert "5 files, 6,001,029 bytes\nCC0." in said.out
    assert "0 files were there, 5 were fetched" in said.out
    assert said.err == ""
    assert main(["data", "status", str(tmp_path / "faces"), "--verify"]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[:3] == ["for all: 2 there", "sub-01: 2 there", "sub-02: 1 there"]


def test_what_is_there_is_not_fetched_again(bucket: Bucket, tmp_path: Path) -> None:
    assert fetch(tmp_path) == 0
    bucket.requests.clear()
    assert fetch(tmp_path) == 0
    assert bucket.requests == []


def test_a_dry_run_writes_nothing_and_names_each_file_with_its_bytes(
    bucket: Bucket, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fetch(tmp_path / "faces", "--dry-run", "--subjects", "sub-02") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[:3]] == [
        ["0", "empty.txt"],
        ["29", "participants.tsv"],
        ["1,000", "sub-02/ses-meg/meg/sub-02_ses-meg_task-facerecognition_run-01_meg.fif"],
    ]
    assert "3 files, 1,029 bytes" in lines[3]
    assert not (tmp_path / "faces").exists()
    assert bucket.requests == []


def test_a_connection_that_is_lost_is_taken_up_where_it_was(bucket: Bucket, tmp_path: Path) -> None:
    bucket.faults[RUN] = [cut_after(1_000_000), cut_after(500_000)]
    assert fetch(tmp_path) == 0
    assert held(tmp_path) == wanted(bucket)
    assert [start for key, start in bucket.requests if key == RUN] == [0, 1_000_000, 1_500_000]


def test_a_busy_server_is_asked_again(bucket: Bucket, tmp_path: Path) -> None:
    bucket.faults[RUN] = [failing(503), failing(503)]
    assert fetch(tmp_path) == 0
    assert held(tmp_path) == wanted(bucket)


def test_a_file_that_is_gone_keeps_no_other_from_it(
    bucket: Bucket, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket.faults[RUN] = [failing(404)]
    assert fetch(tmp_path) == 1
    assert held(tmp_path).keys() == wanted(bucket).keys() - {RUN}
    said = capsys.readouterr()
    assert said.err == f"s3://openneuro.org: {RUN.removeprefix('ds000117/')}: it is not there\n"
    assert "4 were fetched, 1 are missing: fetch again" in said.out
    assert main(["data", "status", str(tmp_path)]) == 1
    assert "sub-01: 1 there, 1 missing" in capsys.readouterr().out
    assert fetch(tmp_path) == 0
    assert held(tmp_path) == wanted(bucket)


def test_a_byte_that_went_wrong_on_the_way_is_found(bucket: Bucket, tmp_path: Path) -> None:
    bucket.faults[RUN] = [with_a_wrong_byte]
    assert fetch(tmp_path) == 0
    assert held(tmp_path) == wanted(bucket)


def test_a_byte_that_goes_wrong_twice_is_told(
    bucket: Bucket, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket.faults[RUN] = [with_a_wrong_byte] * 2
    assert fetch(tmp_path) == 1
    assert "came twice with another content than it should have" in capsys.readouterr().err
    assert RUN not in held(tmp_path)


def test_a_byte_that_went_wrong_on_the_disk_is_found_and_the_file_fetched_again(
    bucket: Bucket, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fetch(tmp_path) == 0
    damaged = tmp_path / RUN.removeprefix("ds000117/")
    content = bytearray(damaged.read_bytes())
    content[12345] ^= 1
    damaged.write_bytes(content)
    assert main(["data", "status", str(tmp_path)]) == 0, "its size is right"
    capsys.readouterr()
    assert main(["data", "status", str(tmp_path), "--verify"]) == 1
    assert capsys.readouterr().err == f"{RUN.removeprefix('ds000117/')}: damaged\n"
    bucket.requests.clear()
    assert fetch(tmp_path) == 0
    assert bucket.requests == [(RUN, 0)]
    assert held(tmp_path) == wanted(bucket)


def test_what_came_by_other_ways_is_not_fetched_again_if_it_is_right(bucket: Bucket, tmp_path: Path) -> None:
    for key, content in (RUN, bucket.objects[RUN]), (OTHER_RUN, bytes(N_BYTES)):
        path = tmp_path / key.removeprefix("ds000117/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert fetch(tmp_path) == 0
    assert held(tmp_path) == wanted(bucket)
    assert (OTHER_RUN, 0) in bucket.requests
    assert RUN not in dict(bucket.requests)
    assert main(["data", "status", str(tmp_path), "--verify"]) == 0


def test_a_newer_version_replaces_an_older_one(bucket: Bucket, tmp_path: Path) -> None:
    assert fetch(tmp_path) == 0
    bucket.objects[RUN] = content_of(7, N_BYTES)
    assert fetch(tmp_path) == 0
    assert held(tmp_path) == wanted(bucket)


def test_ctrl_c_loses_nothing_that_came(bucket: Bucket, tmp_path: Path) -> None:
    def slowly(answer: object) -> None:
        time.sleep(60)

    bucket.faults[OTHER_RUN] = [cut_after(1_000_000), slowly]
    process = Process("data", "fetch", "ds000117", "--to", tmp_path)
    try:
        while not list(tmp_path.rglob(f".{OTHER_RUN.rpartition('/')[2]}.*.partial")) or len(bucket.requests) < 5:
            assert process.popen.poll() is None, process.errors
            time.sleep(0.05)
        process.interrupt()
        assert process.finish() == 130
    finally:
        process.kill()
    bucket.faults.clear()
    bucket.requests.clear()
    assert fetch(tmp_path) == 0
    assert held(tmp_path) == wanted(bucket)
    assert (OTHER_RUN, 1_000_000) in bucket.requests


def test_a_full_disk_is_told_and_what_came_stays(
    bucket: Bucket, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with full_disk(at_bytes=2_000_000):
        assert fetch(tmp_path) == 1
    said = capsys.readouterr()
    assert "File too large" in said.err
    assert f"{tmp_path}: 0 files were there, 3 were fetched, 2 are missing: fetch again" in said.out
    bucket.requests.clear()
    assert fetch(tmp_path) == 0
    assert held(tmp_path) == wanted(bucket)
    assert dict(bucket.requests)[RUN] > 1_000_000


def test_a_disk_that_is_too_small_is_told_before_anything_comes(
    bucket: Bucket, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
    assert fetch(tmp_path / "faces") == 1
    assert "this takes 0.0 GB and" in capsys.readouterr().err
    assert bucket.requests == []
    assert not (tmp_path / "faces").exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--subjects", "sub-01", "sub-03"], "there is no subject sub-03: there are sub-01, sub-02"),
        (["--runs", "03"], "there is no run 03: there are 01, 02"),
    ],
)
def test_what_the_data_set_has_not_is_one_clear_error(
    bucket: Bucket, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    assert fetch(tmp_path, *arguments) == 1
    assert capsys.readouterr().err == f"cortexcast: {complaint}\n"


def test_without_a_network_it_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert fetch(tmp_path) == 1
    assert "is there a network?" in capsys.readouterr().err


def test_a_folder_that_nothing_was_fetched_into_has_no_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "status", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (f"cortexcast: {tmp_path} has no .fetched.jsonl: nothing was fetched into it\n")
