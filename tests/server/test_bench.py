"""The benchmark: its arithmetic, its knowledge of which sample completes which frame, and a short real run."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from bundles import write_small_bundle, write_small_fmri_bundle
from daemon import run
from factories import linear_infer, make_manifest
from hypothesis import given
from hypothesis import strategies as st
from websockets.sync.server import serve

from cortexcast_client.wire import Frame
from cortexcast_models.manifest import Manifest
from cortexcast_server.bench.figures import Latency, Results, as_text, compare, latency
from cortexcast_server.bench.headset import CHUNK, N_CHANNELS, Stream, headset, signal_of, step_through
from cortexcast_server.bench.lsl import Arrivals
from cortexcast_server.bench.peer import BenchError, answer, peer
from cortexcast_server.bench.websocket import messages
from cortexcast_server.engine import MEG, Engine
from cortexcast_server.signal import Chunk

RESULTS = Results(
    lsl_eeg=Latency(0.25, 1.0, 100),
    lsl_meg=Latency(0.5, 1.0, 100),
    inference=Latency(0.25, 1.0, 100),
    websocket=Latency(0.5, 1.0, 100),
    composed=Latency(1.25, 2.0, 100),
    path_websocket=Latency(1.5, 3.0, 200),
    path_lsl=Latency(2.0, 7.0, 200),
    other_hops={"small-fmri": Latency(3.0, 4.0, 50)},
    path_beside=Latency(1.5, 3.5, 200),
    frames_lost=0,
    cpu_s_per_s=0.1,
    stalled_mib=-0.5,
    stalled_frames_lost=1,
    ready_s=1.0,
    import_s=0.5,
)


@cache
def completed(lookahead: int) -> tuple[Manifest, Stream, list[Frame], list[int]]:
    manifest = make_manifest(lookahead=lookahead, window=24)
    stream = headset(manifest, "bench-1")
    frames, samples = step_through(new_engine(manifest), stream, 20)
    return manifest, stream, frames, samples.tolist()


def new_engine(manifest: Manifest) -> Engine:
    return Engine(signal_of(headset(manifest, "bench-1")), manifest, linear_infer(manifest))


def test_percentiles_are_in_milliseconds() -> None:
    assert latency(np.arange(101) / 1000) == Latency(50.0, 99.0, 101)


def test_the_floor_is_what_lsl_inference_and_the_way_out_take_alone() -> None:
    assert RESULTS.floor_websocket_ms == 1.0
    assert RESULTS.floor_lsl_ms == 1.0


def test_the_path_is_compared_to_the_parts_in_one_process_too() -> None:
    assert RESULTS.path_to_composed == 1.2
    lines = as_text(RESULTS).splitlines()
    assert "path to the client / parts in one process: 1.20 × (p50)" in lines
    (row,) = [line for line in lines if line.startswith("parts ")]
    assert row.split()[-5:] == ["1.25", "ms", "2.00", "ms", "100"]


def test_targets_are_met_up_to_their_bound_and_missed_beyond() -> None:
    verdicts = [(target.value, target.met) for target in RESULTS.targets()]
    assert verdicts == [
        (1.5, True), (2.0, True), (2.0, False), (6.0, False), (1.0, True), (3.0, False), (1.0, True),
        (0.5, False), (0, True), (1, False),
    ]  # fmt: skip


def test_the_table_says_which_targets_are_missed() -> None:
    lines = [line for line in as_text(RESULTS).splitlines() if line.endswith("MISSED")]
    assert [line.split("  ")[0] for line in lines] == [
        "to the outlet: p50 / floor",
        "to the outlet: p99 - floor p50",
        "one hop of small-fmri: p50",
        "import cortexcast_client",
        "frames lost beside a stalled client",
    ]


def test_a_run_compared_to_itself_is_one_throughout() -> None:
    ratios = compare(RESULTS.as_json(), RESULTS.as_json())
    assert set(ratios.values()) == {1.0}
    assert {"lsl_eeg.p50_ms", "path_websocket.p99_ms", "floor_lsl_ms", "ready_s"} <= ratios.keys()


def test_a_slower_run_compares_by_its_ratio() -> None:
    slower = replace(RESULTS, inference=Latency(0.5, 1.0, 50), cpu_s_per_s=0.3)
    ratios = compare(slower.as_json(), RESULTS.as_json())
    assert ratios["inference.p50_ms"] == 2.0
    assert ratios["floor_websocket_ms"] == 1.25
    assert ratios["cpu_s_per_s"] == pytest.approx(3.0)


def test_what_only_one_run_has_is_not_compared() -> None:
    assert compare({"new": 1.0, "both": 3.0}, {"old": 1.0, "both": 2.0}) == {"both": 1.5}


def test_a_sample_arrives_with_the_pull_that_has_it() -> None:
    arrivals = Arrivals(counts=np.array([1, 10, 12]), times=np.array([0.1, 0.2, 0.3]))
    assert arrivals.of(np.array([0, 1, 9, 10, 11])).tolist() == [0.1, 0.2, 0.2, 0.3, 0.3]


def test_the_headset_has_the_models_electrodes_and_no_name_twice() -> None:
    manifest = make_manifest()
    channels = headset(manifest, "bench-1").channels
    assert {electrode.name for electrode in manifest.montage} <= set(channels)
    assert len({name.upper() for name in channels}) == len(channels) == N_CHANNELS
    assert new_engine(manifest).bad_channels == []


@given(st.sampled_from([0, 8, 16]), st.lists(st.integers(1, 60), min_size=1, max_size=20))
def test_a_frame_comes_with_the_chunk_that_has_its_completing_sample(lookahead: int, sizes: list[int]) -> None:
    """However a session is chunked, also in ways that no headset would."""
    manifest, stream, expected, completed_by = completed(lookahead)
    engine = new_engine(manifest)
    cuts = [0, *np.cumsum(sizes).tolist()]
    for start, stop in pairwise(cuts):
        volts = (1e-6 * stream.samples(start, stop - start).astype(np.float64)).astype(np.float32).T
        times = np.arange(start, stop) / stream.rate_hz
        got = [frame for frame in engine.push(Chunk(volts, times, float(times[-1]))) if frame.product == MEG]
        due = [frame for frame, sample in zip(expected, completed_by, strict=True) if start <= sample < stop]
        assert [frame.sequence for frame in got[: len(due)]] == [frame.sequence for frame in due]
        assert all(np.array_equal(a.data, b.data) and a.t0 == b.t0 for a, b in zip(got, due, strict=False))
        assert len(got) == len(due) or stop > completed_by[-1]


def fail(pipe: Connection, message: str) -> None:
    raise BenchError(message)


def leave(pipe: Connection) -> None:
    pass


def test_the_error_of_another_process_is_the_benchmarks() -> None:
    with peer(fail, "no LSL stream") as pipe, pytest.raises(BenchError, match=r"^no LSL stream$"):
        answer(pipe)


def test_a_process_that_ends_early_is_an_error() -> None:
    with peer(leave) as pipe, pytest.raises(BenchError, match="ended early"):
        answer(pipe)


def test_a_server_that_hangs_up_is_an_error() -> None:
    with serve(lambda client: client.close(), "127.0.0.1", 0) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        port = server.socket.getsockname()[1]
        with pytest.raises(BenchError, match="sends nothing any more"):
            next(messages(f"ws://127.0.0.1:{port}", 1))
        server.shutdown()
        thread.join()


@pytest.mark.timeout(180)
def test_a_short_run_measures_everything(tmp_path: Path) -> None:
    model = write_small_bundle(tmp_path / "small")
    out = tmp_path / "results"
    beside = write_small_fmri_bundle(tmp_path / "small-fmri")
    options = f"--seconds 1 --model {model} --beside {beside} --out {out} --json"
    done = run("bench", *options.split(), timeout_s=150)  # a dozen processes start, one after the other
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    (saved,) = out.iterdir()
    assert json.loads(saved.read_text()) == record
    assert record["settings"]["chunk"] == CHUNK
    assert {"cortexcast", "numpy", "onnxruntime", "pylsl", "liblsl", "uvicorn", "websockets"} <= set(
        record["machine"]["versions"]
    )
    results = record["results"]
    assert results["path_to_composed"] == results["path_websocket"]["p50_ms"] / results["composed"]["p50_ms"]
    assert results["composed"]["n"] == results["websocket"]["n"]
    numbers = dict(_numbers({key: value for key, value in results.items() if key != "targets"}))
    may_be_zero_or_less = {"frames_lost", "stalled_frames_lost", "stalled_mib"}
    assert may_be_zero_or_less < numbers.keys()
    assert all(np.isfinite(value) for value in numbers.values())
    assert all(value > 0 for name, value in numbers.items() if name not in may_be_zero_or_less)
    assert [target["name"] for target in results["targets"]] == [target.name for target in RESULTS.targets()]

    other = tmp_path / "other.json"
    other.write_text("{}")
    refused = run("bench", "--compare", other, "--model", model)
    assert refused.returncode == 1
    assert refused.stderr == f"cortexcast: {other} is not a saved run of 'cortexcast bench': it has no results\n"


def _numbers(fields: dict[str, Any]) -> list[tuple[str, float]]:
    flat: list[tuple[str, float]] = []
    for name, value in fields.items():
        flat += _numbers(value) if isinstance(value, dict) else [(name, value)]
    return flat
