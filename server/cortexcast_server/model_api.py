"""Models over HTTP: those that are here, and where the channels of one of fMRI lie in the brain."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from fastapi.responses import FileResponse
from pydantic import BaseModel

from cortexcast_models.bundle import Bundle, read_bundle, shipped_bundles
from cortexcast_server.daemon import Daemon
from cortexcast_server.http_errors import Codes, error_answers


class UnknownModelError(Exception):
    """There is no model of fMRI of that name."""


MODEL_ERRORS: Codes = {UnknownModelError: (404, "unknown_model")}
"""How the exceptions of these routes are answered."""


class ModelSummary(BaseModel):
    """A bundle."""

    name: str
    version: str
    digest: str
    product: str
    trained_on: str
    description: str
    in_use: bool


_PARCELS: dict[str, Any] = {"content": {"application/gzip": {"schema": {"type": "string", "format": "binary"}}}}


def model_router(daemon: Daemon) -> APIRouter:
    """The routes under ``/api/v1/models``; the application answers ``MODEL_ERRORS``."""
    router = APIRouter(prefix="/api/v1/models", tags=["models"])

    @router.get("")
    async def list_models() -> list[ModelSummary]:
        """The shipped bundles, and those in use."""
        in_use = {model.bundle.digest for model in daemon.models}
        return [
            ModelSummary(
                **{field: getattr(bundle.manifest, field) for field in ("name", "version", "product", "trained_on")},
                description=bundle.manifest.description,
                digest=bundle.digest,
                in_use=bundle.digest in in_use,
            )
            for bundle in _bundles(daemon)
        ]

    @router.get(
        "/{name}/parcels.nii.gz",
        response_class=FileResponse,
        responses={200: _PARCELS, **error_answers(MODEL_ERRORS, UnknownModelError)},
    )
    async def show_parcels(name: Annotated[str, Path(description="the model's")]) -> FileResponse:
        """A NIfTI in MNI space: at each voxel the number of its channel of fMRI, from one on, or zero."""
        for bundle in _bundles(daemon):
            if bundle.manifest.name == name and bundle.manifest.parcels_file is not None:
                return FileResponse(bundle.directory / bundle.manifest.parcels_file, media_type="application/gzip")
        known = [bundle.manifest.name for bundle in _bundles(daemon) if bundle.manifest.parcels_file is not None]
        raise UnknownModelError(f"no model of fMRI is called {name!r}: there are {', '.join(known) or 'none'}")

    return router


def _bundles(daemon: Daemon) -> list[Bundle]:
    """Those in use, then the shipped ones."""
    in_use = {model.bundle.digest: model.bundle for model in daemon.models}
    shipped = {bundle.digest: bundle for bundle in map(read_bundle, shipped_bundles())}
    return list({**in_use, **shipped}.values())
