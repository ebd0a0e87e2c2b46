"""Training beats linear analysis where there is more to find, can be interrupted, and says what stops it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from disk import full_disk
from nets import examples, montages, net_shape, untrained
from prepared import hidden_state_recording, noise_recording
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cortexcast_training.checkpoint import CheckpointError, load_state, save_state
from cortexcast_training.fit import BEST, CHECKPOINT, LOG, FitError, Fitted, Progress, fit
from cortexcast_training.net import Net
from cortexcast_training.recipe import FitSettings
from cortexcast_training.windows import Prepared

QUICK = FitSettings(
    n_windows=96,
    batch=8,
    warmup_steps=2,
    validate_every=4,
    validation_windows=16,
    threads=1,
    montages={"70": 1, "19": 1},
)


@cache
def subjects() -> tuple[list[Prepared], list[Prepared]]:
    """To train on, and held out."""
    return [hidden_state_recording(400, seed) for seed in range(4)], [hidden_state_recording(400, 9)]


@cache
def nothing_to_learn() -> tuple[list[Prepared], list[Prepared]]:
    """Likewise, of noise."""
    return [noise_recording(100, 70, 4, seed=1)], [noise_recording(100, 70, 4, seed=2)]


def run(
    folder: Path,
    settings: FitSettings = QUICK,
    say: Callable[[Progress], None] = lambda _: None,
    data: tuple[list[Prepared], list[Prepared]] | None = None,
    **changes: Any,
) -> tuple[Net, Fitted]:
    """Train a small net."""
    train, held_out = data or subjects()
    net, units, states = untrained(train, net_shape(**changes))
    to_train, to_judge = examples(net, train, units, settings, states), examples(net, held_out, units, settings)
    return net, fit(net, to_train, to_judge, units, montages(settings), settings, folder, say)


def weights(net: Net) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def identical(a: Net, b: Net) -> bool:
    return all(torch.equal(x, y) for x, y in zip(weights(a).values(), weights(b).values(), strict=True))


class PulledPlugError(Exception):
    """Somebody pulls the plug."""


def interrupt_after(step: int) -> Callable[[Progress], None]:
    def say(progress: Progress) -> None:
        if progress.step == step:
            raise PulledPlugError

    return say


def log(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / LOG).read_text().splitlines()]


class TestLearning:
    def test_it_finds_the_hidden_state_that_no_linear_map_can_use(self, tmp_path: Path) -> None:
        settings = FitSettings(
            n_windows=6400,
            batch=32,
            learning_rate=1e-2,
            warmup_steps=10,
            validate_every=50,
            validation_windows=256,
            montages={"70": 1.0},
            threads=1,
        )
        _, fitted = run(tmp_path, settings, n_components=4)
        untrained_, *_, last = log(tmp_path)
        assert untrained_["validation"] < 0.6, "as much as a Wiener filter explains"
        assert fitted.validation > untrained_["validation"] + 0.15
        assert last["explained"] == pytest.approx(fitted.validation, abs=0.15), "held-out subjects are as good"

    def test_it_never_ends_below_where_it_began(self, tmp_path: Path) -> None:
        """Here there is nothing to learn, and far too fast."""
        settings = QUICK.model_copy(update={"learning_rate": 0.3})
        net, fitted = run(tmp_path, settings, data=nothing_to_learn())
        entries = log(tmp_path)
        assert fitted.validation == entries[0]["validation"] > entries[-1]["validation"]
        assert identical(net, untrained(nothing_to_learn()[0], net_shape())[0])

    def test_with_reduced_precision_it_learns_nearly_the_same(self, tmp_path: Path) -> None:
        curves = []
        for precision in ("float32", "bfloat16"):
            run(tmp_path / precision, QUICK.model_copy(update={"precision": precision}))
            curves.append([[entry["explained"], entry["validation"]] for entry in log(tmp_path / precision)])
        assert curves[0] != curves[1]
        np.testing.assert_allclose(curves[0], curves[1], rtol=0, atol=0.02)


class TestResuming:
    @pytest.mark.parametrize("step", [4, 7])
    def test_a_run_that_was_interrupted_ends_as_one_that_was_not(self, tmp_path: Path, step: int) -> None:
        whole, expected = run(tmp_path / "whole", dropout=0.2)
        with pytest.raises(PulledPlugError):
            run(tmp_path / "parts", say=interrupt_after(step), dropout=0.2)
        torch.manual_seed(99)  # as another process would have it
        steps: list[int] = []
        resumed, fitted = run(tmp_path / "parts", say=lambda progress: steps.append(progress.step), dropout=0.2)
        assert steps == list(range(5, 13))
        assert identical(resumed, whole)
        assert fitted.validation == expected.validation
        assert [entry["validation"] for entry in log(tmp_path / "parts")] == [
            entry["validation"] for entry in log(tmp_path / "whole")
        ]

    def test_one_that_had_ended_is_not_trained_on(self, tmp_path: Path) -> None:
        net, fitted = run(tmp_path)
        again, same = run(tmp_path, say=interrupt_after(13))
        assert identical(again, net)
        assert same == fitted

    def test_nor_one_that_had_stopped_early(self, tmp_path: Path) -> None:
        settings = QUICK.model_copy(update={"learning_rate": 0.1, "patience": 1})
        for _ in range(2):
            _, fitted = run(tmp_path, settings, data=nothing_to_learn())
            assert fitted.stopped_early
            assert fitted.steps == 4

    def test_logs_are_kept_in_both_forms(self, tmp_path: Path) -> None:
        with pytest.raises(PulledPlugError):
            run(tmp_path, say=interrupt_after(8))
        run(tmp_path)
        assert [entry["step"] for entry in log(tmp_path)] == [0, 4, 8, 12]
        board = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
        assert set(board.Tags()["scalars"]) == {"explained", "validation", "windows_per_s"}
        events = board.Scalars("validation")
        assert [event.step for event in events] == [0, 4, 8, 12]
        assert [event.value for event in events] == pytest.approx([entry["validation"] for entry in log(tmp_path)])


class TestErrors:
    @pytest.mark.parametrize("changes", [{"n_layers": 1}, {"width": 32}, {"n_heads": 4}, {"dropout": 0.1}])
    def test_a_checkpoint_of_another_net_is_refused(self, tmp_path: Path, changes: dict[str, Any]) -> None:
        with pytest.raises(PulledPlugError):
            run(tmp_path, say=interrupt_after(4))
        before = (tmp_path / CHECKPOINT).read_bytes()
        with pytest.raises(
            FitError, match=r"checkpoint.pt is of other \[net\] or \[fit\] settings: train into another"
        ):
            run(tmp_path, **changes)
        assert (tmp_path / CHECKPOINT).read_bytes() == before

    def test_a_checkpoint_of_other_settings_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(PulledPlugError):
            run(tmp_path, say=interrupt_after(4))
        with pytest.raises(FitError, match=r"other \[net\] or \[fit\] settings"):
            run(tmp_path, QUICK.model_copy(update={"learning_rate": 3e-4}))

    @pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
    def test_a_damaged_checkpoint_is_one_line(self, tmp_path: Path, share: float) -> None:
        with pytest.raises(PulledPlugError):
            run(tmp_path, say=interrupt_after(4))
        content = (tmp_path / CHECKPOINT).read_bytes()
        (tmp_path / CHECKPOINT).write_bytes(content[: int(share * len(content))])
        with pytest.raises(
            CheckpointError, match=r"checkpoint.pt is damaged \(.*\): remove it and train anew"
        ) as caught:
            run(tmp_path)
        assert "\n" not in str(caught.value)

    def test_a_full_disk_leaves_the_older_checkpoint(self, tmp_path: Path) -> None:
        save_state(tmp_path / "state.pt", {"step": 1})
        with full_disk(), pytest.raises(CheckpointError, match=r"state.pt cannot be written .*: is the disk full\?"):
            save_state(tmp_path / "state.pt", {"net": torch.zeros(10_000)})
        assert load_state(tmp_path / "state.pt") == {"step": 1}
        assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]

    def test_one_of_another_version_is_told(self, tmp_path: Path) -> None:
        torch.save({"net": {}}, tmp_path / "state.pt")
        with pytest.raises(
            CheckpointError, match=r"state\.pt is of another version of cortexcast: remove it and train"
        ):
            load_state(tmp_path / "state.pt")

    def test_a_missing_file_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match=r"trained\.pt does not exist: train a model there first"):
            load_state(tmp_path / "trained.pt")

    def test_a_folder_that_is_none_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(OSError, match="file"):
            run(tmp_path / "file")

    def test_a_loss_that_is_no_number_is_told(self, tmp_path: Path) -> None:
        broken = noise_recording(40, 70, 4)
        broken.meg[100] = np.nan
        whole = noise_recording(40, 70, 4)
        net, units, states = untrained([whole], net_shape())
        to_train, to_judge = examples(net, [broken], units, QUICK, states), examples(net, [whole], units, QUICK)
        with pytest.raises(FitError, match=r"the loss is nan at step \d+: lower fit.learning_rate"):
            fit(net, to_train, to_judge, units, montages(QUICK), QUICK, tmp_path)


def test_two_processes_train_the_net_that_one_makes(tmp_path: Path) -> None:
    """Under torchrun, by gloo: the same curve at the same batch of both together, but for rounding."""
    script = Path(__file__).with_name("train_together.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (load_state(tmp_path / f"rank-{rank}.pt") for rank in range(2))
    assert first["fitted"] == second["fitted"]
    assert all(torch.equal(first["net"][name], second["net"][name]) for name in first["net"])
    alone = run(tmp_path / "alone")[1]
    curves = [
        [(entry["step"], entry["explained"], entry["validation"]) for entry in log(tmp_path / name)]
        for name in ("run", "alone")
    ]
    assert [step for step, *_ in curves[0]] == [0, 4, 8, 12]
    np.testing.assert_allclose(curves[0], curves[1], rtol=0, atol=1e-4)
    assert np.ptp([explained for _, explained, _ in curves[1][1:]]) > 1e-3, "there is a curve to compare"
    assert first["fitted"][0] == pytest.approx(alone.validation, abs=1e-4)
    assert (tmp_path / "run" / BEST).exists()
