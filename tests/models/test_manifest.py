"""What a manifest's output of role ``novelty`` may be, and what each product has of its own."""

from __future__ import annotations

from typing import Any

import pytest
from factories import fmri_fields, make_manifest, manifest_fields

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


def test_what_is_not_meg_has_one_estimate_a_hop() -> None:
    meg, fmri = make_manifest(), make_manifest(**fmri_fields())
    assert (meg.n_estimates, meg.estimate_hz) == (8, 200.0)
    assert (fmri.n_estimates, fmri.estimate_hz) == (1, 25.0)
    # What a model remembers may be older than its window.
    assert make_manifest(**fmri_fields(lookahead=80)).lookahead == 80


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (fmri_fields(channels=manifest_fields()["channels"]), "channel 'MEG 0111' is a mag, those of fmri are bold"),
        (fmri_fields(product="stimulus", parcels_file=None), "is a bold, those of stimulus are embedding or label"),
        (fmri_fields(parcels_file=None), "exactly a bundle of fmri has a parcels_file"),
        (manifest_fields(parcels_file="model.onnx"), "exactly a bundle of fmri has a parcels_file"),
        (fmri_fields(parcels_file="other.nii.gz"), "'other.nii.gz' has no sha256 under 'files'"),
        (fmri_fields(outputs=manifest_fields()["outputs"]), "is channel 3 x time 8, the manifest implies .* time 1"),
        (manifest_fields(lookahead=8), r"hop 8 \+ lookahead 8 is more than the window 8"),
    ],
)
def test_what_another_product_has_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(BundleError, match=message):
        make_manifest(**fields)
