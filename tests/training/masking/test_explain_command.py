"""`cortexcast explain`: from runs and a bundle to tables, maps and a page; taken up where it was left; what is wrong is
one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
from browser import open_page
from docs.pages import ROOT, code_blocks
from film_runs import film_run
from nilearn.image import load_img

from cortexcast_client.command import main
from cortexcast_models.bundle import read_bundle
from cortexcast_training.eegfmri.moments import Moments
from cortexcast_training.eegfmri.run_file import write_run
from cortexcast_training.eegfmri.runs import HOP_S, Run
from cortexcast_training.eegfmri.trained_vae import Product
from cortexcast_training.eegfmri.vae import Vae, VaeShape
from cortexcast_training.masking.explain import Explainer, ExplainError, ExplainSettings, of_parcels
from cortexcast_training.masking.net import MaskedNet, of_bundle
from cortexcast_training.masking.parts import of_model
from cortexcast_training.masking.results import Results
from cortexcast_training.toml_file import read_toml

RUNS = [
    replace(run, events=events, displacement=(np.arange(len(run.hops)) == moved).astype(np.float32))
    for run, events, moved in zip(
        (film_run(f"sub-{number:02d}", 1, number, seconds=150.0) for number in (1, 2)),
        (((100, "S  1"), (101, "S  2")), ((101, "S  1"),)),
        (21, -1),
        strict=True,
    )
]
"""Of which the first one's head moves once; both saw their markers."""
CONFIG = "turns = 60\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("explained")
    for run in RUNS:
        write_run(folder / "runs", run)
    (folder / "config.toml").write_text(CONFIG)
    return folder


def explain(folder: Path, *arguments: str, out: str = "out", runs: str = "runs") -> int:
    given = [str(folder / out), "--runs", str(folder / runs), "--config", str(folder / "config.toml")]
    return main(["explain", *given, *(arguments or ("--model", "fmri-vae"))])


@pytest.fixture(scope="module")
def explained(folder: Path) -> Path:
    assert explain(folder) == 0
    return folder / "out"


def test_tables_load_in_pandas_and_say_what_their_columns_mean(explained: Path) -> None:
    timestamps, regions = (
        pd.read_csv(explained / f"{name}.tsv", sep="\t") for name in ("task-film01_timestamps", "regions")
    )
    assert len(timestamps) == len(RUNS[0].power)
    assert np.diff(timestamps["film_s"]).round(6).tolist() == [0.25] * (len(timestamps) - 1)
    assert len(regions) == 300
    assert regions["network"].notna().all()
    for name, table in (("task-film01_timestamps", timestamps), ("regions", regions)):
        assert set(json.loads((explained / f"{name}.json").read_text())) == set(table.columns)
        assert table["p_fmri"].between(0, 1).all()
    changes = pd.read_csv(explained / "task-film01_model-fmri_desc-timestamps_changes.tsv.gz", sep="\t")
    assert list(changes) == ["film_s", "parcel", "change", "runs"]
    assert set(changes["parcel"]) <= set(regions["parcel"])
    assert (changes["change"] > 0).all()
    assert set(changes["runs"]) <= {1, 2}
    of_regions = pd.read_csv(explained / "task-film01_model-fmri_desc-regions_changes.tsv.gz", sep="\t")
    assert list(of_regions) == ["region", "film_s", "change", "runs"]
    assert set(of_regions["region"]) <= set(regions["region"])
    for run in RUNS:
        of_run = pd.read_csv(explained / run.subject / f"{run.subject}_task-film01_regions.tsv", sep="\t")
        assert list(of_run) == ["region", "evidence_fmri"]
        assert len(of_run) == len(regions)


def test_what_is_known_of_a_moment_stands_beside_it(explained: Path) -> None:
    moments = pd.read_csv(explained / "task-film01_timestamps.tsv", sep="\t")
    marked = moments[moments["event"].notna()]
    assert marked["event"].tolist() == ["S 1", "S 1|S 2"]
    began = RUNS[0].hops[0]
    np.testing.assert_allclose(marked["film_s"], (np.array([100, 101]) - began) * HOP_S)
    moved = moments[moments["moved"] > 0]
    volume = RUNS[0].hops[21] - began, RUNS[0].hops[22] - began
    np.testing.assert_allclose(moved["film_s"], np.arange(*volume) * HOP_S)
    assert set(moved["moved"]) == {0.5}
    assert set(moments["label"].dropna()) <= set(RUNS[0].stimulus.labels if RUNS[0].stimulus else ())


def test_maps_load_in_nilearn_and_hold_what_tables_hold(explained: Path) -> None:
    regions = pd.read_csv(explained / "regions.tsv", sep="\t")
    evidence = load_img(str(explained / "maps" / "space-MNI152_model-fmri_stat-evidence_statmap.nii.gz"))
    values = np.unique(np.asarray(evidence.dataobj))
    np.testing.assert_allclose(values[values != 0], np.sort(regions["evidence_fmri"]), rtol=2e-3, atol=1e-3)
    numbers = np.asarray(nibabel.load(explained / "maps" / "space-MNI152_desc-regions_dseg.nii.gz").dataobj)
    assert sorted(np.unique(numbers[numbers > 0]) - 1) == sorted(regions["region"])
    found = np.asarray(nibabel.load(explained / "maps" / "space-MNI152_model-fmri_stat-found_statmap.nii.gz").dataobj)
    assert set(np.unique(found)) <= {0.0, 1.0}


def test_the_page_needs_nothing_else_and_the_summary_is_printed_again(
    explained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (explained / "report.html").read_text(encoding="utf-8")
    results = Results.model_validate_json((explained / "results.json").read_bytes())
    assert (results.data, results.resolution) == ("simulated", "parcel")
    config = explained.with_name("config.toml")
    assert results.command.endswith(f"--resolution parcel --model fmri-vae --config {config}")
    capsys.readouterr()
    assert main(["explain", str(explained), "--summary"]) == 0
    said = capsys.readouterr().out
    assert "2 runs of 2 subjects, SIMULATED" in said
    assert said.splitlines()[0] in page
    for each in results.checked:
        assert f"{each.found} of {each.units} " in said


def test_the_page_opens_in_a_browser_without_a_network(explained: Path) -> None:
    with open_page(offline=True) as page:
        errors: list[str] = []
        asked: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: asked.append(request.url))
        page.goto((explained / "report.html").as_uri())
        first = (explained / "summary.txt").read_text(encoding="utf-8").splitlines()[0]
        assert page.locator("pre").first.inner_text().startswith(first)
        pictures = page.locator("img")
        assert pictures.count() >= 3
        assert all(picture.evaluate("picture => picture.naturalWidth") > 0 for picture in pictures.all())
        assert "SIMULATED" in page.title()
        assert "cortexcast explain" in page.locator("pre").last.inner_text()
    assert [url for url in asked if not url.startswith(("data:", "file:"))] == []
    assert errors == []


def test_the_documentations_settings_are_the_defaults_and_its_python_runs(
    explained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = ROOT / "docs" / "masking.md"
    (settings,), (reader,) = code_blocks(page, "toml"), code_blocks(page, "python")
    (tmp_path / "config.toml").write_text(settings)
    assert read_toml(tmp_path / "config.toml", ExplainSettings, {}) == ExplainSettings()
    shutil.copytree(explained, tmp_path / "report", ignore=shutil.ignore_patterns("work"))
    monkeypatch.chdir(tmp_path)
    exec(compile(reader, str(page), "exec"), {})
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["parcel", "network", "evidence_fmri", "p_fmri"]
    assert len(rows) == 3


def test_a_report_that_was_killed_half_way_ends_as_one_that_was_not(folder: Path, explained: Path) -> None:
    shutil.copytree(explained, folder / "killed")
    kept, *lost = sorted((folder / "killed" / "work").glob("*/"))
    for number, piece in enumerate(lost):
        if number % 3 == 0:
            shutil.rmtree(piece)
        elif number % 3 == 1:
            for path in piece.glob("*.npy"):
                path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    for name in ("results.json", "regions.tsv"):
        (folder / "killed" / name).unlink()
    before = kept.stat().st_mtime_ns
    assert explain(folder, out="killed") == 0
    assert kept.stat().st_mtime_ns == before
    for path in explained.rglob("*"):
        # A page says when it was made, and results which folder was named.
        if path.is_file() and "work" not in path.parts and path.suffix != ".html" and path.name != "results.json":
            assert (folder / "killed" / path.relative_to(explained)).read_bytes() == path.read_bytes(), path.name


def without_stimulus(run: Run) -> Run:
    return replace(run, stimulus=None)


def of_one_subject(run: Run) -> Run:
    return replace(run, subject="sub-01", take=run.subject)


def too_short(run: Run) -> Run:
    return replace(run, bold=run.bold[:, :40], hops=run.hops[:40], visible=None, displacement=None)


def of_other_tr(run: Run) -> Run:
    second = slice(None, None, 2 if run.subject == "sub-02" else 1)
    return replace(run, bold=run.bold[:, second], hops=run.hops[second], visible=None, displacement=None, stimulus=None)


def of_other_parcels(run: Run) -> Run:
    unseen = slice(0, 150) if run.subject == "sub-02" else slice(150, None)
    bold = run.bold.copy()
    bold[unseen] = np.nan
    return replace(run, bold=bold)


@pytest.mark.parametrize(
    ("changed", "models", "message"),
    [
        (without_stimulus, ["stimulus-vae"], "nothing is known of what was seen"),
        (lambda run: run, ["stimulus-vae"], "has 4 dimensions of what was seen, the model 16"),
        (of_one_subject, ["fmri-vae"], "give runs of two subjects or more"),
        (too_short, ["fmri-vae"], "ways: chance needs 20, so give longer runs, or more turns"),
        (of_other_tr, ["fmri-vae"], "runs of film01 have different TRs"),
        (of_other_parcels, ["fmri-vae"], "no part of the brain was scanned in all runs"),
        (lambda run: run, ["fmri-vae", "fmri-vae"], "are both of fmri: give one of fMRI and one of the stimulus"),
        (lambda run: run, ["meg-transformer"], "has no masking.onnx: what can be masked is a model of fMRI"),
    ],
)
def test_what_does_not_go_together_is_one_line(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changed: Callable[[Run], Run],
    models: list[str],
    message: str,
) -> None:
    for run in RUNS:
        write_run(tmp_path / "runs", changed(run))
    (tmp_path / "config.toml").write_text(CONFIG)
    assert explain(tmp_path, *(part for model in models for part in ("--model", model))) == 1
    said = capsys.readouterr().err
    assert message in said
    assert said.strip().count("\n") == 0


def test_models_of_other_parcels_do_not_go_together(tmp_path: Path) -> None:
    units = Moments([replace(RUNS[0], bold=RUNS[0].bold[:-1])]).units
    vae = Vae(VaeShape(len(units.power), len(units.bold), len(units.embedding), n_filters=2, width=4, latent=4))
    nets: dict[Product, MaskedNet] = {"fmri": of_bundle(read_bundle("fmri-vae")), "stimulus": of_model(vae, units)}
    with pytest.raises(ExplainError, match=r"the models have different parcels \(fmri 300, stimulus 299\)"):
        Explainer([of_parcels(run) for run in RUNS], nets, ExplainSettings(), tmp_path)


def test_a_folder_of_other_runs_is_refused(folder: Path, explained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(folder / "others", RUNS[0])
    write_run(folder / "others", film_run("sub-03", 1, 3, seconds=150.0))
    assert explain(folder, runs="others") == 1
    assert "is of other runs, models or settings" in capsys.readouterr().err
    assert main(["explain", str(folder / "nothing"), "--summary"]) == 1
    assert "holds no results: explain something into it first" in capsys.readouterr().err
    for instead in ("--benchmark", "--timing"):
        assert main(["explain", str(folder / "nothing"), instead, "--resolution", "voxel"]) == 1
        assert "only recorded runs have voxels to choose: leave --resolution out" in capsys.readouterr().err
