"""docs/rest.md against a daemon: every route, and the code and status of every error."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from bundles import write_small_bundle
from daemon import Daemon, running
from docs.pages import ROOT, table
from recordings import write_fif

PAGE = ROOT / "docs" / "rest.md"
ERRORS = {row["code"].strip("`"): row["status"].split(", ") for row in table(PAGE, "code", "status", "meaning")}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    small = write_small_bundle(tmp_path_factory.mktemp("bundle") / "small")
    with running("--model", small, "--idle") as daemon:
        yield daemon


@pytest.fixture
def recording(tmp_path: Path) -> str:
    return str(write_fif(tmp_path / "small_raw.fif"))


def test_every_route_is_there_with_its_answer(daemon: Daemon) -> None:
    _, description = daemon.http("GET", "/openapi.json")
    routes = {
        f"`{method.upper()} {path}`": min(operation["responses"])
        for path, operations in description["paths"].items()
        for method, operation in operations.items()
    }
    documented = {row["request"]: row["answer"].split()[0] for row in table(PAGE, "request", "what it does", "answer")}
    assert documented == routes


def test_every_error_has_its_code_and_status(daemon: Daemon, recording: str) -> None:
    mistakes: list[tuple[str, str, str, object]] = [
        ("unusable_stream", "POST", "/api/v1/sessions", {"name": "none", "wait_s": 0}),
        ("unknown_session", "GET", "/api/v1/sessions/none", None),
        ("unknown_session", "DELETE", "/api/v1/sessions/none", None),
        ("unknown_model", "GET", "/api/v1/models/small/parcels.nii.gz", None),
        ("unusable_recording", "POST", "/api/v1/replays", {"file": "none.fif"}),
        ("not_possible", "POST", "/api/v1/replays", {"file": recording, "speed": 0}),
        ("not_possible", "POST", "/api/v1/replays", {"file": recording, "start": 60}),
        ("unknown_replay", "POST", "/api/v1/replays/9/pause", None),
        ("bad_request", "POST", "/api/v1/sessions", {"nme": "typo"}),
        ("http", "GET", "/nowhere", None),
        ("http", "POST", "/healthz", None),
        ("other_origin", "GET", "/healthz", None),
    ]
    seen: dict[str, set[str]] = {}
    for code, method, path, body in mistakes:
        origin = "https://elsewhere.example" if code == "other_origin" else None
        status, answer = daemon.http(method, path, body, origin)
        assert answer["error"]["code"] == code
        assert answer["error"]["message"]
        seen.setdefault(code, set()).add(str(status))
    assert {code: sorted(statuses) for code, statuses in seen.items()} == ERRORS
