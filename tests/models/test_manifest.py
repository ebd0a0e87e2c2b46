"""What a manifest's output of role ``novelty`` may be."""

from __future__ import annotations

from typing import Any

import pytest
from factories import make_manifest, manifest_fields

from cortexcast_models.bundle import BundleError

NOVELTY = {"name": "novelty", "role": "novelty", "shape": [1], "axes": ["score"]}


def with_outputs(*more: dict[str, Any]) -> list[dict[str, Any]]:
    return [*manifest_fields()["outputs"], *more]


@pytest.mark.parametrize(
    "novelty", [NOVELTY, {**NOVELTY, "name": "score"}, {**NOVELTY, "shape": [1, 1], "axes": ["batch", "score"]}]
)
def test_one_score_is_allowed(novelty: dict[str, Any]) -> None:
    manifest = make_manifest(outputs=with_outputs(novelty))
    assert [tensor.role for tensor in manifest.outputs] == ["estimate", "novelty"]


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ([{**NOVELTY, "shape": [3]}], "tensor 'novelty' is score 3, the manifest implies score 1"),
        ([{**NOVELTY, "axes": ["channel"]}], "tensor 'novelty' is channel 1, the manifest implies score 1"),
        ([{**NOVELTY, "shape": [], "axes": []}], "tensor 'novelty' is , the manifest implies score 1"),
        ([{**NOVELTY, "state_of": "memory"}], "exactly the tensors of role 'state' carry state_of"),
        ([NOVELTY, {**NOVELTY, "name": "other"}], "at most one tensor of role 'novelty', has 2"),
        ([{**NOVELTY, "name": "meg"}], "tensors: 'meg' is there twice"),
    ],
)
def test_anything_else_is_refused(outputs: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(BundleError, match=message):
        make_manifest(outputs=with_outputs(*outputs))


def test_it_is_no_input() -> None:
    with pytest.raises(BundleError, match=r"inputs\.1\.role: .* should be 'eeg' or 'state'"):
        make_manifest(inputs=[*manifest_fields()["inputs"], NOVELTY])
