"""/openapi.json: valid, and every route says what it does and how it fails."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from bundles import write_small_bundle
from daemon import running
from openapi_spec_validator import OpenAPIV31SpecValidator
from servers import served

from cortexcast_server.commands.replay import replay_app
from cortexcast_server.replay_api import Replays


@pytest.fixture(scope="module", params=["daemon", "replay"])
def description(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The daemon's, and that of `cortexcast replay`."""
    if request.param == "replay":
        with served(replay_app(Replays())) as base:
            return httpx.get(f"{base}/openapi.json").json()
    with running("--model", write_small_bundle(tmp_path_factory.mktemp("bundle") / "small"), "--idle") as daemon:
        return daemon.http("GET", "/openapi.json")[1]


def test_it_is_valid(description: Any) -> None:
    assert [error.message for error in OpenAPIV31SpecValidator(description).iter_errors()] == []
    assert not OpenAPIV31SpecValidator(description | {"paths": {"healthz": {}}}).is_valid()


def test_every_route_says_what_it_does_and_what_it_takes(description: Any) -> None:
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            assert operation["description"], f"{method} {path}"
            assert operation["tags"], f"{method} {path}"
            for parameter in operation.get("parameters", ()):
                assert parameter["description"], f"{method} {path}: {parameter['name']}"


def test_every_route_declares_its_errors_in_the_one_form(description: Any) -> None:
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            answers = operation["responses"]
            failures = {status: answer for status, answer in answers.items() if status[0] != "2" and path != "/readyz"}
            for answer in failures.values():
                schema = answer["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/ErrorAnswer"}, f"{method} {path}"
            assert {"403", "default"} <= answers.keys(), f"{method} {path}"
            assert ("422" in answers) >= ("requestBody" in operation), f"{method} {path}"
            assert ("404" in answers) == ("{" in path), f"{method} {path}"
    assert not any("ValidationError" in name for name in description["components"]["schemas"])
