"""docs/walkthrough.md: its commands, as they stand, on a small simulated copy of ds000117 behind a local server."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import run
from docs.pages import ROOT, shell_lines
from ds000117 import lay_out
from nets import SMALL_NET
from s3_server import Bucket, serving

from cortexcast_client.command import main
from cortexcast_models.bundle import read_bundle
from cortexcast_training import calibrate_meg
from cortexcast_training.bids import write_subject
from cortexcast_training.experiment import ExperimentSettings
from cortexcast_training.head import HeadSettings, draw_head
from cortexcast_training.head_modes import draw_shown
from cortexcast_training.results import read_results
from cortexcast_training.simulated_dataset import SimulatedDataset
from cortexcast_training.simulator import SimulationSettings, simulate
from cortexcast_training.sources import SourceSettings, draw_sources

PAGE = ROOT / "docs" / "walkthrough.md"
RECIPE = Path("training", "recipes", "ds000117.toml")
N_RUNS = {"sub-01": 1, "sub-02": 1, "sub-13": 2, "sub-15": 1}
"""Subjects of the copy, among them one of each part of the recipe's split."""
FEW = "n_windows = 320\nbatch = 16\nwarmup_steps = 2\nvalidate_every = 10\nthreads = 1\nvalidation_windows = 32"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Bucket]:
    """OpenNeuro's, as far as this goes."""
    # A picture each second: so short a recording must hold some of each kind.
    settings = SimulationSettings(duration_s=24.0, experiment=ExperimentSettings(interval_s=1.0))
    made = tmp_path / "made"
    dataset = SimulatedDataset(made / "simulated", "EEG and MEG", "the tests", "made up\n")
    sources = draw_sources(SourceSettings())
    known, own = (draw_head(HeadSettings(), seed) for seed in (1, 2))  # each takes seconds
    for number, (subject, n_runs) in enumerate(N_RUNS.items()):
        head, seeds = own if subject == "sub-13" else known, range(10 * number, 10 * number + n_runs)
        runs = ((seed, simulate(head, sources, settings, seed)) for seed in seeds)
        write_subject(dataset, subject, head, sources, settings, runs)
    folder = lay_out(made / "simulated", made / "ds000117")
    objects = {
        f"ds000117/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    shutil.rmtree(made)
    with serving(Bucket("openneuro.org", objects)) as bucket:
        yield bucket


@pytest.mark.timeout(600)
def test_seven_commands_lead_from_the_public_data_set_to_a_served_model(
    server: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
    # Of 24, each of which takes seconds.
    monkeypatch.setattr(calibrate_meg, "draw_shown", lambda _, say: draw_shown(4, say))
    recipe = (ROOT / RECIPE).read_text()
    for whole, part in (('"sub-15", "sub-16"', '"sub-15"'), ('"sub-13", "sub-14"', '"sub-13"')):
        assert whole in recipe
        recipe = recipe.replace(whole, part)
    RECIPE.parent.mkdir(parents=True)
    RECIPE.write_text(recipe.replace("validation_windows = 2048", FEW) + SMALL_NET)

    *commands, demo = shell_lines(PAGE, "cortexcast")
    assert [command[0] for command in (*commands, demo)] == [
        "data", "data", "train", "evaluate", "calibrate", "models", "demo"
    ]  # fmt: skip
    for command in commands:
        assert main(command) == 0, capfd.readouterr().err
    assert not list(Path("ds000117").glob("sub-*/**/*_meg.fif")), "SSS in place of what was recorded"
    card = Path("runs/ds000117/card/card.md").read_text()
    assert "SIMULATED" in card, "which the recordings say of themselves"
    assert "noise ceiling" in card
    assert "power of the empty room" in card
    results = read_results(Path("runs/ds000117/evaluation.json"))
    assert results.subjects == ("sub-13",)
    assert not results.judged_by_truth
    trained, mine = read_bundle("runs/ds000117/bundle").manifest, read_bundle("models/sub-13").manifest
    assert trained.training is not None
    assert trained.training.train_subjects == ("sub-01", "sub-02")
    assert (trained.trained_on, mine.name) == ("simulated", "meg-sub-13")

    done = run(*demo, "--duration", "8", "--port", "0")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^meg .* frames/s", done.stdout, re.MULTILINE)
    assert re.search(r"estimate against the MEG in ds000117/.*run-02_proc-sss_meg\.fif, last \d+ s", done.stdout)
