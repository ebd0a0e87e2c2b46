"""docs/data.md: its commands are run as they stand, on the real listings, from a server on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from docs.pages import ROOT, prose, shell_lines
from s3_server import Bucket, serving

from cortexcast_client.command import main
from cortexcast_training.fetch.catalogue import DATASETS

PAGE = ROOT / "docs" / "data.md"
COMMANDS = shell_lines(PAGE, "cortexcast")


@pytest.fixture
def servers(real_data: Path) -> Iterator[dict[str, Bucket]]:
    """Each data set's bucket with all its files, each as long as the listing says."""
    with ExitStack() as stack:
        buckets = {}
        for name, dataset in DATASETS.items():
            folder = next(folder for folder, local in dataset.folders.items() if not local)
            rows = [line.split("\t") for line in (real_data / "bids" / name / "tree.tsv").read_text().splitlines()]
            objects = {f"{folder}{path}": bytes(int(size)) for size, path in rows}
            buckets[name] = stack.enter_context(serving(Bucket(dataset.bucket, objects)))
        yield buckets


def test_its_commands_do_what_it_says(
    servers: dict[str, Bucket], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    said = []
    for arguments in COMMANDS:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", servers["natview" if "natview" in arguments else "ds000117"].url)
        assert main(arguments) == 0
        said.append(capsys.readouterr().out)
    told, fetched, _, status = said
    files = [line.split() for line in told.splitlines() if "," in line.split()[0] or line.split()[0].isdigit()]
    on_disk = {path.relative_to("ds000117").as_posix(): path.stat().st_size for path in Path("ds000117").rglob("[!.]*")}
    assert {path: int(size.replace(",", "")) for size, path in files} == {
        path: size for path, size in on_disk.items() if (Path("ds000117") / path).is_file()
    }
    total = sum(int(size.replace(",", "")) for size, _ in files)
    assert f"{len(files)} files, {total:,} bytes" in fetched
    assert f"ds000117: ds000117, {len(files)} files, {total:,} bytes" in status


def test_it_names_every_data_set_and_bucket() -> None:
    text = prose(PAGE)
    for name, dataset in DATASETS.items():
        assert f"`{name}`" in text
        assert dataset.bucket in text
