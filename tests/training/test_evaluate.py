"""Evaluation from a simulated subject to the model card."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from prepared import noise_recording

from cortexcast_models.bundle import SHIPPED, read_bundle
from cortexcast_training import held_out as held_out_module
from cortexcast_training import scaling
from cortexcast_training.baselines import minimum_norm, population
from cortexcast_training.calibration_curve import Tried, calibration_curve
from cortexcast_training.card import CARD, FILES, card
from cortexcast_training.datasets import benchmark_subjects
from cortexcast_training.evaluate import (
    BASELINE,
    EVOKED,
    MODEL,
    NULL,
    Contestants,
    Judged,
    Shifted,
    joined,
    judge,
    judge_shifted,
    not_shifted,
)
from cortexcast_training.held_out import (
    BAYES,
    NO_SHIFT,
    OWN_WIENER,
    SMALL_HEADS,
    STATE_KNOWN,
    HeldOut,
    held_out,
    own_recording,
    shifts,
    simulated_held_out,
)
from cortexcast_training.leadfield import is_magnetometer
from cortexcast_training.prepare import PrepareSettings
from cortexcast_training.recipe import SimulatedData
from cortexcast_training.recording import RecordingError
from cortexcast_training.results import Effort, Results, ResultsError, Streaming, read_results, write_results
from cortexcast_training.simulator import SimulationSettings
from cortexcast_training.streamed import Estimates
from cortexcast_training.summary import headline, shift_of, summarise
from cortexcast_training.windows import Prepared

MANIFEST = read_bundle(SHIPPED / "meg-leadfield").manifest
STREAMING = Streaming(windows_per_s=500.0, p50_ms=1.5, p99_ms=2.5, parity=1e-6)
EFFORT = Effort(parameters=1000, heads=8, windows_per_s=120.0)
OTHERS = {"half": Effort(parameters=1000, heads=4), "small": Effort(parameters=500, heads=8)}
DATA = SimulatedData(train=1, validation=1, recording=SimulationSettings(duration_s=44.0))


@pytest.fixture(scope="module")
def held() -> HeldOut:
    """A simulated subject."""
    (subject,) = benchmark_subjects(DATA, 1)
    return simulated_held_out(subject, PrepareSettings(), 2)


def truth(recording: Prepared) -> Estimates:
    """Knows the noise-free MEG, claims an error of as much as sensors' noise, and calls every other hop new."""
    assert recording.true_meg is not None
    noise = (recording.meg - recording.true_meg).std(axis=0)
    novelty = np.arange(len(recording.good)) % 2 * np.float32(2)
    return Estimates(recording.true_meg, np.tile(noise, (len(recording.good), 1)), novelty.astype(np.float32))


@pytest.fixture(scope="module")
def field_of(held: HeldOut) -> Contestants:
    """Truth against filters fitted to the subject itself; in place of a headset, electrodes without signal.

    The models of less effort are such filters too.
    """
    units = scaling.units([held.own], is_magnetometer())
    known = population([held.own.part(0, 14)], [held.own.part(14, 20)], units)
    linear = {name: method for name, method in known.methods().items() if name in {"ridge", BASELINE}}
    others = {"half": linear["ridge"], "small": linear[BASELINE]}
    return Contestants(truth, known, linear, {0: (np.zeros((70, 70)), linear["ridge"])}, others)


@pytest.fixture(scope="module")
def judged(held: HeldOut, field_of: Contestants) -> Judged:
    return judge(held, field_of)


@pytest.fixture(scope="module")
def results(judged: Judged) -> Results:
    subjects = [replace(judged, subject=name) for name in ("sub-a", "sub-b")]
    found = summarise(subjects, MANIFEST, STREAMING, "cortexcast evaluate", EFFORT, OTHERS)
    tried = [Tried(10.0, None, 0.1), Tried(60.0, 0.5, 0.2)]
    curves = {shift: tuple(calibration_curve([(not_shifted(judged), tried)] * 2)) for shift in (NO_SHIFT, SMALL_HEADS)}
    return found.model_copy(update={"own_recordings": curves})


def test_own_data_and_judged_data_do_not_overlap(held: HeldOut) -> None:
    whole = 44.0
    assert held.own.duration_s + held.test.duration_s == pytest.approx(whole, abs=0.1)
    assert not held.judged[:400].any()
    assert not held.judged[-40:].any()
    assert held.judged[400:-40].all()
    onsets = held.test.events[:, 0]
    assert len(onsets)
    assert ((onsets >= 0) & (onsets < len(held.test.eeg))).all()


def test_an_own_recording_is_another_one_of_the_same_length(held: HeldOut, monkeypatch: pytest.MonkeyPatch) -> None:
    """In runs, each of which begins as the filters settle; calibration does not see the truth."""
    monkeypatch.setattr(held_out_module, "_RUN_S", 12.0)
    (subject,) = benchmark_subjects(DATA, 1)
    own = own_recording(subject, 24.0, PrepareSettings())
    assert own.duration_s == pytest.approx(24.0, abs=0.1)
    assert len(own.eeg) == len(own.meg) == len(own.good) * own.hop
    assert own.true_meg is None
    first, second = own.stretches()
    assert first.stop < second.start
    for each in (held.own, held.test):
        n = min(len(own.eeg), len(each.eeg))
        assert abs(np.corrcoef(own.eeg[400:n, 0], each.eeg[400:n, 0])[0, 1]) < 0.3


def test_truth_is_perfect_and_nothing_else_is(judged: Judged) -> None:
    explained = {name: scores["explained"] for name, scores in judged.scores.items()}
    assert explained[MODEL] == 1
    assert explained[NULL] == 1, "this model reads no EEG"
    assert all(value < 0.9 for name, value in explained.items() if name not in {MODEL, NULL})
    assert explained[BAYES] > explained[OWN_WIENER] + 0.1 > explained["own ridge"] + 0.1
    assert explained[STATE_KNOWN] == pytest.approx(explained[BAYES], abs=0.05)
    assert judged.scores[MODEL]["topography M170"] == pytest.approx(1)
    assert judged.scores[MODEL]["explained without trial mean"] == 1


def test_the_error_that_is_claimed_is_that_of_the_recording(judged: Judged) -> None:
    assert judged.scores[MODEL]["coverage recorded"] == pytest.approx(0.9, abs=0.03)
    assert judged.scores[MODEL]["coverage"] == 1
    assert judged.scores[MODEL]["novel"] == pytest.approx(0.5, abs=0.01)


def test_evoked_responses_of_the_same_recording_are_leakage_and_others_are_not(judged: Judged) -> None:
    """A copy of a subject among the others is what the baseline is there to find."""
    other = {label: (n, -recorded, target) for label, (n, recorded, target) in judged.evoked.items()}
    copy, foreign_one = replace(judged, subject="copy"), replace(judged, subject="other", evoked=other)
    copied = summarise([judged, copy], MANIFEST, STREAMING, "x", EFFORT, {})
    foreign = summarise([judged, foreign_one], MANIFEST, STREAMING, "x", EFFORT, {})
    assert copied.methods[EVOKED].metrics["explained"].value > 0.03
    assert foreign.methods[EVOKED].explained[judged.subject] < 0


def test_the_gap_is_between_baseline_and_oracle(results: Results) -> None:
    gaps = {name: method.gap_closed for name, method in results.methods.items() if method.gap_closed is not None}
    assert gaps[BASELINE].value == 0
    assert gaps[BAYES].value == 1
    assert gaps[MODEL].value > 1
    assert results.headsets[0].baseline.value == 0


def test_the_null_sees_eeg_of_another_time(held: HeldOut, field_of: Contestants) -> None:
    linear = replace(field_of, model=field_of.methods[BASELINE], worn={})
    scores = judge(held, linear).scores
    assert scores[NULL]["r mag"] == pytest.approx(0, abs=0.15)
    assert scores[MODEL]["r mag"] > 0.3
    assert scores[MODEL] == scores[BASELINE]


def test_a_shift_is_judged_by_the_worst_subject(held: HeldOut, field_of: Contestants, judged: Judged) -> None:
    seen = judge_shifted(held, field_of.model, field_of.methods[BASELINE])
    assert not_shifted(judged) == seen
    assert seen.model == 1
    assert seen.novel == pytest.approx(0.5, abs=0.01)
    assert seen.oracle is not None
    assert seen.baseline < seen.oracle < 1
    shift = shift_of([seen, Shifted(model=0.2, baseline=0.3, oracle=None, novel=None)])
    assert shift.model.value == 0.6
    assert shift.worst_difference == pytest.approx(-0.1)
    assert shift.oracle is not None
    assert shift.oracle.n == 1


def test_each_shift_changes_one_respect() -> None:
    changed = shifts(DATA)
    assert len(changed) == 6
    for data in changed.values():
        assert sum(getattr(data, key) != getattr(DATA, key) for key in ("head", "sources", "recording")) == 1
        assert type(data).model_validate_json(data.model_dump_json()) == data


def test_small_heads_are_outside_the_training_range() -> None:
    small, ordinary = shifts(DATA)[SMALL_HEADS].head, DATA.head
    assert small.scale_mean + 3 * small.scale_sd < ordinary.scale_mean - 3 * ordinary.scale_sd


def test_runs_of_a_subject_are_one_entry(judged: Judged) -> None:
    """Two runs that are alike give what one gives; another one gives the mean."""
    twice = joined([judged, judged])
    assert twice.seconds == 2 * judged.seconds
    assert twice.scores.keys() == judged.scores.keys()
    for name, scores in judged.scores.items():
        assert twice.scores[name] == pytest.approx(scores)
    assert (twice.headsets, twice.others) == (judged.headsets, judged.others)
    assert len(twice.faces) == len(twice.trials["EEG"]) == 2 * len(judged.faces)
    for label, (n, recorded, target) in judged.evoked.items():
        assert twice.evoked[label][0] == 2 * n
        np.testing.assert_allclose(twice.evoked[label][1:], [recorded, target])
    other = replace(judged, scores={name: {"explained": 0.0} for name in (MODEL, BASELINE)})
    assert joined([judged, other]).scores == {
        name: pytest.approx({**judged.scores[name], "explained": judged.scores[name]["explained"] / 2})
        for name in (MODEL, BASELINE)
    }


def test_a_learning_curve_takes_models_that_differ_in_its_amount_alone(results: Results, judged: Judged) -> None:
    curves = {of: [point for point in results.learning if point.of == of] for of in ("heads", "parameters")}
    assert [point.amount for point in curves["heads"]] == [4, 8]
    assert [point.amount for point in curves["parameters"]] == [500, 1000]
    for points, worse in ((curves["heads"], "ridge"), (curves["parameters"], BASELINE)):
        assert points[0].explained.value == judged.scores[worse]["explained"]
        assert points[0].gap_closed == results.methods[worse].gap_closed
        assert points[1].gap_closed == results.methods[MODEL].gap_closed


def test_the_headline_says_on_whom_and_by_which_command(results: Results) -> None:
    metrics = headline(results)
    assert {metric.command for metric in metrics} == {"cortexcast evaluate"}
    assert all("2 held-out simulated subjects" in metric.name for metric in metrics)
    values = {metric.name.split(":")[0]: metric.value for metric in metrics}
    assert values["explained variance"] == 1
    assert values[f"explained variance by {BASELINE}"] == results.methods[BASELINE].explained["sub-a"]
    closed = results.methods[MODEL].gap_closed
    assert closed is not None
    share = f"share of the gap from {BASELINE} to {BAYES} that is closed"
    assert values[share] == values[f"{share} after 10 s of calibration"] == closed.value
    calibrated = results.own_recordings[NO_SHIFT][1].gap_closed
    assert calibrated is not None
    assert values[f"{share} after 60 s of calibration"] == calibrated.value


def test_results_come_back_from_their_file(results: Results, tmp_path: Path) -> None:
    write_results(tmp_path / "results.json", results)
    assert read_results(tmp_path / "results.json") == results
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


@pytest.mark.parametrize(("content", "message"), [(None, "cannot be read"), ("{}", "evaluate again")])
def test_results_that_cannot_be_read_are_refused_in_a_line(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "results.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ResultsError, match=message) as error:
        read_results(path)
    assert "\n" not in str(error.value)


def test_the_card_says_what_the_results_say_and_that_they_are_simulated(results: Results) -> None:
    files = card(results)
    text = files[CARD].decode()
    assert "SIMULATED" in text
    assert "**Simulated.**" in text
    assert f"{results.methods[BAYES].metrics['explained'].value:.3f}" in text
    shown = {name for name in files if name != CARD}
    assert files.keys() == FILES
    for name in shown:
        assert f"({name})" in text
        assert files[name].startswith(b"\x89PNG")
        assert len(files[name]) < 60_000


def test_the_card_counts_the_subjects_on_which_the_model_does_worse(results: Results) -> None:
    assert "| **model explains less on** | 0 of 2 |" in card(results)[CARD].decode()
    worse = {"sub-a": -0.5, "sub-b": 0.9}
    methods = {**results.methods, MODEL: results.methods[MODEL].model_copy(update={"explained": worse})}
    text = card(results.model_copy(update={"methods": methods}))[CARD].decode()
    assert "| **model explains less on** | 1 of 2 |" in text


def test_the_card_has_the_calibration_curve_of_both_kinds_of_subjects(results: Results) -> None:
    text = card(results)[CARD].decode()
    assert "Heads like those of the training data (2):" in text
    assert "Heads smaller than those of the training data (2):" in text
    assert text.count("| 60 s | 1.000 [1.000, 1.000] | 0.500 [0.500, 0.500] | 0.200 [0.200, 0.200] |") == 2
    assert text.count("| 2 of 2 |") == 2


def test_a_metric_that_some_subjects_lack_is_that_of_the_others(judged: Judged) -> None:
    resting = replace(
        judged, subject="sub-b", scores={name: {"explained": each["explained"]} for name, each in judged.scores.items()}
    )
    found = summarise([judged, resting], MANIFEST, STREAMING, "cortexcast evaluate", EFFORT, OTHERS)
    of_one = found.methods[MODEL].metrics["topography M170"]
    assert (of_one.value, of_one.n) == (judged.scores[MODEL]["topography M170"], 1)
    assert found.methods[MODEL].metrics["explained"].n == 2
    assert "| r of the field at M170 (n = 1) |" in card(found)[CARD].decode()


def test_a_card_of_recorded_data_does_not_speak_of_truth(results: Results) -> None:
    methods = {name: method for name, method in results.methods.items() if name not in {BAYES, OWN_WIENER, STATE_KNOWN}}
    recorded = results.model_copy(update={"data": "recorded", "methods": methods, "learning": ()})
    text = card(recorded)[CARD].decode()
    assert "SIMULATED" not in text
    assert "**Simulated.**" not in text


def test_a_recording_that_is_too_short_is_refused() -> None:
    with pytest.raises(RecordingError, match=r"sub-01, run-01: .+ s are too short"):
        held_out(noise_recording(150, seed=1))


def test_minimum_norm_runs_on_a_prepared_subject(held: HeldOut) -> None:
    estimates = minimum_norm()(held.test.part(0, 2))
    assert estimates.meg.shape == (400, 306)


def test_the_empty_room_s_power_is_told_in_units_of_the_recording_s(held: HeldOut, field_of: Contestants) -> None:
    power = np.square(held.test.meg[held.judged], dtype=np.float64).mean(axis=0)
    of_types = np.where(is_magnetometer(), power[is_magnetometer()].mean(), power[~is_magnetometer()].mean())
    measured = replace(held, test=replace(held.test, true_meg=None, simulated=False, noise=np.diag(0.25 * of_types)))
    scores = judge(measured, replace(field_of, model=lambda recording: Estimates(recording.meg), worn={}, others={}))
    assert scores.scores[MODEL]["noise"] == pytest.approx(0.25, rel=1e-6)
    assert scores.scores[MODEL]["explained"] == 1
    assert scores.scores[MODEL]["responses ceiling"] ** 2 == pytest.approx(max(0, scores.scores[MODEL]["responses"]))
    assert not scores.simulated
