"""What ``cortexcast watch`` counts, and the verb itself against a daemon on a real socket."""

from __future__ import annotations

import json
import signal
import time

import pytest
from client.peer import PRODUCT, Client, Peer, make_frame, status
from client.test_command import start
from hypothesis import given
from hypothesis import strategies as st

from cortexcast_client import Flags, Marker
from cortexcast_client.command import main
from cortexcast_client.messages import parse_products, parse_status
from cortexcast_client.tally import Record, Tally, as_text

(MEG,) = parse_products({"products": [PRODUCT]})
MARKER = {"type": "marker", "session": "cap", "stream": "keys", "label": "go", "time": 100.24, "clock_offset": 0.0}


@given(st.lists(st.tuples(st.integers(1, 5), st.booleans()), max_size=20))
def test_holes_are_lost_and_the_admitted_ones_dropped(steps: list[tuple[int, bool]]) -> None:
    tally = Tally()
    tally.frame(make_frame(0), MEG, 0.01)
    sequence = dropped = 0
    for step, admitted in steps:
        sequence += step
        dropped += step - 1 if admitted else 0
        tally.frame(make_frame(sequence, dropped=dropped), MEG, 0.01)
    total = tally.total(1.0)
    assert total["frames"] == 1 + len(steps)
    assert total["samples"] == 25 * total["frames"]
    assert total["frames"] + total["lost"] == sequence + 1
    assert total["dropped"] == dropped
    assert (total["first_t0"], total["last_t"]) == (100.0, pytest.approx(100.0 + (25 * sequence + 24) / 250.0))


def test_a_new_connection_counts_its_drops_anew_and_a_new_daemon_its_frames() -> None:
    tally = Tally()
    for frame in (make_frame(7, dropped=3), make_frame(8, dropped=1), make_frame(0)):
        tally.frame(frame, MEG, 0.0)
    assert (tally.total(1.0)["dropped"], tally.total(1.0)["lost"]) == (4, 0)


def test_a_summary_covers_the_time_since_the_last() -> None:
    tally = Tally()
    assert tally.summary(1.0, [MEG])["products"][0]["latency_ms"] is None
    for sequence, latency_s in enumerate([0.010, 0.020, 0.030]):
        tally.frame(make_frame(sequence, flags=Flags.REPLAYED), MEG, latency_s)
    tally.status(parse_status(status(bad_channels=["Cz"])))
    (row,) = tally.summary(0.5, [MEG])["products"]
    assert (row["frames_per_s"], row["samples_per_s"], row["flags"]) == (6.0, 150.0, ["REPLAYED"])
    assert row["latency_ms"] == {"p50": 20.0, "p99": pytest.approx(29.8)}
    assert (row["state"], row["bad_channels"]) == ("live", ["Cz"])
    assert tally.summary(1.0, [MEG])["products"][0]["frames_per_s"] == 0.0
    assert tally.total(1.5)["frames"] == 3


@given(st.integers(0, 100), st.integers(-500, 500))
def test_a_marker_gets_the_index_of_the_sample_at_its_time(sequence: int, offset: int) -> None:
    tally = Tally()
    frame = make_frame(sequence)
    tally.frame(frame, MEG, 0.0)
    index = frame.first_sample + offset
    marker = Marker("cap", "keys", "go", 100.0 + index / MEG.rate_hz, 0.0)
    assert tally.marker(marker)["samples"] == {"meg": index}
    assert tally.marker(Marker("another session", "keys", "go", 0.0, 0.0))["samples"] == {}
    assert tally.total(1.0)["markers"] == 2


def test_status_is_told_when_it_changes() -> None:
    tally = Tally()
    told = [tally.status(parse_status(status(**change))) for change in ({}, {"samples_in": 9}, {"state": "lost"}, {})]
    assert [record and record["state"] for record in told] == ["live", None, "lost", "live"]


def test_records_read_well_on_a_terminal() -> None:
    tally = Tally()
    tally.frame(make_frame(0, flags=Flags.REPLAYED), MEG, 0.005)
    health = tally.status(parse_status(status(state="stalled", bad_channels=["Cz", "Pz"], notes=["bursts"])))
    assert health is not None
    assert as_text(health) == "session cap is stalled; bad: Cz, Pz; notes: bursts"
    assert as_text(tally.marker(Marker("cap", "keys", "go", 100.24, 0.0))) == (
        "marker 'go' at 100.2400 s, meg sample 60"
    )
    assert as_text(tally.summary(1.0, [MEG])) == (
        "meg      headset (cap)  stalled  1.0 frames/s  25 samples/s  latency p50 5.0 ms, p99 5.0 ms  "
        "lost 0  dropped 0  REPLAYED  bad Cz Pz"
    )
    assert as_text(tally.summary(1.0, [])) == "no product on offer yet"
    assert as_text(tally.total(2.0)) == (
        "1 frames, 25 samples, 1 markers in 2.0 s; lost 0, dropped 0; latency p50 5.0 ms, p99 5.0 ms"
    )


def watch(url: str, *options: str) -> list[Record]:
    """The records of ``cortexcast watch --json``, stopped by Ctrl-C after the first summary that has frames."""
    with start("watch", url, "--json", *options) as process:
        assert process.stdout is not None
        records: list[Record] = []
        while not any(row["frames_per_s"] for row in (records[-1] if records else {}).get("products", [])):
            records.append(json.loads(process.stdout.readline()))
        process.send_signal(signal.SIGINT)
        records += map(json.loads, process.stdout)
        assert process.wait() == 0
    return records


@pytest.mark.parametrize("frame_format", ["binary", "json"])
def test_watch_prints_events_as_they_come_and_the_totals_last(frame_format: str) -> None:
    def script(client: Client) -> None:
        assert client.greet()["products"] == ["eeg", "meg", "fmri", "stimulus"]
        client.give(0, 1, 3)
        client.tell(MARKER)
        client.tell(status())
        client.wait_gone()

    with Peer(script) as peer:
        *records, total = watch(peer.url, "--format", frame_format)
    (marker,) = (record for record in records if record["type"] == "marker")
    assert (marker["label"], marker["time"], marker["samples"]) == ("go", 100.24, {"meg": 60})
    (health,) = (record for record in records if record["type"] == "status")
    assert health["state"] == "live"
    assert {key: total[key] for key in ("type", "frames", "samples", "lost", "dropped", "markers", "first_t0")} == {
        "type": "total",
        "frames": 3,
        "samples": 75,
        "lost": 1,
        "dropped": 0,
        "markers": 1,
        "first_t0": 100.0,
    }


def test_latency_is_counted_from_the_newest_eeg_sample() -> None:
    def script(client: Client) -> None:
        newest = 100.0 + 24 / 250.0 + PRODUCT["delay_s"]
        client.greet(clock_offset=time.time() - newest - 3600.0)
        client.give(0)
        client.wait_gone()

    with Peer(script) as peer:
        total = watch(peer.url)[-1]
    assert 3600e3 <= total["latency_ms"]["p50"] < 3700e3


def test_watch_fails_when_nothing_arrives(capsys: pytest.CaptureFixture[str]) -> None:
    def silent(client: Client) -> None:
        client.greet()
        client.wait_gone()

    with Peer(silent) as peer:
        assert main(["watch", peer.url, "--duration", "0.05"]) == 1
    output = capsys.readouterr()
    assert output.out.startswith("0 frames")
    assert output.err.startswith("cortexcast: no frame arrived")


def test_a_daemon_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with Peer() as peer:
        url = peer.url
    assert main(["watch", url, "--duration", "1"]) == 1
    assert capsys.readouterr().err.startswith(f"cortexcast: no daemon at {url}: start one with")
