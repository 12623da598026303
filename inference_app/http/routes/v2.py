"""The Open Inference Protocol's (V2) documents, and its model repository extension.

Source: Open Inference Protocol, REST; Triton, "Model Repository Extension".
"""

from collections.abc import Awaitable, Callable
from typing import cast

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from inference_app import SERVER, VERSION
from inference_app.errors import UnknownModelError
from inference_app.http.routes.documents import json_response
from inference_app.model import Models, ModelSlot
from inference_app.protocols.v2_documents import model_metadata, repository_index, server_metadata


def v2_routes(models: Models) -> APIRouter:
    """Health and metadata."""
    router = APIRouter(prefix="/v2", tags=["V2"])

    @router.get("", summary="This server")
    async def server() -> Response:
        return json_response(server_metadata(SERVER, VERSION))

    @router.get("/health/live", summary="Alive")
    async def live() -> Response:
        return json_response({"live": True})

    @router.get("/health/ready", summary="Ready")
    async def ready() -> Response:
        reason = models.not_ready_because
        return _readiness(reason is None, "ready", reason)

    @router.get("/models/{name}", summary="A model's tensors")
    @router.get("/models/{name}/versions/{version}", summary="A version's tensors")
    async def metadata(name: str, version: str | None = None) -> Response:
        versions = [served.version for served in _slot(models, name).versions]
        return json_response(model_metadata(models.find(name, version), versions))

    @router.get("/models/{name}/ready", summary="Whether a model is served")
    @router.get("/models/{name}/versions/{version}/ready", summary="Whether a version is served")
    async def model_ready(name: str, version: str | None = None) -> Response:
        models.find(name, version)
        return json_response({"name": name, "ready": True})

    return router


def repository_routes(models: Models, look_now: Callable[[str], Awaitable[object]]) -> APIRouter:
    """Index, load and unload.

    Args:
        models: What is served.
        look_now: Has a model's source looked at without delay; done when that look is.
    """
    router = APIRouter(prefix="/v2/repository", tags=["V2"])

    @router.post("/index", summary="Every model, served or not")
    async def index(request: Request) -> Response:
        body = await request.body()
        options: object = orjson.loads(body) if body else {}
        ready_only = isinstance(options, dict) and cast("dict[str, object]", options).get("ready") is True
        return json_response(repository_index(list(models), ready_only=ready_only))

    @router.post("/models/{name}/load", summary="Serve a model (again), and look at its source now")
    async def load(name: str) -> Response:
        _slot(models, name).offer()
        await look_now(name)
        models.find(name)
        return json_response({})

    @router.post("/models/{name}/unload", summary="Serve a model no more, until it is loaded")
    async def unload(name: str) -> Response:
        _slot(models, name).withdraw()
        return json_response({})

    return router


def _slot(models: Models, name: str) -> ModelSlot:
    slot = models.slot(name)
    if slot is None:
        raise UnknownModelError(f"no model {name[:128]!r} here")
    return slot


def _readiness(is_ready: bool, what: str, reason: str | None) -> Response:
    response = json_response({what: is_ready} if reason is None else {what: is_ready, "error": reason})
    response.status_code = 200 if is_ready else 503
    return response
